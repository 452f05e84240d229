#include "sched/residency.h"

#include <gtest/gtest.h>

namespace lares::sched {
namespace {

using Ids = std::vector<ModelId>;

// Three models of 100 MiB in a budget of 300; "a" is the least recently used.
struct ResidencyTest : testing::Test {
  ResidencyTest() {
    for (const char* id : {"a", "b", "c"}) r.enter(id, MiB(100));
  }
  Residency r{MiB(300)};
};

TEST_F(ResidencyTest, EvictsLeastRecentlyUsedFirst) {
  {
    auto used = r.pin("a");
  }  // a use: now "b" is the oldest
  EXPECT_EQ(*r.room_for(MiB(150)), (Ids{"b", "c"}));
}

TEST_F(ResidencyTest, NeverEvictsAPinnedModel) {
  auto pin = r.pin("b");
  EXPECT_EQ(*r.room_for(MiB(200)), (Ids{"a", "c"}));
  auto refused = r.room_for(MiB(300));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::NoRoom);
  EXPECT_EQ(refused.error().message,
            "needs 300 MiB, but 100 MiB of 300 MiB is held by answers in progress; "
            "retry when one finishes");
}

TEST_F(ResidencyTest, NamesEveryAnswerInProgressThatHoldsMemory) {
  auto b = r.pin("b");
  auto c = r.pin("c");
  auto refused = r.room_for(MiB(150));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("200 MiB of 300 MiB"), std::string::npos);
}

TEST_F(ResidencyTest, WhatNeverFitsSaysSoAndNamesTheSetting) {
  auto refused = r.room_for(MiB(301));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "needs 301 MiB, memory.budget is 300 MiB; choose a smaller quantisation or raise "
            "memory.budget");
}

TEST_F(ResidencyTest, AskingForRoomChangesNothing) {
  (void)r.room_for(MiB(300));
  EXPECT_EQ(r.used(), MiB(300));
}

TEST_F(ResidencyTest, ALeavingModelCountsUntilItHasLeftAndIsNotChosenTwice) {
  r.begin_leave("a");
  EXPECT_EQ(r.used(), MiB(300));
  EXPECT_FALSE(r.fits(MiB(100)));
  EXPECT_EQ(*r.room_for(MiB(100)), Ids{});  // it will fit: nothing more must go
  EXPECT_EQ(*r.room_for(MiB(200)), Ids{"b"});
  r.leave("a");
  EXPECT_TRUE(r.fits(MiB(100)));
}

TEST_F(ResidencyTest, ALeavingModelCannotBePinned) {
  r.begin_leave("a");
  EXPECT_FALSE(r.pin("a"));
}

TEST_F(ResidencyTest, NamesWhichBusyModelsMustComeToRest) {
  auto a = r.pin("a");
  auto b = r.pin("b");
  EXPECT_EQ(r.to_drain(MiB(100)), Ids{});  // "c" is idle and enough
  EXPECT_EQ(r.to_drain(MiB(200)), Ids{"a"});
  EXPECT_EQ(r.to_drain(MiB(300)), (Ids{"a", "b"}));
  EXPECT_EQ(r.to_drain(MiB(301)), Ids{});
}

TEST_F(ResidencyTest, MeasuredBytesReplaceTheEstimateWhenTheyFit) {
  EXPECT_TRUE(r.resize("a", MiB(40)));
  EXPECT_EQ(r.used(), MiB(240));
  EXPECT_FALSE(r.resize("b", MiB(161)));
  EXPECT_EQ(r.size_of("b"), MiB(100));
  EXPECT_TRUE(r.resize("b", MiB(160)));
  EXPECT_EQ(r.used(), MiB(300));
}

TEST_F(ResidencyTest, AnAbsurdSizeDoesNotWrapAround) {
  EXPECT_FALSE(r.fits(Bytes{UINT64_MAX}));
  EXPECT_FALSE(r.resize("a", Bytes{UINT64_MAX - 5}));
  EXPECT_FALSE(r.room_for(Bytes{UINT64_MAX}));
}

TEST_F(ResidencyTest, LeavingWhilePinnedIsABug) {
  auto pin = r.pin("a");
  EXPECT_DEATH(r.leave("a"), "pins == 0");
  EXPECT_DEATH(r.begin_leave("a"), "pins == 0");
}

TEST_F(ResidencyTest, EnteringTwiceIsABug) { EXPECT_DEATH(r.enter("a", MiB(1)), "find"); }

}  // namespace
}  // namespace lares::sched
