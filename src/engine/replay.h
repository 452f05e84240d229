// Replay: the part of an answer that another worker chose and its client was told before that
// worker died. The batcher has these tokens chosen again, one by one, tells nobody of them, and
// goes on behind them. Pure; owned by its request.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/model.h"

namespace lares::engine {

class Replay {
 public:
  Replay() = default;  // of nothing

  // `ids` as in wire::Resume. Corrupt for one that is not in the vocabulary.
  static Result<Replay> from(std::string_view ids, Tokens vocabulary);

  size_t size() const { return ids_.size(); }
  bool over() const { return at_ == ids_.size(); }
  // The next token. Requires: not over.
  Token next();
  // Something was told after the one that next() gave last.
  bool told_here() const;

 private:
  std::vector<uint32_t> ids_;  // with wire::kToldHere
  size_t at_ = 0;
};

}  // namespace lares::engine
