#include "engine/lease.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>

namespace lares::engine {
namespace {

using wire::LeasePage;

// The daemon's side is played by what happens while the worker waits: `meanwhile`.
class LeaseTest : public ::testing::Test {
 protected:
  LeaseTest() : bell(::eventfd(0, EFD_NONBLOCK)), lease(&page, bell, [this] { meanwhile(); }) {
    page.until_ns = wire::kUntilNever;
    page.worst = 2;
    meanwhile = [this] { grant(); };
  }
  ~LeaseTest() override { ::close(bell); }

  void grant() { page.state = LeasePage::Holding; }
  // How often the bell was rung since it was last asked.
  uint64_t rung() const {
    uint64_t count = 0;
    return ::read(bell, &count, sizeof(count)) == sizeof(count) ? count : 0;
  }
  void make_due() { page.until_ns = 0; }

  LeasePage page{};
  int bell;
  std::function<void()> meanwhile;
  Lease lease;
};

TEST(Lease, WithoutAPageEveryStepMayBegin) {
  Lease lease;
  EXPECT_TRUE(lease.enter({}));
  lease.step_over();
  lease.rest();
  lease.call();
  EXPECT_FALSE(lease.pressed());
  EXPECT_EQ(lease.abort_word(), nullptr);
}

TEST_F(LeaseTest, AfterAWaitItLooksAroundBeforeTheStepBegins) {
  EXPECT_FALSE(lease.enter({Lane::Agent, false, 12.5}));
  EXPECT_EQ(page.lane, 1U);
  EXPECT_EQ(page.work, 1U);
  EXPECT_EQ(page.step_us, 12'500U);
  EXPECT_EQ(rung(), 1U);
  EXPECT_TRUE(lease.enter({Lane::Agent, false, 12.5}));
}

TEST_F(LeaseTest, AStreamThatNobodyDisturbsRingsNoBell) {
  lease.enter({});
  rung();
  for (int i = 0; i < 100; i++) {
    ASSERT_TRUE(lease.enter({}));
    lease.step_over();
  }
  EXPECT_EQ(rung(), 0U);
}

TEST_F(LeaseTest, WhenItIsDueItIsGivenBackAfterTheStep) {
  lease.enter({});
  ASSERT_TRUE(lease.enter({}));
  rung();
  make_due();
  lease.step_over();
  EXPECT_EQ(page.state, LeasePage::Waiting);
  EXPECT_EQ(rung(), 1U);
}

// A turn that is due when it comes is one step long, not none.
TEST_F(LeaseTest, ATurnHasAtLeastOneStep) {
  make_due();
  EXPECT_FALSE(lease.enter({}));
  EXPECT_TRUE(lease.enter({}));
  EXPECT_EQ(page.state, LeasePage::Holding);
  lease.step_over();
  EXPECT_EQ(page.state, LeasePage::Waiting);
}

// The same worker had it for a person, and only what must wait is left.
TEST_F(LeaseTest, ATurnOfABetterLaneIsNoneForWhatMustWait) {
  lease.enter({Lane::Interactive});
  ASSERT_TRUE(lease.enter({Lane::Interactive}));
  page.worst = static_cast<uint32_t>(Lane::Agent);
  EXPECT_TRUE(lease.enter({Lane::Agent}));
  rung();
  EXPECT_FALSE(lease.enter({Lane::Background}));
  EXPECT_EQ(rung(), 1U) << "it was given back";
  meanwhile = [this] { lease.call(); };
  EXPECT_FALSE(lease.enter({Lane::Background})) << "granted before the daemon knew better";
  EXPECT_EQ(page.state, LeasePage::Waiting);
}

TEST_F(LeaseTest, ACallEndsTheWait) {
  meanwhile = [this] { lease.call(); };
  EXPECT_FALSE(lease.enter({}));
  EXPECT_EQ(page.state, LeasePage::Waiting) << "it still wants its turn";
  meanwhile = [this] { grant(); };
  EXPECT_FALSE(lease.enter({}));
  EXPECT_TRUE(lease.enter({}));
}

// What comes after the look around and before the wait would be missed otherwise: for ever, where
// what is entered with must wait.
TEST_F(LeaseTest, ACallBeforeTheWaitEndsItAtOnce) {
  meanwhile = [] { ADD_FAILURE() << "it waits"; };
  lease.call();
  EXPECT_EQ(page.state, LeasePage::Resting);
  EXPECT_FALSE(lease.enter({Lane::Background, true, 1}));
  EXPECT_EQ(page.state, LeasePage::Waiting);
  meanwhile = [this] { grant(); };
  EXPECT_FALSE(lease.enter({}));
  EXPECT_TRUE(lease.enter({}));
}

TEST_F(LeaseTest, ACallWhileItComputesDisturbsNoStep) {
  lease.enter({});
  lease.call();
  EXPECT_EQ(page.state, LeasePage::Holding);
  EXPECT_TRUE(lease.enter({}));
}

TEST_F(LeaseTest, RestGivesBackWhatWasGrantedInThatMoment) {
  meanwhile = [this] { lease.call(); };
  lease.enter({});
  grant();  // the daemon was quicker
  rung();
  lease.rest();
  EXPECT_EQ(page.state, LeasePage::Resting);
  EXPECT_EQ(rung(), 1U);
  lease.rest();
  EXPECT_EQ(rung(), 0U) << "once is enough";
}

TEST_F(LeaseTest, AnAbandonedStepIsItsLast) {
  lease.enter({});
  ASSERT_TRUE(lease.enter({}));
  page.until_ns = std::chrono::steady_clock::now().time_since_epoch().count() + 1'000'000'000'000;
  EXPECT_EQ(lease.abort_word()->load(), 0U);
  page.abort = 1;
  EXPECT_EQ(lease.abort_word()->load(), 1U);
  lease.step_over();
  EXPECT_EQ(page.state, LeasePage::Waiting);
}

TEST_F(LeaseTest, AnotherKindOfWorkIsToldWhileItHolds) {
  lease.enter({Lane::Interactive, true, 1});
  ASSERT_TRUE(lease.enter({Lane::Interactive, true, 1}));
  rung();
  ASSERT_TRUE(lease.enter({Lane::Background, true, 1}));
  EXPECT_EQ(rung(), 1U);
  EXPECT_EQ(page.lane, 2U);
}

TEST_F(LeaseTest, WhatMayComputeIsReadWhateverStandsThere) {
  EXPECT_EQ(lease.worst(), Lane::Background);
  page.worst = 1;
  EXPECT_EQ(lease.worst(), Lane::Agent);
  page.worst = 77;
  EXPECT_EQ(lease.worst(), Lane::Background);
}

TEST_F(LeaseTest, PartsOfLanesAreReadWhateverStandsThere) {
  EXPECT_FALSE(lease.part(Lane::Background));
  page.agent_part = 200;
  page.background_part = 77'000;
  EXPECT_FALSE(lease.part(Lane::Interactive));
  EXPECT_EQ(lease.part(Lane::Agent), 0.2);
  EXPECT_EQ(lease.part(Lane::Background), 1);
  EXPECT_FALSE(Lease().part(Lane::Agent));
}

}  // namespace
}  // namespace lares::engine
