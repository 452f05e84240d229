#include "sched/gang.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lares::sched {
namespace {

using Claim = Gang::Claim;
using Duration = Gang::Duration;
using Work = Gang::Work;

constexpr SteadyTime at(int ms) { return SteadyTime{} + milliseconds(ms); }

Claim decode(Lane lane, int ms = 10) { return {lane, Work::Decode, milliseconds(ms)}; }
Claim prompt(Lane lane, int ms = 50) { return {lane, Work::Prompt, milliseconds(ms)}; }

// Members that always have a next step, on a device that does what the gang orders, without any
// cost of handing over.
class Device {
 public:
  explicit Device(Gang::Shares shares = {}) : gang(shares) {}

  void add(Gang::Member member, Claim claim) {
    gang.join(member);
    gang.wants(member, claim, now);
    claims[member] = claim;
  }
  // Runs until `until`; the gaps between the ends of each member's steps are kept.
  void run(SteadyTime until) {
    while (now < until) {
      const Gang::Orders orders = gang.decide(now);
      ASSERT_TRUE(orders.holder);
      const Gang::Member member = *orders.holder;
      now += claims[member].step;
      steps[member]++;
      if (const auto last = ended.find(member); last != ended.end())
        gaps[member].push_back(now - last->second);
      ended[member] = now;
      if (now >= gang.decide(now).until) gang.gives_back(member, claims[member], now);
    }
  }
  double share(Gang::Member member) const {
    return std::chrono::duration<double>(gang.seen(member, now).held) /
           std::chrono::duration<double>(now - SteadyTime{});
  }

