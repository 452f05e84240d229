// Lookup: drafts of what an answer says next, found in what was said before (prompt-lookup
// decoding: Saxena 2023; n-gram drafts in llama.cpp). Much of an answer repeats its prompt: quoted
// text, code with one change, names. Whether such a draft is right is measured for each answer,
// also while none is computed; whether it is worth its rows is Speculation's to say. Pure; the
// Batcher's thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/model.h"

namespace lares::engine {

inline constexpr size_t kDraftMax = 12;  // tokens

class Lookup {
 public:
  // What came last time after what `said` ends with, at most kDraftMax tokens; until the next call.
  // `said` grows from call to call.
  std::span<const Token> look(std::span<const Token> said);

  // The token that was chosen; `place` 0 is the one after `said` of the last look().
  void chosen(size_t place, Token token);

  double likely() const { return likely_; }  // that a token of a draft is right

 private:
  static constexpr size_t kGram = 3;  // tokens that must be the same

  void read(std::span<const Token> said);

  std::unordered_map<uint64_t, size_t> after_;  // the end of each gram, where it was last
  size_t read_ = 0;
  std::vector<Token> expected_;  // after `said`, whether or not it was worth computing
  double likely_ = 0.5;
};

}  // namespace lares::engine
