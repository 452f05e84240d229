#include "app/machine_watch.h"

#include <gtest/gtest.h>

#include <fstream>

#include "app/testing/fake_house.h"
#include "app/testing/member.h"

namespace lares::app {
namespace {

using testing::Member;
using wire::LeasePage;

// A machine whose /proc and /sys are files of the test, looked at all the time.
class MachineWatchTest : public ::testing::Test {
 protected:
  void put(const std::string& file, std::string_view text) const {
    const auto path = folder.path() / file;
    std::filesystem::create_directories(path.parent_path());
    // as the kernel's files change: at once
    std::ofstream(path.string() + ".new") << text << "\n";
    std::filesystem::rename(path.string() + ".new", path);
  }
  void battery(std::string_view status) const {
    put("sys/class/power_supply/BAT0/type", "Battery");
    put("sys/class/power_supply/BAT0/status", status);
  }
  void temperature(std::string_view millidegrees) const {
    put("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp");
    put("sys/class/thermal/thermal_zone0/temp", millidegrees);
  }
  void watch(sched::Restraint::Options options = {.threads = 4}) {
    watching.emplace(
        leases, options,
        [this](const sched::Restraint::Decision& decision) {
          const MutexLock lock(mutex);
          decisions.push_back(decision);
        },
        MachineWatch::Look{folder.path(), milliseconds(1), milliseconds(1)});
  }
  // The decision with that number, from 1.
  sched::Restraint::Decision decided(size_t number) {
    sched::Restraint::Decision decision;
    EXPECT_TRUE(Member::soon([&] {
      const MutexLock lock(mutex);
      if (decisions.size() < number) return false;
      decision = decisions[number - 1];
      return true;
    })) << "decision "
        << number;
    return decision;
  }

  const SystemClock clock;
  Leases leases{clock, {}};
  testing::Folder folder;
  Mutex mutex;
  std::vector<sched::Restraint::Decision> decisions GUARDED_BY(mutex);
  std::optional<MachineWatch> watching;  // last: its thread uses the others
};

TEST_F(MachineWatchTest, OnBatteryBackgroundWaitsWhileAPersonGoesOn) {
  battery("Full");
  watch();
  Member background(leases);
  Member person(leases);
  leases.allow(person.member, Lane::Interactive);
  background.want(2);
  ASSERT_TRUE(background.gets_it());

  battery("Discharging");
  const auto restrained = decided(1);
  EXPECT_EQ(restrained.worst, Lane::Agent);
  EXPECT_EQ(restrained.threads, 2U);
  EXPECT_EQ(restrained.why, "on battery");
  EXPECT_TRUE(Member::soon([&] { return background.page->until_ns != wire::kUntilNever; }))
      << "it is to give the device back";
  EXPECT_EQ(background.page->worst, 1U);
  EXPECT_EQ(person.page->threads, 2U);
  background.want(2);
  for (int step = 0; step < 5; step++) {
    person.want(0);
    ASSERT_TRUE(person.gets_it());
    EXPECT_EQ(background.page->state, LeasePage::Waiting);
    person.say(LeasePage::Resting);
    ASSERT_TRUE(Member::soon([&] { return !leases.seen(person.member).holds; }));
  }
  EXPECT_FALSE(leases.seen(background.member).holds);

  battery("Charging");
  EXPECT_EQ(decided(2).why, "");
  EXPECT_TRUE(background.gets_it());
  EXPECT_EQ(background.page->threads, 4U);
}

TEST_F(MachineWatchTest, ABatteryThatIsEmptiedBesideACableDoesNotCount) {
  battery("Discharging");
  put("sys/class/power_supply/AC/type", "Mains");
  put("sys/class/power_supply/AC/online", "1");
  temperature("95000");  // the one thing to decide on
  watch();
  EXPECT_EQ(decided(1).why, "the processor has 95 °C");
  put("sys/class/power_supply/AC/online", "0");
  EXPECT_EQ(decided(2).why, "the processor has 95 °C; on battery");
}

TEST_F(MachineWatchTest, AboveTheTemperatureBackgroundWaitsUntilItIsCooler) {
  temperature("60000");
  watch({.threads = 8, .temperature_max = 80});
  temperature("80000");
  const auto hot = decided(1);
  EXPECT_EQ(hot.worst, Lane::Agent);
  EXPECT_EQ(hot.threads, 4U);
  EXPECT_EQ(hot.why, "the processor has 80 °C");
  temperature("74000");
  EXPECT_EQ(decided(2).worst, Lane::Background);
}

TEST_F(MachineWatchTest, WhatTheKernelDoesNotSayOrSaysBadlyRestrainsNothing) {
  watch();  // of an empty folder
  size_t decision = 0;
  const auto sees_what_makes_sense = [&] {
    put("sys/class/thermal/thermal_zone9/type", "cpu-thermal");
    put("sys/class/thermal/thermal_zone9/temp", "95000");
    EXPECT_EQ(decided(++decision).why, "the processor has 95 °C") << "and nothing besides";
    put("sys/class/thermal/thermal_zone9/temp", "40000");
    EXPECT_EQ(decided(++decision).why, "");
  };
  sees_what_makes_sense();
  const std::vector<std::string> garbage = {"",
                                            "nan",
                                            "-1",
                                            "99999999999999999999",
                                            std::string("Discharging\0!", 13),
                                            std::string(100'000, '9'),
                                            "\xff\xfe\n\n\x01"};
  for (const std::string& text : garbage) {
    temperature(text);
    battery(text);
    put("sys/class/power_supply/AC/type", text);
    put("sys/class/power_supply/AC/online", text);
    put("proc/stat", "cpu " + text);
    sees_what_makes_sense();
  }
  std::filesystem::create_directories(folder.path() / "sys/class/thermal/thermal_zone7/temp");
  std::filesystem::create_directories(folder.path() / "sys/class/power_supply/BAT7/type");
  sees_what_makes_sense();
  put("sys/class/power_supply/AC/type", "Mains");
  put("sys/class/power_supply/AC/online", "0");
  battery("Discharging");
  EXPECT_EQ(decided(++decision).why, "on battery");
}

TEST_F(MachineWatchTest, ItEndsAtOnceHoweverSeldomItLooks) {
  watching.emplace(
      leases, sched::Restraint::Options{.threads = 4}, [](const sched::Restraint::Decision&) {},
      MachineWatch::Look{folder.path(), std::chrono::hours(1), std::chrono::hours(1)});
  watching.reset();
}

TEST(Restrained, IsWhatStatusPsAndDoctorSay) {
  testing::House house({{"alpha", MiB(300)}}, MiB(500), /*preload=*/true);
  house.load("alpha");
  EXPECT_EQ((*house.ask("status"))["restraint"], "");
  EXPECT_TRUE((*house.ask("ps"))[0]["paused"].is_null());
  EXPECT_EQ((*house.ask("doctor"))["background_waits"], false);
  house.core->set_restraint({Lane::Agent, 2, "on battery"});
  const Json status = *house.ask("status");
  EXPECT_EQ(status["restraint"], "on battery");
  EXPECT_EQ(status["paused_lanes"], Json::array({"background"}));
  EXPECT_EQ((*house.ask("ps"))[0]["paused"], "on battery");
  const Json doctor = *house.ask("doctor");
  EXPECT_EQ(doctor["restraint"], "on battery");
  EXPECT_EQ(doctor["background_waits"], true);
  house.core->set_restraint({Lane::Background, 3, "other programs compute on 1 core"});
  EXPECT_TRUE((*house.ask("ps"))[0]["paused"].is_null()) << "nobody has to wait for that";
}

}  // namespace
}  // namespace lares::app
