// Drafts: what both sides know of them. How many rows of logits a worker has beyond one for each
// conversation, for tokens that are drafted and then held against what the model says. For the
// engine, which allocates them, and for whoever reckons what a model needs.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/units.h"

namespace lares::wire {

// A row is a number of 4 bytes for each of the vocabulary, in the graph and outside of it.
inline constexpr Bytes kDraftRowsMax = MiB(8);

// How many tokens more one vocabulary may have and still be the same as another's: makers fill
// tables up. The engine's own limit too.
inline constexpr uint64_t kVocabularyFillMax = 128;

inline constexpr uint64_t draft_rows(uint64_t vocabulary) {
  if (vocabulary == 0) return 0;
  return std::clamp<uint64_t>(kDraftRowsMax.n / 4 / vocabulary, 4, 16);
}

}  // namespace lares::wire
