#include "sched/ladder.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/text.h"

namespace lares::sched {
namespace {

using Ids = std::vector<ModelId>;
using Step = Ladder::Step;
using Steps = std::vector<Step>;

SteadyTime after(int64_t ms) { return SteadyTime{} + milliseconds(ms); }

// Three models that hold 10, 80 and 100 MiB at their rungs, in a budget of 300; all hot, "a" the
// least recently used.
struct LadderTest : testing::Test {
  LadderTest() {
    for (const char* id : {"a", "b", "c", "d"}) EXPECT_TRUE(ladder.know(id, plain()));
    for (const char* id : {"a", "b", "c"}) bring(id, Rung::Hot);
  }
  static Footprint plain() { return {MiB(10), MiB(80), MiB(100), 300, 20, 100}; }
  static Footprint sharing(Bytes own, Bytes part) {
    return {{}, own, own, 100, 100, 100, {{"digest", part}}};
  }

  // All the way, with everything that goes for it.
  void bring(const ModelId& id, Rung to) {
    auto plan = ladder.plan(id, to, now);
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_TRUE(ladder.adopt(*plan));
    for (const Step& step : plan->descents) ladder.arrived(step.model, step.to);
    for (const Step& step : ladder.begin().climbs) ladder.arrived(step.model, step.to);
    ASSERT_EQ(ladder.seen(id, now).at, to);
  }
  Ladder::Plan adopted(const ModelId& id, Rung to = Rung::Hot) {
    auto plan = ladder.plan(id, to, now);
    EXPECT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(ladder.adopt(*plan));
    return *plan;
  }
  Ids begun() {
    Ids ids;
    for (const Step& step : ladder.begin().climbs) ids.push_back(step.model);
    return ids;
  }
  Rung at(const ModelId& id) { return ladder.seen(id, now).at; }
  void away(const ModelId& id, Rung to = Rung::Absent) {
    ASSERT_TRUE(ladder.evict(id, to));
    ladder.arrived(id, to);
  }