  Gang gang;
  SteadyTime now{};
  std::map<Gang::Member, Claim> claims;
  std::map<Gang::Member, int> steps;
  std::map<Gang::Member, SteadyTime> ended;
  std::map<Gang::Member, std::vector<Duration>> gaps;
};

TEST(Gang, OneAloneHoldsItWithoutEnd) {
  Gang gang({});
  gang.join(1);
  EXPECT_FALSE(gang.decide(at(0)).holder);
  gang.wants(1, decode(Lane::Background), at(0));
  const Gang::Orders orders = gang.decide(at(0));
  EXPECT_EQ(orders.holder, 1U);
  EXPECT_EQ(orders.until, Gang::kNever);
  EXPECT_FALSE(orders.pressed);
  gang.rests(1, at(50));
  EXPECT_FALSE(gang.decide(at(50)).holder);
  EXPECT_EQ(gang.seen(1, at(90)).held, milliseconds(50));
}

TEST(Gang, TwoAnswersOfPersonsTakeTurnsAndGetEqualTime) {
  Device device;
  device.add(1, decode(Lane::Interactive, 5));
  device.add(2, decode(Lane::Interactive, 9));
  device.run(at(10'000));
  EXPECT_NEAR(device.share(1), 0.5, 0.01);
  EXPECT_NEAR(device.share(2), 0.5, 0.01);
  for (const Duration gap : device.gaps[2])
    EXPECT_LE(gap, Gang::kTurn[0] + milliseconds(2 * (5 + 9)));
}

TEST(Gang, ManyOfOneLaneGetEqualTimeHoweverLongTheirSteps) {
  Device device;
  for (Gang::Member member = 1; member <= 5; member++)
    device.add(member, prompt(Lane::Background, static_cast<int>(member) * 20));
  device.run(at(100'000));
  double sum = 0;
  double squares = 0;
  for (Gang::Member member = 1; member <= 5; member++) {
    sum += device.share(member);
    squares += device.share(member) * device.share(member);
  }
  EXPECT_GE(sum * sum / (5 * squares), 0.98);  // Jain's index
}

TEST(Gang, BackgroundGetsItsShareAndFewGapsShowIt) {
  Device device;
  device.add(1, decode(Lane::Interactive, 8));
  device.add(2, decode(Lane::Background, 12));
  device.run(at(60'000));
  EXPECT_NEAR(device.share(2), 0.05, 0.005);
  size_t late = 0;
  for (const Duration gap : device.gaps[1]) {
    EXPECT_LE(gap, milliseconds(8 + 12));
    if (gap > milliseconds(8)) late++;
  }
  EXPECT_LT(static_cast<double>(late), 0.05 * static_cast<double>(device.gaps[1].size()));
}

// Where a background step is short, its share would show in more than one gap of twenty.
TEST(Gang, AnAnswerIsLeftAloneForSomeStepsAfterEachTurnOfBackground) {
  Device device;
  device.add(1, decode(Lane::Interactive, 9));
  device.add(2, decode(Lane::Background, 3));
  device.run(at(60'000));
  EXPECT_GT(device.share(2), 0.01);
  size_t late = 0;
  for (const Duration gap : device.gaps[1]) late += gap > milliseconds(9) ? 1 : 0;
  EXPECT_LT(static_cast<double>(late), 0.05 * static_cast<double>(device.gaps[1].size()));
}

TEST(Gang, AgentsAndBackgroundBothGetTheirShares) {
  Device device({.agent = 0.2, .background = 0.05});
  device.add(1, decode(Lane::Interactive, 8));
  device.add(2, prompt(Lane::Agent, 40));
  device.add(3, prompt(Lane::Background, 40));
  device.run(at(120'000));
  EXPECT_NEAR(device.share(2), 0.2, 0.02);
  EXPECT_NEAR(device.share(3), 0.05, 0.01);
}

TEST(Gang, NothingIsSavedUpWhileNothingIsWanted) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.decide(at(0));
  gang.wants(2, decode(Lane::Background), at(60'000));
  EXPECT_GT(gang.decide(at(60'000)).until, at(60'000));
  EXPECT_EQ(gang.decide(at(60'000)).holder, 1U);
}

TEST(Gang, ABetterLaneComesAtTheEndOfTheStep) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Background), at(0));
  gang.decide(at(0));
  gang.wants(2, decode(Lane::Interactive), at(500));
  Gang::Orders orders = gang.decide(at(500));
  EXPECT_EQ(orders.holder, 1U);
  EXPECT_LE(orders.until, at(500));
  EXPECT_FALSE(orders.abort) << "a short step is waited for";
  EXPECT_TRUE(orders.pressed);
  gang.gives_back(1, decode(Lane::Background), at(505));
  orders = gang.decide(at(505));
  EXPECT_EQ(orders.holder, 2U);
  EXPECT_FALSE(orders.pressed) << "whoever waits is of a worse lane";
}

TEST(Gang, ALongPromptIsAbortedForABetterLaneAndAVeryLongOneForItsOwn) {
  for (const auto& [step, lane, aborted] :
       {std::tuple{1'000, Lane::Interactive, true}, std::tuple{10, Lane::Interactive, false},
        std::tuple{50, Lane::Background, false}, std::tuple{1'000, Lane::Background, true}}) {
    Gang gang({});
    gang.join(1);
    gang.join(2);
    gang.wants(1, prompt(Lane::Background, step), at(0));
    gang.decide(at(0));
    gang.wants(2, decode(lane), at(1));
    EXPECT_EQ(gang.decide(at(1)).abort, aborted) << step << " " << name(lane);
  }
}

TEST(Gang, AStepThatALaneWasOwedIsNotAborted) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive, 10), at(0));
  gang.wants(2, prompt(Lane::Background, 50), at(0));
  int now = 0;
  Gang::Orders orders = gang.decide(at(0));
  while (orders.holder == 1U && now < 10'000) {
    now += 10;
    orders = gang.decide(at(now));
    if (at(now) >= orders.until) gang.gives_back(1, decode(Lane::Interactive, 10), at(now));
    orders = gang.decide(at(now));
  }
  ASSERT_EQ(orders.holder, 2U);
  EXPECT_NEAR(now, 50 * 19, 50);
  EXPECT_FALSE(orders.abort);
  EXPECT_LE(orders.until, at(now)) << "one step and no more";
}

TEST(Gang, AnswersInProgressGoBeforePromptsOfTheSameLane) {
  Gang gang({});
  for (Gang::Member member = 1; member <= 3; member++) gang.join(member);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.decide(at(0));
  gang.wants(2, prompt(Lane::Interactive), at(1));
  gang.wants(3, decode(Lane::Interactive), at(2));
  gang.rests(1, at(10));
  EXPECT_EQ(gang.decide(at(10)).holder, 3U);
}

TEST(Gang, APromptOfTheSameLaneIsNotStarvedByAnswers) {
  Device device;
  device.add(1, decode(Lane::Interactive, 10));
  device.add(2, decode(Lane::Interactive, 10));
  device.add(3, prompt(Lane::Interactive, 60));
  device.run(at(20'000));
  for (Gang::Member member = 1; member <= 3; member++)
    EXPECT_NEAR(device.share(member), 1.0 / 3, 0.02) << member;
}

TEST(Gang, WhoDoesNotGiveBackLosesTheDeviceAndMayComeAgain) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.decide(at(0));
  gang.wants(2, decode(Lane::Interactive), at(10));
  const Gang::Orders orders = gang.decide(at(10));
  EXPECT_EQ(orders.holder, 1U);
  ASSERT_NE(orders.again, Gang::kNever);
  EXPECT_EQ(gang.decide(orders.again - milliseconds(1)).holder, 1U);
  EXPECT_EQ(gang.decide(orders.again).holder, 2U);
  EXPECT_TRUE(gang.seen(1, orders.again).overdue);
  gang.rests(2, orders.again + milliseconds(1));
  EXPECT_FALSE(gang.decide(orders.again + milliseconds(1)).holder) << "it is not given it again";
  gang.gives_back(1, decode(Lane::Interactive), orders.again + milliseconds(2));
  EXPECT_EQ(gang.decide(orders.again + milliseconds(2)).holder, 1U);
}

TEST(Gang, WhoLeavesGivesItToTheNext) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.wants(2, decode(Lane::Background), at(0));
  EXPECT_EQ(gang.decide(at(0)).holder, 1U);
  gang.leave(1, at(5));
  EXPECT_EQ(gang.decide(at(5)).holder, 2U);
}

// One that rested for an hour does not get an hour.
TEST(Gang, WhoComesBackFromRestHasNoCredit) {
  Device device;
  device.add(1, decode(Lane::Interactive, 10));
  device.run(at(60'000));
  device.add(2, decode(Lane::Interactive, 10));
  const Duration before = device.gang.seen(1, device.now).held;
  device.run(at(61'000));
  EXPECT_NEAR(
      static_cast<double>((device.gang.seen(1, device.now).held - before) / milliseconds(1)), 500,
      60);
}

// Whoever had a lane to itself, and goes on in another, is not ahead of those who come later.
TEST(Gang, NobodyIsAheadOfThoseWhoWereNotThere) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.decide(at(0));
  gang.wants(1, decode(Lane::Agent), at(5'000));
  gang.decide(at(5'000));
  gang.rests(1, at(5'010));
  gang.wants(2, decode(Lane::Interactive), at(5'010));
  gang.decide(at(5'010));
  gang.wants(1, decode(Lane::Interactive), at(5'020));
  gang.gives_back(2, decode(Lane::Interactive), at(5'080));
  EXPECT_EQ(gang.decide(at(5'080)).holder, 1U);
}

// What it computed meanwhile, nobody knows; what it did not, it has no claim to.
TEST(Gang, WhoLostTheDeviceHasNoCreditWhenItComesBack) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.decide(at(0));
  gang.wants(2, decode(Lane::Interactive), at(10));
  const SteadyTime lost = gang.decide(at(10)).again;
  EXPECT_EQ(gang.decide(lost).holder, 2U);
  const SteadyTime back = lost + milliseconds(20'000);
  gang.decide(back);
  gang.gives_back(1, decode(Lane::Interactive), back);
  gang.gives_back(2, decode(Lane::Interactive), back + milliseconds(100));
  EXPECT_EQ(gang.decide(back + milliseconds(100)).holder, 1U);
  gang.gives_back(1, decode(Lane::Interactive), back + milliseconds(200));
  EXPECT_EQ(gang.decide(back + milliseconds(200)).holder, 2U);
}

// One that keeps the device is far ahead of those who wait; one that comes then is not.
TEST(Gang, WhoComesWhileOneKeepsTheDeviceIsNotBehindTheOthers) {
  Gang gang({});
  for (Gang::Member member = 1; member <= 3; member++) gang.join(member);
  gang.wants(1, decode(Lane::Interactive), at(0));
  gang.decide(at(0));
  gang.wants(2, decode(Lane::Interactive), at(10));
  const SteadyTime lost = gang.decide(at(10)).again;
  gang.wants(3, decode(Lane::Interactive), lost - milliseconds(1));
  EXPECT_EQ(gang.decide(lost).holder, 2U);
  EXPECT_LE(gang.decide(lost).until, lost + Gang::kTurn[0]);
  gang.gives_back(2, decode(Lane::Interactive), lost + milliseconds(100));
  EXPECT_EQ(gang.decide(lost + milliseconds(100)).holder, 3U);
}

TEST(Gang, BackgroundsPartIsWhatTheSettingSaysHoweverShortItsSteps) {
  struct Case {
    double share;
    int step_ms;
  };
  for (const auto& [share, step_ms] :
       {Case{0.05, 3}, {0.05, 45}, {0.25, 10}, {0.5, 10}, {0.5, 3}, {0.8, 10}}) {
    Device device({.agent = 0.1, .background = share});
    device.add(1, decode(Lane::Interactive, 20));
    device.add(2, decode(Lane::Background, step_ms));
    device.run(at(120'000));
    EXPECT_NEAR(device.share(2), share, 0.25 * share) << share << " with steps of " << step_ms;
  }
  Device equal({.agent = 0.1, .background = 0.05});  // a step of its own length is one of 26
  equal.add(1, decode(Lane::Interactive, 20));
  equal.add(2, decode(Lane::Background, 20));
  equal.run(at(120'000));
  EXPECT_NEAR(equal.share(2), 1.0 / 26, 0.003);
  for (const Duration gap : equal.gaps[1]) EXPECT_LE(gap, milliseconds(40));
}

// Where a prompt of a person waits, no steps of an answer pass between two turns of background.
TEST(Gang, WhatALaneSavedUpIsNotSpentAllAtOnce) {
  Gang gang({.agent = 0.1, .background = 0.05});
  gang.join(1);
  gang.join(2);
  gang.wants(1, decode(Lane::Interactive, 400), at(0));
  gang.wants(2, prompt(Lane::Background, 60), at(0));
  // the calm after its first turn lets background save up
  int now = 0;
  int turns = 0;
  while (turns == 0) {
    now += 400;
    ASSERT_LT(now, 10'000);
    gang.gives_back(1, decode(Lane::Interactive, 400), at(now));
    if (gang.decide(at(now)).holder == 2U) turns++;
  }
  gang.gives_back(2, prompt(Lane::Background, 60), at(now += 60));
  for (int step = 0; step < Gang::kCalmSteps - 1; step++) {
    ASSERT_EQ(gang.decide(at(now)).holder, 1U);
    gang.gives_back(1, decode(Lane::Interactive, 400), at(now += 400));
  }
  gang.decide(at(now));
  gang.gives_back(1, prompt(Lane::Interactive, 60), at(now += 400));
  ASSERT_EQ(gang.decide(at(now)).holder, 2U) << "it has saved up 500 ms";
  gang.gives_back(2, prompt(Lane::Background, 60), at(now += 60));
  EXPECT_EQ(gang.decide(at(now)).holder, 1U);
}

TEST(Gang, LanesThatMayNotComputeDoNotAndTheDeviceRests) {
  Gang gang({});
  gang.join(1);
  gang.join(2);
  gang.wants(1, prompt(Lane::Background, 900), at(0));
  EXPECT_EQ(gang.decide(at(0)).holder, 1U);
  gang.set_worst(Lane::Agent, at(10));
  const Gang::Orders orders = gang.decide(at(10));
  EXPECT_LE(orders.until, at(10));
  EXPECT_TRUE(orders.abort);
  gang.gives_back(1, prompt(Lane::Background, 900), at(20));
  EXPECT_FALSE(gang.decide(at(20)).holder);
  gang.wants(2, decode(Lane::Agent), at(30));
  EXPECT_EQ(gang.decide(at(30)).holder, 2U);
  EXPECT_EQ(gang.decide(at(90'000)).until, Gang::kNever) << "nobody waits who may compute";
  gang.rests(2, at(90'000));
  gang.set_worst(Lane::Background, at(90'010));
  EXPECT_EQ(gang.decide(at(90'010)).holder, 1U);
}

}  // namespace
}  // namespace lares::sched
