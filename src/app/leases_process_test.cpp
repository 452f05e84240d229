#include <gtest/gtest.h>

#include "app/leases.h"
#include "app/testing/member.h"

namespace lares::app {
namespace {

using Worker = testing::Member;
using wire::LeasePage;

class TurnsTest : public ::testing::Test {
 protected:
  const SystemClock clock;
  Leases turns{clock, {}};
};

TEST_F(TurnsTest, WhoIsAloneGetsItAtOnceAndForGood) {
  Worker one(turns);
  turns.allow(one.member, Lane::Interactive);
  one.want(0);
  ASSERT_TRUE(one.gets_it());
  EXPECT_EQ(one.page->until_ns, wire::kUntilNever);
  EXPECT_EQ(one.page->pressed, 0U);
  one.say(LeasePage::Resting);
  EXPECT_TRUE(Worker::soon([&] { return !turns.seen(one.member).holds; }));
  EXPECT_EQ(turns.seen(one.member).turns, 1U);
}

TEST_F(TurnsTest, ABetterLaneAsksForItAndGetsItWhenItIsGivenBack) {
  Worker low(turns);
  Worker high(turns);
  turns.allow(low.member, Lane::Background);
  turns.allow(high.member, Lane::Interactive);
  low.want(2, 1, 900'000);
  ASSERT_TRUE(low.gets_it());
  high.want(0);
  ASSERT_TRUE(Worker::soon([&] { return low.page->abort == 1; })) << "its step takes too long";
  EXPECT_NE(low.page->until_ns, wire::kUntilNever);
  EXPECT_NE(high.page->state, LeasePage::Holding) << "one at a time";
  low.say(LeasePage::Waiting);
  ASSERT_TRUE(high.gets_it());
  EXPECT_EQ(low.page->state, LeasePage::Waiting);
  high.say(LeasePage::Resting);
  ASSERT_TRUE(low.gets_it());
  EXPECT_EQ(low.page->abort, 0U) << "the next step is not the one that was abandoned";
}

TEST_F(TurnsTest, AWorkerIsNotBelievedABetterLaneThanItsRequestsHave) {
  Worker liar(turns);
  Worker person(turns);
  turns.allow(liar.member, Lane::Background);
  turns.allow(person.member, Lane::Interactive);
  liar.want(0);
  ASSERT_TRUE(liar.gets_it());
  person.want(0);
  ASSERT_TRUE(Worker::soon([&] { return liar.page->until_ns != wire::kUntilNever; }));
  liar.say(LeasePage::Waiting);
  ASSERT_TRUE(person.gets_it());
  EXPECT_EQ(person.page->pressed, 0U) << "whoever waits counts as background";
}

TEST_F(TurnsTest, NonsenseOnThePageHarmsNobodyElse) {
  Worker bad(turns);
  Worker good(turns);
  turns.allow(good.member, Lane::Interactive);
  bad.page->lane = 4'000'000'000U;
  bad.page->work = 77;
  bad.page->step_us = UINT32_MAX;
  bad.say(LeasePage::Holding);  // it was not given it
  good.want(0);
  ASSERT_TRUE(good.gets_it());
  bad.say(static_cast<LeasePage::State>(99));
  good.say(LeasePage::Resting);
  good.want(0);
  ASSERT_TRUE(good.gets_it());
}

TEST_F(TurnsTest, WhoDiesWithItLeavesItToTheNext) {
  Worker next(turns);
  turns.allow(next.member, Lane::Interactive);
  {
    Worker dies(turns);
    turns.allow(dies.member, Lane::Interactive);
    dies.want(0);
    ASSERT_TRUE(dies.gets_it());
    next.want(0);
  }
  EXPECT_TRUE(next.gets_it());
}

TEST_F(TurnsTest, WhoDoesNotGiveItBackLosesIt) {
  Worker keeps(turns);
  Worker next(turns);
  turns.allow(keeps.member, Lane::Interactive);
  turns.allow(next.member, Lane::Interactive);
  keeps.want(0);
  ASSERT_TRUE(keeps.gets_it());
  next.want(0);
  EXPECT_TRUE(next.gets_it());
  EXPECT_EQ(keeps.page->state, LeasePage::Holding) << "it still computes";
  keeps.say(LeasePage::Waiting);
  next.say(LeasePage::Resting);
  EXPECT_TRUE(keeps.gets_it()) << "and may come again";
}

TEST_F(TurnsTest, ACalledWorkerStillGetsItsTurn) {
  Worker one(turns);
  turns.allow(one.member, Lane::Interactive);
  Worker other(turns);
  turns.allow(other.member, Lane::Interactive);
  one.want(0);
  ASSERT_TRUE(one.gets_it());
  other.want(0);
  other.page->state = LeasePage::Called;
  one.say(LeasePage::Resting);
  EXPECT_TRUE(other.gets_it());
}

TEST_F(TurnsTest, ThreadsAndTheWorstLaneAreSaidToAllAndToThoseWhoComeLater) {
  Worker one(turns);
  EXPECT_EQ(one.page->worst, 2U);
  turns.restrain(3, Lane::Agent);
  Worker two(turns);
  for (const Worker* each : {&one, &two}) {
    EXPECT_EQ(each->page->threads, 3U);
    EXPECT_EQ(each->page->worst, 1U);
  }
  turns.restrain(4, Lane::Background);
  EXPECT_EQ(one.page->threads, 4U);
  EXPECT_EQ(one.page->worst, 2U);
}

TEST_F(TurnsTest, ALaneThatIsPausedGetsNothingUntilItMayGoOn) {
  Worker background(turns);
  Worker agent(turns);
  turns.allow(agent.member, Lane::Agent);
  turns.restrain(2, Lane::Agent);
  background.want(2);
  for (int turn = 0; turn < 3; turn++) {
    agent.want(1);
    ASSERT_TRUE(agent.gets_it());
    EXPECT_EQ(background.page->state, LeasePage::Waiting);
    agent.say(LeasePage::Resting);
    ASSERT_TRUE(Worker::soon([&] { return !turns.seen(agent.member).holds; }));
  }
  turns.restrain(2, Lane::Background);
  EXPECT_TRUE(background.gets_it());
}

TEST_F(TurnsTest, TheTimeOfEachLaneIsCountedWhoeverComputes) {
  {
    Worker gone(turns);
    turns.allow(gone.member, Lane::Agent);
    gone.want(1);
    ASSERT_TRUE(gone.gets_it());
    ASSERT_TRUE(Worker::soon([&] { return turns.lane_held()[1] >= milliseconds(2); }))
        << "while it holds it";
  }
  const auto held = turns.lane_held();
  EXPECT_GE(held[1], milliseconds(2));
  EXPECT_EQ(held[0], milliseconds(0));
  EXPECT_EQ(held[2], milliseconds(0));
}

}  // namespace
}  // namespace lares::app
