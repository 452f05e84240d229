#include "sched/restraint.h"

#include <gtest/gtest.h>

namespace lares::sched {
namespace {

using inventory::Power;

TEST(Restraint, NothingRestrainsAMachineThatIsPluggedInAndCool) {
  Restraint restraint({.threads = 8});
  const auto decision = restraint.decide({false, 60}, 0.1);
  EXPECT_EQ(decision.worst, Lane::Background);
  EXPECT_EQ(decision.threads, 8U);
  EXPECT_EQ(decision.why, "");
}

TEST(Restraint, OnBatteryBackgroundWaitsAndTheRestTakesHalfTheCores) {
  Restraint restraint({.threads = 8});
  const auto decision = restraint.decide({true, std::nullopt}, std::nullopt);
  EXPECT_EQ(decision.worst, Lane::Agent);
  EXPECT_EQ(decision.threads, 4U);
  EXPECT_EQ(decision.why, "on battery");
}

TEST(Restraint, TheOwnerMayLetItGoOn) {
  Restraint restraint({.threads = 8, .background_on_battery = true});
  EXPECT_EQ(restraint.decide({true, {}}, {}).worst, Lane::Background);
  EXPECT_EQ(restraint.decide({true, {}}, {}).threads, 8U);
  Restraint three({.threads = 8, .battery_threads = 3});
  EXPECT_EQ(three.decide({true, {}}, {}).threads, 3U);
  Restraint many({.threads = 2, .battery_threads = 6});
  EXPECT_EQ(many.decide({true, {}}, {}).threads, 2U) << "never more than without";
}

TEST(Restraint, WhatIsTooHotMustCoolDownByFiveDegrees) {
  Restraint restraint({.threads = 4, .temperature_max = 90});
  EXPECT_EQ(restraint.decide({false, 89}, {}).worst, Lane::Background);
  EXPECT_EQ(restraint.decide({false, 90}, {}).worst, Lane::Agent);
  EXPECT_EQ(restraint.decide({false, 86}, {}).threads, 2U);
  EXPECT_EQ(restraint.decide({false, 86}, {}).why, "the processor has 86 °C");
  EXPECT_EQ(restraint.decide({false, 84}, {}).worst, Lane::Background);
  Restraint never({.threads = 4, .temperature_max = 0});
  EXPECT_EQ(never.decide({false, 140}, {}).worst, Lane::Background);
}

TEST(Restraint, ACoreThatOthersUseIsLeftToThem) {
  Restraint restraint({.threads = 4});
  unsigned threads = 4;
  for (int second = 0; second < 6; second++) threads = restraint.decide({}, 1.0).threads;
  EXPECT_EQ(threads, 3U);
  for (int second = 0; second < 8; second++) threads = restraint.decide({}, 9.0).threads;
  EXPECT_EQ(threads, 1U) << "one is always left";
  for (int second = 0; second < 20; second++) threads = restraint.decide({}, 0.0).threads;
  EXPECT_EQ(threads, 4U);
}

TEST(Restraint, AMomentOfOthersWorkChangesNothing) {
  Restraint restraint({.threads = 4});
  EXPECT_EQ(restraint.decide({}, 1.0).threads, 4U);
  EXPECT_EQ(restraint.decide({}, 0.0).threads, 4U);
}

TEST(Restraint, LoadAtTheBorderDoesNotGoToAndFro) {
  Restraint restraint({.threads = 4});
  for (int second = 0; second < 10; second++) restraint.decide({}, 0.6);
  int changes = 0;
  unsigned before = restraint.decide({}, 0.6).threads;
  for (int second = 0; second < 20; second++) {
    const unsigned now = restraint.decide({}, second % 2 == 0 ? 0.35 : 0.6).threads;
    changes += now != before ? 1 : 0;
    before = now;
  }
  EXPECT_EQ(changes, 0);
}

TEST(Restraint, NobodyElseIsMindedWhereThatIsOff) {
  Restraint restraint({.threads = 4, .beside_others = false});
  for (int second = 0; second < 6; second++) EXPECT_EQ(restraint.decide({}, 3.0).threads, 4U);
}

}  // namespace
}  // namespace lares::sched
