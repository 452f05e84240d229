// Slots: which tokens the state of each sequence holds, how many cells that takes (sequences that
// share a prefix share its cells), and where a new request begins. Pure bookkeeping: the Batcher
// does to the model what it does here.
//
//   free --place(), take()--> busy --release()--> idle (kept for its prefix) --clear()--> free
//                                    idle --place(), take()--> busy
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/model.h"

namespace lares::engine {

// In what pieces a seeded prompt is computed: not as many tokens as this machine happens to compute
// in time, since pieces too shape the sums.
inline constexpr size_t kExactPiece = 32;

class Slots {
 public:
  struct Slot {
    std::vector<Token> tokens;    // computed, from position 0
    std::vector<uint32_t> cells;  // one for each
    uint64_t used = 0;            // when, on the counter of uses
    bool busy = false;
    uint64_t adapters = 0;  // the set (AdapterSets) that they were computed with
    // Of its tokens, those at the beginning that were computed as a seeded prompt's are: alone, and
    // in whole pieces (kExactPiece).
    size_t exact = 0;
  };
  // Where a request starts: sequence `to`, with the first `keep` tokens of `from` (-1: nothing).
  struct Place {
    Sequence to = 0;
    Sequence from = -1;
    size_t keep = 0;
  };
  // May the first `keep` tokens of that sequence be built upon?
  using Usable = std::function<bool(Sequence, size_t keep)>;

  // The tail of an idle conversation that may be cut off rather than given a copy.
  static constexpr size_t kTailCut = 64;

  Slots(uint32_t count, size_t cells);

  const Slot& operator[](Sequence sequence) const { return slots_[sequence]; }
  size_t count() const { return slots_.size(); }
  size_t cells_free() const { return free_.size(); }
  size_t cells_total() const { return refs_.size(); }
  // Distinct cells in busy sequences, and in `also` (-1: none).
  size_t cells_busy(Sequence also) const;

  // Always leaves one token of `tokens` to compute. nullopt: every sequence is busy.
  std::optional<Place> place(std::span<const Token> tokens, const Usable& usable, bool cuts) const;

  // With those adapters it goes on from here. Requires: what it holds was computed with them.
  void take(Sequence sequence, uint64_t adapters = 0) {
    slots_[sequence].busy = true;
    slots_[sequence].adapters = adapters;
  }
  void release(Sequence sequence);
  void cut(Sequence sequence, size_t from);
  void share(Sequence from, Sequence to, size_t until);  // requires: `to` is empty
  void extend(Sequence sequence, Token token);           // requires: a free cell
  // Requires: it holds so many.
  void set_exact(Sequence sequence, size_t exact) { slots_[sequence].exact = exact; }
  // The idle sequence with tokens that was used longest ago, but not `spare`.
  std::optional<Sequence> oldest_idle(Sequence spare = -1) const;

 private:
  std::vector<Slot> slots_;
  std::vector<uint32_t> refs_;  // how many sequences hold each cell
  std::vector<uint32_t> free_;  // cells that none holds
  uint64_t uses_ = 0;
};

// How many tokens both begin with.
size_t common_prefix(std::span<const Token> a, std::span<const Token> b);
// How many of `tokens`, all of which `held` begins with, can be built upon: one is always left to
// compute, and no piece of media is cut in two.
size_t kept_prefix(std::span<const Token> held, std::span<const Token> tokens);

}  // namespace lares::engine
