// The pass over the cells of other sequences that the engine's attention is built with.
#include <gtest/gtest.h>
#include <unmasked.h>

#include <random>
#include <vector>

namespace lares::engine {
namespace {

constexpr uint16_t kMasked = 0xfc00;

int64_t next_by_hand(const std::vector<uint16_t>& mask, int64_t at, int64_t end) {
  while (at < end && mask[static_cast<size_t>(at)] == kMasked) at++;
  return at;
}

TEST(Unmasked, IsTheNextCellThatAnyMaskLeaves) {
  std::mt19937 random(7);
  for (int round = 0; round < 400; round++) {
    std::vector<uint16_t> mask(1 + random() % 300);
    const auto kept = random() % 40;  // of 40
    for (uint16_t& cell : mask)
      cell = random() % 40 < kept ? static_cast<uint16_t>(random() % 3) : kMasked;
    for (int64_t end : {static_cast<int64_t>(mask.size()), static_cast<int64_t>(mask.size() / 2)}) {
      for (int64_t at = 0; at <= end; at++)
        ASSERT_EQ(lares_unmasked(mask.data(), at, end), next_by_hand(mask, at, end))
            << round << ": " << at << " of " << end;
    }
  }
}

TEST(Unmasked, WithoutAMaskNothingIsPassed) { EXPECT_EQ(lares_unmasked(nullptr, 3, 90), 3); }

TEST(Unmasked, WhatIsNearMinusInfinityIsNoMask) {
  for (const int value : {0xfbff, 0x7c00, 0xfc01, 0x8000, 0}) {
    const std::vector<uint16_t> mask(64, static_cast<uint16_t>(value));
    EXPECT_EQ(lares_unmasked(mask.data(), 0, 64), 0) << value;
  }
}

}  // namespace
}  // namespace lares::engine
