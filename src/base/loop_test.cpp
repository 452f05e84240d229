#include "base/loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lares {
namespace {

using std::chrono::milliseconds;

struct LoopTest : testing::Test {
  void run_all() {
    while (loop.run_one()) continue;
  }
  // A task that writes its letter down.
  Task say(char letter) {
    return [this, letter] { said += letter; };
  }
  FakeClock clock;
  Loop loop{clock, 4};
  std::string said;
};

TEST_F(LoopTest, RunsTasksInTheOrderTheyCame) {
  EXPECT_TRUE(loop.post(say('a')));
  EXPECT_TRUE(loop.post(say('b')));
  EXPECT_TRUE(loop.post(say('c')));
  run_all();
  EXPECT_EQ(said, "abc");
  EXPECT_FALSE(loop.run_one());
}

TEST_F(LoopTest, RefusesWhatDoesNotFitButNeverAnEnd) {
  for (int i = 0; i < 4; i++) EXPECT_TRUE(loop.post(say('a')));
  EXPECT_FALSE(loop.post(say('b')));
  loop.post_end(say('e'));
  run_all();
  EXPECT_EQ(said, "aaaae");
  EXPECT_TRUE(loop.post(say('c')));
}

TEST_F(LoopTest, ATaskMayPostMore) {
  ASSERT_TRUE(loop.post([&] {
    said += 'a';
    ASSERT_TRUE(loop.post(say('b')));
  }));
  run_all();
  EXPECT_EQ(said, "ab");
}

TEST_F(LoopTest, TimersRunWhenTheyAreDueAndInThatOrder) {
  loop.after(milliseconds(20), say('b'));
  loop.after(milliseconds(10), say('a'));
  loop.after(milliseconds(20), say('c'));
  run_all();
  EXPECT_EQ(said, "");
  clock.advance(milliseconds(10));
  run_all();
  EXPECT_EQ(said, "a");
  clock.advance(milliseconds(10));
  run_all();
  EXPECT_EQ(said, "abc");
}

TEST_F(LoopTest, ATimerThatWasCancelledDoesNotRun) {
  const auto first = loop.after(milliseconds(10), say('a'));
  const auto second = loop.after(milliseconds(10), say('b'));
  loop.cancel(first);
  loop.cancel(first);
  loop.cancel(12345);
  clock.advance(milliseconds(10));
  run_all();
  EXPECT_EQ(said, "b");
  loop.cancel(second);  // has run: no effect
}

TEST_F(LoopTest, WhatACancelledTimerHeldMayPostWhenItGoes) {
  struct Poster {
    explicit Poster(LoopTest& owner) : test(owner) {}
    ~Poster() { EXPECT_TRUE(test.loop.post(test.say('p'))); }
    LoopTest& test;
  };
  auto poster = std::make_shared<Poster>(*this);
  const auto timer = loop.after(milliseconds(10), [poster] {});
  poster.reset();
  loop.cancel(timer);
  run_all();
  EXPECT_EQ(said, "p");
}

TEST_F(LoopTest, TasksMayOwnWhatCannotBeCopied) {
  auto owned = std::make_unique<char>('u');
  ASSERT_TRUE(loop.post([this, owned = std::move(owned)] { said += *owned; }));
  run_all();
  EXPECT_EQ(said, "u");
}

TEST_F(LoopTest, StopsAfterWhatWasQueuedAndTakesNothingMore) {
  ASSERT_TRUE(loop.post(say('a')));
  loop.stop();
  EXPECT_FALSE(loop.post(say('b')));
  loop.run();
  EXPECT_EQ(said, "a");
}

TEST(Loop, TakesTasksFromManyThreadsAndLosesNone) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  const SystemClock clock;
  Loop loop(clock);
  int ran = 0;  // the loop's own, without a lock
  std::thread runner([&] { loop.run(); });
  {
    std::vector<std::jthread> posters;
    posters.reserve(kThreads);
    for (int t = 0; t < kThreads; t++) {
      posters.emplace_back([&] {
        for (int i = 0; i < kTasks; i++) EXPECT_TRUE(loop.post([&] { ran++; }));
      });
    }
  }
  loop.stop();
  runner.join();
  EXPECT_EQ(ran, kThreads * kTasks);
}

TEST(Loop, WakesForATimer) {
  const SystemClock clock;
  Loop loop(clock);
  loop.after(milliseconds(1), [&] { loop.stop(); });
  loop.run();
}

TEST(Clock, MillisecondsAreNeverNegative) {
  FakeClock clock;
  const SteadyTime before = clock.now();
  clock.advance(milliseconds(1500));
  EXPECT_EQ(ms_between(before, clock.now()), 1500);
  EXPECT_EQ(ms_between(clock.now(), before), 0);
}

TEST(Clock, WallTimeMayBeSetBackWithoutMovingDurations) {
  FakeClock clock;
  const SteadyTime before = clock.now();
  clock.set_wall(WallTime{});
  EXPECT_EQ(ms_between(before, clock.now()), 0);
}

}  // namespace
}  // namespace lares
