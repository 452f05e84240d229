#include "base/clock.h"

#include <gtest/gtest.h>

namespace lares {
namespace {

const SteadyTime kNow{std::chrono::hours(1)};

TEST(TogetherTest, WhatRanSideBySideCountsOnce) {
  Together together;
  EXPECT_EQ(together.ms(), 0);
  together.add(kNow, 100);
  EXPECT_EQ(together.ms(), 100);
  together.add(kNow + milliseconds(10), 100);
  EXPECT_EQ(together.ms(), 110);
  together.add(kNow + milliseconds(5), 100);
  EXPECT_EQ(together.ms(), 110);
}

TEST(TogetherTest, APauseBetweenPiecesIsNotCounted) {
  Together together;
  together.add(kNow, 100);
  together.add(kNow + milliseconds(500), 100);
  EXPECT_EQ(together.ms(), 200);
}

TEST(TogetherTest, NonsenseTakesNoTime) {
  Together together;
  together.add(kNow, -5);
  EXPECT_EQ(together.ms(), 0);
  together.add(kNow, 0.5);
  EXPECT_EQ(together.ms(), 0.5);
}

}  // namespace
}  // namespace lares
