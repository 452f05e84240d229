#include "app/machine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "app/testing/fake_house.h"
#include "app/testing/member.h"

namespace lares::app {
namespace {

using wire::LeasePage;

// Plays a worker's side of its page (wire/lease_page.h): asks for its turn in the background lane,
// computes when it has it, and says what it measured.
constexpr std::string_view kMeasures = R"script(#!/bin/bash
printf '\002\000\000\000\001\000\000\000' | dd of=/dev/fd/5 bs=1 seek=64 conv=notrunc status=none
printf '\001\000\000\000' | dd of=/dev/fd/5 bs=1 conv=notrunc status=none
printf '\001\000\000\000\000\000\000\000' >&6
echo "$@" > FOLDER/asked
until [ "$(od -An -tu1 -N1 /dev/fd/5 | tr -d ' ')" = 2 ]; do sleep 0.01; done
echo > FOLDER/computed
printf '\000\000\000\000' | dd of=/dev/fd/5 bs=1 conv=notrunc status=none
printf '\001\000\000\000\000\000\000\000' >&6
echo '{"threads": 2}'
)script";

// Whoever answers meanwhile.
struct Answering : testing::Member {
  explicit Answering(Leases& leases) : Member(leases) {
    leases.allow(member, Lane::Interactive);
    want(0);
    EXPECT_TRUE(gets_it());
  }
};

class MachineTest : public ::testing::Test {
 protected:
  MachineTest() {
    programs.worker = folder.path() / "worker";
    home.cache = folder.path();
    std::string script(kMeasures);
    for (size_t at = 0; (at = script.find("FOLDER")) != std::string::npos;)
      script.replace(at, 6, folder.path().string());
    std::ofstream(programs.worker) << script;
    EXPECT_EQ(::chmod(programs.worker.c_str(), 0700), 0);
  }
  Result<Json> measure(Measure measure = Measure::IfUnknown,
                       milliseconds limit = milliseconds(60'000)) {
    return machine_speeds(programs, home, "variant", 2, measure, leases, stop.get_token(), log,
                          limit);
  }
  bool exists(const char* name) const { return std::filesystem::exists(folder.path() / name); }
  void wait_for(const char* name) const {
    while (!exists(name)) std::this_thread::yield();
  }

  testing::Folder folder;
  Programs programs;
  Home home;
  Log log = Log::silent();
  const SystemClock clock;
  Leases leases{clock, {}};
  std::stop_source stop;
};

TEST_F(MachineTest, IsMeasuredInATurnOfItsOwn) {
  const auto speeds = measure();
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_EQ((*speeds)["threads"], 2);
  EXPECT_TRUE(leases.pids().empty()) << "it is no member any more";
  EXPECT_FALSE(leases.wanted());
}

TEST_F(MachineTest, WhatMeasuresWaitsWhileAnAnswerComputes) {
  Answering person(leases);
  Result<Json> speeds = Json();
  std::thread measuring([&] { speeds = measure(); });
  wait_for("asked");
  while (leases.pids().empty()) std::this_thread::yield();
  const milliseconds until = leases.lane_held()[0] + milliseconds(100);
  EXPECT_TRUE(Answering::soon([&] { return leases.lane_held()[0] >= until; }));
  EXPECT_FALSE(exists("computed")) << "nobody else has the device";
  EXPECT_EQ(leases.lane_held()[2], milliseconds(0));
  person.say(LeasePage::Resting);
  measuring.join();
  EXPECT_TRUE(speeds) << speeds.error().message;
  EXPECT_TRUE(exists("computed"));
}

TEST_F(MachineTest, IsNotMeasuredWhileOthersComputeForTooLong) {
  Answering person(leases);
  const auto speeds = measure(Measure::IfUnknown, milliseconds(200));
  ASSERT_FALSE(speeds);
  EXPECT_EQ(speeds.error().code, Code::Busy) << speeds.error().message;
  EXPECT_TRUE(leases.pids().empty());
}

TEST_F(MachineTest, AProcessThatIsNotWantedAnyMoreIsEnded) {
  Answering person(leases);
  Result<Json> speeds = Json();
  std::thread measuring([&] { speeds = measure(); });
  wait_for("asked");
  stop.request_stop();
  measuring.join();
  ASSERT_FALSE(speeds);
  EXPECT_EQ(speeds.error().code, Code::Cancelled);
}

TEST_F(MachineTest, WithoutAskingForItNothingIsStarted) {
  EXPECT_EQ(measure(Measure::Never).error().code, Code::NotFound);
  EXPECT_FALSE(exists("asked"));
}

}  // namespace
}  // namespace lares::app
