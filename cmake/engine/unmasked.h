// Read before our copy of ggml-cpu's ops.cpp (CMakeLists.txt).
//
// Conversations share their cells, so a row's mask covers all that are in use, and upstream looks
// at each of them to see that it is another's: with eight answers of 2,000 tokens, at seven of
// eight for nothing, for every row, head and layer. Here the masked ones are passed several at a
// time. What is computed, and in which order, stays the same.
#pragma once

#include <cstdint>
#include <cstring>

// The first of the cells from `at` on that is not masked; `end` where all are. `mask` has 16-bit
// floats, minus infinity for what is masked; without one nothing is.
static inline int64_t lares_unmasked(const void* mask, int64_t at, int64_t end) {
  constexpr uint16_t kMasked = 0xfc00;
  if (!mask) return at;
  const auto* const cells = static_cast<const uint16_t*>(mask);
  const auto masked = [&](int64_t from) {
    uint64_t four;
    std::memcpy(&four, cells + from, sizeof four);
    return four == 0xfc00fc00fc00fc00;
  };
  while (at < end) {
    if (cells[at] != kMasked) return at;
    while (at + 16 <= end && masked(at) && masked(at + 4) && masked(at + 8) && masked(at + 12))
      at += 16;
    if (at + 4 <= end && masked(at)) {
      at += 4;
    } else {
      while (at < end && cells[at] == kMasked) at++;
    }
  }
  return end;
}