  NextUse next_use;
  Ladder ladder{MiB(300), next_use};
  SteadyTime now{};
};

TEST_F(LadderTest, GoesDownAsFarAsNeededAndNoFarther) {
  away("c", Rung::Parked);  // 210 of 300: "d" hot needs 10 more
  auto plan = ladder.plan("d", Rung::Hot, now);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->descents, (Steps{{"a", Rung::Hot, Rung::Warm}}));
  EXPECT_EQ(plan->climb, (Step{"d", Rung::Absent, Rung::Hot}));
  EXPECT_EQ(plan->frees, MiB(20));
  EXPECT_EQ(plan->bytes, MiB(100));
  EXPECT_EQ(plan->climb_ms, 420);
  EXPECT_EQ(plan->back_ms, 100);
}

TEST_F(LadderTest, SendsTheMostUselessForItsBytesAway) {
  for (int i = 0; i < 10; i++) {
    now += milliseconds(10'000);
    next_use.used("chat", "a", now);
  }
  next_use.used("mail", "b", now - milliseconds(50'000));
  auto plan = ladder.plan("d", Rung::Parked, now);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->descents.front().model, "c");  // never used
}

TEST_F(LadderTest, WhatIsDearToBringBackStays) {
  ladder.climb_took("a", Rung::Warm, 5'000);
  ladder.climb_took("a", Rung::Hot, 5'000);
  EXPECT_EQ(ladder.plan("d", Rung::Parked, now)->descents.front().model, "b");
}

TEST_F(LadderTest, StepsThatTurnOutToBeUnneededAreTakenBack) {
  Ladder other(MiB(300), next_use);
  ASSERT_TRUE(other.know("small", {{}, MiB(20), MiB(20), 1, 1, 1}));
  ASSERT_TRUE(other.know("large", {{}, MiB(280), MiB(280), 10'000, 10'000, 10'000}));
  ASSERT_TRUE(other.know("new", {{}, MiB(280), MiB(280), 1, 1, 1}));
  for (const char* id : {"small", "large"}) {
    ASSERT_TRUE(other.adopt(*other.plan(id, Rung::Hot, now)));
    ASSERT_EQ(other.begin().climbs.size(), 1U);
    other.arrived(id, Rung::Hot);
  }
  // the cheap one goes first by density, and then the large one makes room for all
  auto plan = other.plan("new", Rung::Hot, now);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->descents.size(), 1U);
  EXPECT_EQ(plan->descents[0].model, "large");
}

TEST_F(LadderTest, PlanningChangesNothing) {
  const uint64_t generation = ladder.generation();
  (void)ladder.plan("d", Rung::Hot, now);
  EXPECT_EQ(ladder.generation(), generation);
  EXPECT_EQ(ladder.used(), MiB(300));
  EXPECT_TRUE(begun().empty());
}

TEST_F(LadderTest, AStalePlanHappensNotAtAll) {
  auto plan = ladder.plan("d", Rung::Hot, now);
  auto pin = ladder.pin("a", now);
  auto refused = ladder.adopt(*plan);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_EQ(refused.error().message,
            "d: what is in memory has changed since this was planned; plan it again");
  for (const char* id : {"a", "b", "c"}) EXPECT_EQ(ladder.seen(id, now).move, Ladder::Move::Rests);
}

TEST_F(LadderTest, AModelCountsAtItsHigherRungUntilItHasArrived) {
  const auto plan = adopted("d");
  EXPECT_EQ(ladder.used(), MiB(300));
  EXPECT_TRUE(begun().empty());
  for (const Step& step : plan.descents) {
    EXPECT_TRUE(begun().empty());
    ladder.arrived(step.model, step.to);
  }
  EXPECT_EQ(begun(), Ids{"d"});
  EXPECT_LE(ladder.used(), MiB(300));
  EXPECT_EQ(ladder.size_of("d"), MiB(100));  // from the first step on
  EXPECT_EQ(at("d"), Rung::Absent);
  ladder.arrived("d", Rung::Parked);
  EXPECT_EQ(at("d"), Rung::Parked);
  EXPECT_EQ(ladder.size_of("d"), MiB(100));
  ladder.arrived("d", Rung::Hot);
  EXPECT_EQ(at("d"), Rung::Hot);
}

TEST_F(LadderTest, WhatAPlanFreesIsPromisedToItsClimber) {
  ASSERT_TRUE(ladder.know("e", {{}, MiB(150), MiB(150), 1, 1, 1}));
  ASSERT_TRUE(ladder.know("f", {{}, MiB(80), MiB(80), 1, 1, 1}));
  auto c = ladder.pin("c", now);
  auto b = ladder.pin("b", now);
  const auto first = adopted("d");  // all that "a" has
  ASSERT_EQ(first.descents, (Steps{{"a", Rung::Hot, Rung::Absent}}));
  EXPECT_FALSE(ladder.plan("f", Rung::Hot, now));
  EXPECT_FALSE(ladder.fits("f", Rung::Hot));
  EXPECT_FALSE(ladder.reserve("index", MiB(1)));
  ladder.arrived("a", Rung::Absent);
  EXPECT_FALSE(ladder.reserve("index", MiB(1)));
  EXPECT_FALSE(ladder.plan("f", Rung::Hot, now));
  EXPECT_EQ(begun(), Ids{"d"});
}

TEST_F(LadderTest, ASmallClimbDoesNotWaitBehindALargeOneThatItTakesNothingFrom) {
  ASSERT_TRUE(ladder.set_budget(MiB(390), now).descents.empty());
  ASSERT_TRUE(ladder.know("large", {{}, MiB(140), MiB(140), 1, 1, 1}));
  ASSERT_TRUE(ladder.know("small", {{}, MiB(20), MiB(20), 1, 1, 1}));
  auto b = ladder.pin("b", now);
  auto c = ladder.pin("c", now);
  const auto first = adopted("large");
  ASSERT_EQ(first.descents, (Steps{{"a", Rung::Hot, Rung::Parked}}));
  EXPECT_TRUE(begun().empty());
  // of the 20 MiB that will be left ten are free of promises only when "a" has gone further
  const auto second = adopted("small");
  EXPECT_TRUE(second.descents.empty());
  EXPECT_EQ(begun(), Ids{"small"});
  ladder.arrived("a", Rung::Parked);
  EXPECT_EQ(begun(), Ids{"large"});
}

TEST_F(LadderTest, TwoPlansNeverWaitForEachOther) {
  ASSERT_TRUE(ladder.know("e", plain()));
  const auto first = adopted("d");
  const auto second = adopted("e");
  for (const Step& step : second.descents) ladder.arrived(step.model, step.to);
  // what the first has sent away is still to come
  EXPECT_TRUE(begun().empty());
  for (const Step& step : first.descents) ladder.arrived(step.model, step.to);
  EXPECT_EQ(begun(), (Ids{"d", "e"}));
}

TEST_F(LadderTest, AModelInUseIsNeverAVictim) {
  auto a = ladder.pin("a", now);
  auto b = ladder.pin("b", now);
  const auto plan = ladder.plan("d", Rung::Hot, now);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->descents, (Steps{{"c", Rung::Hot, Rung::Absent}}));
  EXPECT_TRUE(ladder.shed(std::nullopt, now) == (Steps{{"c", Rung::Hot, Rung::Parked}}));
  auto refused = ladder.evict("a", Rung::Absent);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_EQ(refused.error().message,
            "sending away 'a': 1 answer uses it; retry when that has ended");
}

TEST_F(LadderTest, NoRoomSaysWhatHoldsTheMemoryAndThatWaitingHelps) {
  auto a = ladder.pin("a", now);
  auto b = ladder.pin("b", now);
  ladder.keep("c", true);
  auto refused = ladder.plan("d", Rung::Hot, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::NoRoom);
  EXPECT_EQ(refused.error().message,
            "bringing 'd' to hot: needs 100 MiB, but of 300 MiB 200 MiB is held by answers in "
            "progress and 100 MiB by models that you keep; 100 MiB is missing; retry when one has "
            "ended");
  const auto shortfall = ladder.shortfall("d", Rung::Hot);
  ASSERT_TRUE(shortfall);
  EXPECT_EQ(shortfall->remedy, Ladder::Remedy::Wait);
  EXPECT_EQ(shortfall->by_answers, MiB(200));
  EXPECT_EQ(shortfall->by_person, MiB(100));
  EXPECT_EQ(shortfall->missing, MiB(100));
}

TEST_F(LadderTest, NoRoomNamesOtherWorkAndModelsOnTheirWay) {
  away("a");
  away("b");
  away("c");
  ASSERT_TRUE(ladder.reserve("index", MiB(150)));
  adopted("d");
  auto refused = ladder.plan("a", Rung::Hot, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "bringing 'a' to hot: needs 100 MiB, but of 300 MiB 100 MiB is held by models on their "
            "way and 150 MiB by caches, indexing and other work; 50 MiB is missing; retry when one "
            "has ended");
}

TEST_F(LadderTest, WhatNeverFitsSaysSoAndNamesTheSetting) {
  ASSERT_TRUE(ladder.know("e", {{}, MiB(200), MiB(301), 1, 1, 1}));
  auto refused = ladder.plan("e", Rung::Hot, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "bringing 'e' to hot: needs 301 MiB, memory.budget is 300 MiB; choose a smaller "
            "context, cache type or model, or raise memory.budget");
  EXPECT_EQ(ladder.shortfall("e", Rung::Hot)->remedy, Ladder::Remedy::Never);
  EXPECT_TRUE(ladder.plan("e", Rung::Warm, now));
  EXPECT_EQ(ladder.to_drain("e", Rung::Hot), Ids{});
}

TEST_F(LadderTest, WhereKeptModelsAreInTheWayWaitingDoesNotHelp) {
  for (const char* id : {"a", "b", "c"}) ladder.keep(id, true);
  auto refused = ladder.plan("d", Rung::Hot, now);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("300 MiB is held by models that you keep"),
            std::string::npos);
  EXPECT_NE(refused.error().message.find("release one with `lares models unpin`"),
            std::string::npos);
  EXPECT_EQ(ladder.shortfall("d", Rung::Hot)->remedy, Ladder::Remedy::Unkeep);
  ladder.keep("b", false);
  EXPECT_EQ(ladder.plan("d", Rung::Hot, now)->descents.front().model, "b");
}

TEST_F(LadderTest, AKeptModelGoesOnlyWhereSomebodySaysSoAndThatIsSaid) {
  ladder.keep("a", true);
  now = after(100'000'000);
  for (const Step& step : ladder.idle_steps({}, now)) EXPECT_NE(step.model, "a");
  const auto steps = ladder.shed(std::nullopt, now);
  EXPECT_EQ(steps, (Steps{{"a", Rung::Hot, Rung::Parked, true}}));  // the others go already
  ladder.arrived("a", Rung::Parked);
  auto evicted = ladder.evict("a", Rung::Absent);
  ASSERT_TRUE(evicted);
  EXPECT_TRUE(evicted->kept);
}

TEST_F(LadderTest, NamesWhichModelsInUseMustComeToRest) {
  auto a = ladder.pin("a", now);
  auto b = ladder.pin("b", now);
  auto c = ladder.pin("c", now);
  EXPECT_EQ(ladder.to_drain("d", Rung::Hot), Ids{"a"});
  ASSERT_TRUE(ladder.know("e", {{}, {}, MiB(150), 1, 1, 1}));
  EXPECT_EQ(ladder.to_drain("e", Rung::Hot), (Ids{"a", "b"}));
  ladder.keep("a", true);
  EXPECT_EQ(ladder.to_drain("d", Rung::Hot), Ids{"b"});
}

TEST_F(LadderTest, AStalePinNeverReleasesALaterLife) {
  auto stale = ladder.pin("a", now);
  ladder.died("a");
  EXPECT_FALSE(ladder.pin("a", now));
  bring("a", Rung::Hot);
  auto fresh = ladder.pin("a", now);
  ASSERT_TRUE(fresh);
  stale.reset();
  EXPECT_TRUE(ladder.seen("a", now).in_use);
  EXPECT_FALSE(ladder.evict("a", Rung::Absent));
  fresh.reset();
  EXPECT_FALSE(ladder.seen("a", now).in_use);
}

TEST_F(LadderTest, APinOfAForgottenModelIsStaleToo) {
  auto stale = ladder.pin("a", now);
  ladder.died("a");
  ladder.forget("a");
  ASSERT_TRUE(ladder.know("a", plain()));
  bring("a", Rung::Hot);
  auto fresh = ladder.pin("a", now);
  stale.reset();
  EXPECT_TRUE(ladder.seen("a", now).in_use);
}

TEST_F(LadderTest, OnlyWhatIsHotOrOnItsWayThereCanBePinned) {
  EXPECT_FALSE(ladder.pin("d", now));
  EXPECT_FALSE(ladder.pin("unheard of", now));
  ASSERT_TRUE(ladder.evict("a", Rung::Absent));
  EXPECT_FALSE(ladder.pin("a", now));
  adopted("d");
  EXPECT_FALSE(ladder.pin("d", now));  // its room is not there yet
  ladder.arrived("a", Rung::Absent);
  EXPECT_EQ(begun(), Ids{"d"});
  auto pin = ladder.pin("d", now);
  EXPECT_TRUE(pin);
  EXPECT_FALSE(ladder.evict("d", Rung::Absent));
}

TEST_F(LadderTest, AMovingModelIsNotPlannedAnew) {
  ASSERT_TRUE(ladder.evict("a", Rung::Parked));
  auto refused = ladder.plan("a", Rung::Hot, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  EXPECT_EQ(refused.error().message,
            "bringing 'a' to hot: it is on its way from hot to parked; retry when it is there");
  EXPECT_EQ(ladder.plan("nobody", Rung::Hot, now).error().code, Code::NotFound);
  EXPECT_EQ(ladder.plan("b", Rung::Warm, now)->climb, (Step{"b", Rung::Hot, Rung::Hot}));
}

TEST_F(LadderTest, AVictimThatDiesFreesItsRoomForTheSameClimber) {
  const auto plan = adopted("d");
  for (const Step& step : plan.descents) ladder.died(step.model);
  EXPECT_EQ(begun(), Ids{"d"});
}

TEST_F(LadderTest, AClimberThatDiesGivesItsPromiseBack) {
  away("c", Rung::Parked);
  ASSERT_TRUE(ladder.know("e", {{}, {}, MiB(90), 1, 1, 1}));
  auto a = ladder.pin("a", now);
  auto b = ladder.pin("b", now);
  ASSERT_TRUE(ladder.reserve("index", MiB(20)));
  ASSERT_TRUE(ladder.evict("c", Rung::Absent));
  adopted("d", Rung::Parked);
  ASSERT_FALSE(ladder.plan("e", Rung::Hot, now));
  EXPECT_EQ(begun(), Ids{"d"});
  ladder.died("d");
  ladder.died("c");
  EXPECT_EQ(ladder.used(), MiB(220));
  EXPECT_FALSE(ladder.plan("e", Rung::Hot, now));
  ladder.release("index");
  EXPECT_TRUE(ladder.plan("e", Rung::Hot, now));
}

TEST_F(LadderTest, AClimbThatIsGivenUpLeavesItsVictimsOnTheirWay) {
  const auto plan = adopted("d");
  ladder.give_up("d");
  for (const Step& step : plan.descents) ladder.arrived(step.model, step.to);
  EXPECT_TRUE(begun().empty());
  EXPECT_EQ(at("d"), Rung::Absent);
  EXPECT_TRUE(ladder.fits("d", Rung::Hot));
}

TEST_F(LadderTest, AClimbThatHasBegunMayBeEndedForGood) {
  away("a");
  adopted("d");
  EXPECT_EQ(begun(), Ids{"d"});
  auto refused = ladder.evict("d", Rung::Parked);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
  ASSERT_TRUE(ladder.evict("d", Rung::Absent));
  ladder.arrived("d", Rung::Warm);  // it still says so
  EXPECT_EQ(ladder.used(), MiB(300));
  ladder.arrived("d", Rung::Absent);
  EXPECT_EQ(ladder.used(), MiB(200));
}

TEST_F(LadderTest, ADescentMayGoDeeperAndCountsUntilItsEnd) {
  ASSERT_TRUE(ladder.evict("a", Rung::Warm));
  ASSERT_TRUE(ladder.evict("a", Rung::Absent));
  ladder.arrived("a", Rung::Warm);
  EXPECT_EQ(ladder.size_of("a"), MiB(100));
  ladder.arrived("a", Rung::Absent);
  EXPECT_EQ(ladder.size_of("a"), Bytes{});
  auto nothing = ladder.evict("a", Rung::Absent);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->from, nothing->to);
  EXPECT_EQ(ladder.evict("nobody", Rung::Absent).error().code, Code::NotFound);
}

// --- shared parts

TEST_F(LadderTest, ASharedPartCountsOnceHoweverManyHoldIt) {
  Ladder other(MiB(300), next_use);
  for (const char* id : {"x", "y"}) {
    ASSERT_TRUE(other.know(id, sharing(MiB(50), MiB(200))));
    ASSERT_TRUE(other.adopt(*other.plan(id, Rung::Hot, now)));
    ASSERT_EQ(other.begin().climbs.size(), 1U);
    other.arrived(id, Rung::Hot);
  }
  EXPECT_EQ(other.used(), MiB(300));
  EXPECT_EQ(other.size_of("x"), MiB(250));
  other.died("x");
  EXPECT_EQ(other.used(), MiB(250));
  other.died("y");
  EXPECT_EQ(other.used(), Bytes{});
}

TEST_F(LadderTest, AllWhoHoldAPartGoWhereOnlyItsBytesMakeRoom) {
  Ladder other(MiB(300), next_use);
  for (const char* id : {"x", "y"}) {
    ASSERT_TRUE(other.know(id, sharing(MiB(10), MiB(200))));
    ASSERT_TRUE(other.adopt(*other.plan(id, Rung::Warm, now)));
    ASSERT_EQ(other.begin().climbs.size(), 1U);
    other.arrived(id, Rung::Warm);
  }
  ASSERT_TRUE(other.know("z", {{}, MiB(100), MiB(100), 1, 1, 1}));
  auto plan = other.plan("z", Rung::Hot, now);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->descents.size(), 2U);
  EXPECT_EQ(plan->frees, MiB(220));
}

TEST_F(LadderTest, AFootprintThatContradictsItselfOrOthersIsRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(ladder.know("x", {MiB(2), MiB(1), MiB(3)}).error().message,
            "the footprint of 'x': 2 MiB parked, 1 MiB warm and 3 MiB hot; a rung holds no less "
            "than the one below");
  for (const double ms : {-1.0, nan, std::numeric_limits<double>::infinity()})
    EXPECT_EQ(ladder.know("x", {{}, {}, {}, ms}).error().code, Code::Invalid);
  EXPECT_EQ(ladder.know("x", {{}, {}, {}, 0, 0, 0, {{"k", {1}}, {"k", {1}}}}).error().code,
            Code::Invalid);
  const std::vector<SharedPart> many(Ladder::kPartsMax + 1);
  EXPECT_EQ(ladder.know("x", {{}, {}, {}, 0, 0, 0, many}).error().code, Code::Invalid);
  ASSERT_TRUE(ladder.know("x", {{}, {}, {}, 0, 0, 0, {{"k", {1}}}}));
  EXPECT_EQ(ladder.know("y", {{}, {}, {}, 0, 0, 0, {{"k", {2}}}}).error().code, Code::Invalid);
  EXPECT_FALSE(ladder.footprint("y"));
}

TEST_F(LadderTest, AbsurdSizesDoNotWrapAround) {
  ASSERT_TRUE(ladder.know("x", {{}, {}, Bytes{UINT64_MAX}, 0, 0, 0, {{"k", {UINT64_MAX}}}}));
  EXPECT_EQ(ladder.plan("x", Rung::Hot, now).error().code, Code::NoRoom);
  EXPECT_FALSE(ladder.measured("a", Rung::Hot, Bytes{UINT64_MAX - 5}));
  EXPECT_FALSE(ladder.reserve("index", Bytes{UINT64_MAX}));
  EXPECT_FALSE(ladder.plan_reserve("index", Bytes{UINT64_MAX}, now));
  EXPECT_EQ(ladder.used(), MiB(300));
}

TEST_F(LadderTest, ModelsAndHoldersAreBounded) {
  for (size_t i = ladder.models().size(); i < Ladder::kModelsMax; i++)
    ASSERT_TRUE(ladder.know(cat("m", i), {}));
  EXPECT_EQ(ladder.know("one more", {}).error().code, Code::Busy);
  ladder.forget("m5");
  EXPECT_TRUE(ladder.know("one more", {}));
}

TEST_F(LadderTest, HoldersAreBounded) {
  for (size_t i = 0; i < Ladder::kHoldersMax; i++) ASSERT_TRUE(ladder.reserve(cat("h", i), {}));
  EXPECT_EQ(ladder.reserve("one more", {}).error().code, Code::Busy);
  EXPECT_EQ(ladder.plan_reserve("one more", {}, now).error().code, Code::Busy);
}

// --- what was measured

TEST_F(LadderTest, MeasuredBytesReplaceTheEstimateWhenTheyFit) {
  EXPECT_TRUE(ladder.measured("a", Rung::Hot, MiB(90)));
  EXPECT_EQ(ladder.used(), MiB(290));
  EXPECT_TRUE(ladder.measured("a", Rung::Warm, MiB(60)));
  EXPECT_EQ(ladder.used(), MiB(290));
  EXPECT_TRUE(ladder.measured("a", Rung::Parked, MiB(70)));  // then warm is no less
  EXPECT_EQ(ladder.footprint("a")->warm, MiB(70));
  EXPECT_TRUE(ladder.measured("a", Rung::Hot, MiB(50)));
  EXPECT_EQ(ladder.footprint("a")->parked, MiB(50));
}

TEST_F(LadderTest, WhatTookMoreThanThereIsCountsInItsNextLife) {
  EXPECT_FALSE(ladder.measured("a", Rung::Hot, MiB(120)));
  EXPECT_EQ(ladder.used(), MiB(300));
  away("a");
  EXPECT_EQ(ladder.footprint("a")->hot, MiB(120));
  EXPECT_EQ(ladder.plan("a", Rung::Hot, now)->bytes, MiB(120));
}

TEST_F(LadderTest, WhatIsPromisedIsNotTakenByAMeasurement) {
  away("a");
  ASSERT_TRUE(ladder.reserve("index", MiB(100)));
  auto b = ladder.pin("b", now);
  adopted("a", Rung::Warm);
  ladder.release("index");
  EXPECT_FALSE(ladder.measured("b", Rung::Hot, MiB(221)));
  EXPECT_TRUE(ladder.seen("a", now).move == Ladder::Move::Waits);
}

TEST_F(LadderTest, AMeasuredPartCountsForAllWhoHoldIt) {
  for (const char* id : {"a", "b", "c"}) away(id);
  for (const char* id : {"x", "y"}) {
    ASSERT_TRUE(ladder.know(id, sharing(MiB(50), MiB(100))));
    bring(id, Rung::Hot);
  }
  EXPECT_TRUE(ladder.part_measured("digest", MiB(150)));
  EXPECT_EQ(ladder.used(), MiB(250));
  EXPECT_FALSE(ladder.part_measured("digest", MiB(201)));
  EXPECT_EQ(ladder.used(), MiB(250));
}

TEST_F(LadderTest, CostsAreARunningMeanFromTheFirstMeasurementOn) {
  ladder.climb_took("a", Rung::Warm, 1'000);
  EXPECT_EQ(ladder.footprint("a")->warm_ms, 1'000);
  ladder.climb_took("a", Rung::Warm, 2'000);
  EXPECT_EQ(ladder.footprint("a")->warm_ms, 1'250);
  ladder.climb_took("a", Rung::Warm, -1);
  EXPECT_EQ(ladder.footprint("a")->warm_ms, 1'250);
}

TEST_F(LadderTest, OneAdapterMoreCountsOrIsRefused) {
  Footprint with = plain();
  with.shared.push_back({"adapter", MiB(10)});
  auto refused = ladder.know("a", with);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::NoRoom);
  EXPECT_EQ(ladder.size_of("a"), MiB(100));
  away("c");
  ASSERT_TRUE(ladder.know("a", with));
  EXPECT_EQ(ladder.size_of("a"), MiB(110));
}

// --- other holders

TEST_F(LadderTest, OtherWorkHoldsMemoryByName) {
  EXPECT_FALSE(ladder.reserve("training", MiB(1)));
  away("a");
  EXPECT_TRUE(ladder.reserve("training", MiB(100)));
  EXPECT_TRUE(ladder.reserve("training", MiB(60)));
  EXPECT_EQ(ladder.reserved("training"), MiB(60));
  EXPECT_FALSE(ladder.reserve("training", MiB(101)));
  EXPECT_EQ(ladder.reserved("training"), MiB(60));
  ladder.release("training");
  ladder.release("training");
  EXPECT_EQ(ladder.used(), MiB(200));
}

TEST_F(LadderTest, OtherWorkHasRoomMadeForItByThePlan) {
  auto plan = ladder.plan_reserve("training", MiB(50), now);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(ladder.adopt(*plan));
  EXPECT_EQ(ladder.plan_reserve("training", MiB(60), now).error().code, Code::Busy);
  EXPECT_TRUE(ladder.begin().holders.empty());
  EXPECT_EQ(ladder.reserved("training"), Bytes{});
  for (const Step& step : plan->descents) ladder.arrived(step.model, step.to);
  EXPECT_EQ(ladder.begin().holders, (std::vector<std::string>{"training"}));
  EXPECT_EQ(ladder.reserved("training"), MiB(50));
}

// --- the budget

TEST_F(LadderTest, ALoweredBudgetIsShedAndUntilThenNothingClimbs) {
  ladder.keep("a", true);
  auto b = ladder.pin("b", now);
  const auto relief = ladder.set_budget(MiB(210), now);
  EXPECT_EQ(relief.descents, (Steps{{"c", Rung::Hot, Rung::Parked}}));
  EXPECT_EQ(relief.still_over, Bytes{});
  EXPECT_EQ(ladder.over_by(), MiB(90));
  auto refused = ladder.plan("d", Rung::Parked, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "bringing 'd' to parked: memory.budget was lowered to 210 MiB, and 90 MiB more than "
            "that is still held; retry when it has left");
  EXPECT_EQ(ladder.shortfall("d", Rung::Parked)->remedy, Ladder::Remedy::Wait);
  EXPECT_FALSE(ladder.measured("b", Rung::Hot, MiB(101)));
  EXPECT_FALSE(ladder.reserve("index", {1}));
  EXPECT_TRUE(ladder.pin("a", now));
  ladder.arrived("c", Rung::Parked);
  EXPECT_EQ(ladder.over_by(), Bytes{});
  EXPECT_TRUE(ladder.plan("d", Rung::Parked, now));
}

TEST_F(LadderTest, AKeptModelGoesWhereALoweredBudgetLeavesNothingElse) {
  ladder.keep("a", true);
  auto b = ladder.pin("b", now);
  const auto relief = ladder.set_budget(MiB(150), now);
  EXPECT_EQ(relief.descents,
            (Steps{{"c", Rung::Hot, Rung::Parked}, {"a", Rung::Hot, Rung::Parked, true}}));
}

TEST_F(LadderTest, WhatAnswersHoldIsShedWhenTheyHaveEnded) {
  std::vector<Ladder::Pin> pins;
  for (const char* id : {"a", "b", "c"}) pins.push_back(*ladder.pin(id, now));
  auto relief = ladder.set_budget(MiB(150), now);
  EXPECT_TRUE(relief.descents.empty());
  EXPECT_EQ(relief.still_over, MiB(150));
  pins.clear();
  relief = ladder.relieve(now);
  EXPECT_EQ(relief.still_over, Bytes{});
  for (const Step& step : relief.descents) ladder.arrived(step.model, step.to);
  EXPECT_EQ(ladder.over_by(), Bytes{});
  EXPECT_TRUE(ladder.relieve(now).descents.empty());
}

TEST_F(LadderTest, ClimbsThatWaitAreGivenUpTheLatestFirst) {
  ASSERT_TRUE(ladder.know("e", plain()));
  adopted("d");
  adopted("e");
  const auto relief = ladder.set_budget(MiB(200), now);
  EXPECT_EQ(relief.given_up, Ids{"e"});
  EXPECT_EQ(relief.still_over, Bytes{});
  for (const char* id : {"a", "b", "c"}) ladder.died(id);
  EXPECT_EQ(begun(), Ids{"d"});
}

TEST_F(LadderTest, ABudgetOfOneByteIsACleanNoRoom) {
  const auto relief = ladder.set_budget({1}, now);
  EXPECT_EQ(relief.descents.size(), 3U);
  for (const Step& step : relief.descents) {
    EXPECT_EQ(step.to, Rung::Absent);
    ladder.arrived(step.model, step.to);
  }
  auto refused = ladder.plan("d", Rung::Parked, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "bringing 'd' to parked: needs 10 MiB, memory.budget is 1 B; choose a smaller context, "
            "cache type or model, or raise memory.budget");
}

// --- idleness and pressure

TEST_F(LadderTest, IdleModelsWalkDownOneRungAtATime) {
  const Ladder::IdleTimes times{milliseconds(100), milliseconds(200), milliseconds(300)};
  ladder.use("b", after(50));
  auto pin = ladder.pin("c", after(0));
  EXPECT_TRUE(ladder.idle_steps(times, after(99)).empty());
  EXPECT_EQ(ladder.idle_steps(times, after(100)), (Steps{{"a", Rung::Hot, Rung::Warm}}));
  EXPECT_EQ(ladder.idle_steps(times, after(400)), (Steps{{"b", Rung::Hot, Rung::Warm}}));
  ladder.arrived("a", Rung::Warm);
  EXPECT_EQ(ladder.idle_steps(times, after(400)), (Steps{{"a", Rung::Warm, Rung::Parked}}));
  ladder.arrived("a", Rung::Parked);
  EXPECT_EQ(ladder.idle_steps(times, after(400)), (Steps{{"a", Rung::Parked, Rung::Absent}}));
  pin.reset();  // counts from the next look on
  EXPECT_TRUE(ladder.idle_steps(times, after(10'000)).empty());
  EXPECT_TRUE(ladder.idle_steps(times, after(10'099)).empty());
  EXPECT_EQ(ladder.idle_steps(times, after(10'100)), (Steps{{"c", Rung::Hot, Rung::Warm}}));
}

TEST_F(LadderTest, KeepAliveStandsBeforeTheRungsTimes) {
  const Ladder::IdleTimes times{milliseconds(100), milliseconds(200), milliseconds(300)};
  ladder.set_keep_alive("a", milliseconds(0));
  ladder.set_keep_alive("b", milliseconds(-1));
  ladder.set_keep_alive("c", milliseconds(1'000));
  EXPECT_EQ(ladder.idle_steps(times, after(0)), (Steps{{"a", Rung::Hot, Rung::Warm}}));
  ladder.arrived("a", Rung::Warm);
  EXPECT_EQ(ladder.idle_steps(times, after(0)), (Steps{{"a", Rung::Warm, Rung::Parked}}));
  ladder.arrived("a", Rung::Parked);
  EXPECT_EQ(ladder.idle_steps(times, after(999)), (Steps{{"a", Rung::Parked, Rung::Absent}}));
  EXPECT_EQ(ladder.idle_steps(times, after(1'000)), (Steps{{"c", Rung::Hot, Rung::Warm}}));
  EXPECT_TRUE(
      ladder.idle_steps({milliseconds(-1), milliseconds(-1), milliseconds(-1)}, after(1'000'000))
          .empty());
}

TEST_F(LadderTest, PressureParksTheMostUselessUntilEnoughIsFreed) {
  next_use.used("chat", "a", now);
  next_use.used("chat", "b", now);
  const auto steps = ladder.shed(MiB(60), now);
  EXPECT_EQ(steps, (Steps{{"c", Rung::Hot, Rung::Parked}}));
  EXPECT_EQ(ladder.shed(std::nullopt, now).size(), 2U);
  EXPECT_TRUE(ladder.shed(std::nullopt, now).empty());
}

// --- our own bugs

TEST_F(LadderTest, ArrivingWithoutHavingLeftIsABug) {
  EXPECT_DEATH(ladder.arrived("a", Rung::Hot), "Move::Climbs");
  EXPECT_DEATH(ladder.arrived("nobody", Rung::Hot), "found");
}

TEST_F(LadderTest, ForgettingAModelInMemoryIsABug) {
  EXPECT_DEATH(ladder.forget("a"), "Rung::Absent");
  ladder.forget("nobody");
}

}  // namespace
}  // namespace lares::sched
