#include "host/watchdog.h"

#include <gtest/gtest.h>

namespace lares::host {
namespace {

constexpr milliseconds kMax{1500};

class WatchdogTest : public testing::Test {
 protected:
  // Looks every 100 ms, as meant.
  void pass(milliseconds time) {
    for (milliseconds gone{0}; gone < time; gone += milliseconds(100)) {
      clock_.advance(milliseconds(100));
      dog_.look(clock_.now(), milliseconds(100));
    }
  }
  // Meant to sleep 100 ms, and came back later.
  void held_up(milliseconds time) {
    clock_.advance(time);
    dog_.look(clock_.now(), milliseconds(100));
  }

  FakeClock clock_;
  Watchdog dog_{clock_.now(), kMax};
};

TEST_F(WatchdogTest, BarksAfterSilence) {
  dog_.heard_hello();
  pass(milliseconds(1400));
  EXPECT_FALSE(dog_.verdict());
  pass(milliseconds(100));
  EXPECT_EQ(dog_.verdict(), "stood still for 1.5 s: not a sign of life");
}

TEST_F(WatchdogTest, ABeatIsASignOfLife) {
  dog_.heard_hello();
  for (int i = 0; i < 50; i++) {
    pass(milliseconds(1400));
    dog_.heard_beat({.progress = 0, .busy = false});
    EXPECT_FALSE(dog_.verdict());
  }
}

TEST_F(WatchdogTest, BusyWithoutProgressIsStandingStill) {
  dog_.heard_hello();
  dog_.heard_beat({.progress = 7, .busy = true});
  for (int i = 0; i < 5; i++) {
    pass(milliseconds(200));
    dog_.heard_beat({.progress = 7, .busy = true});
    EXPECT_FALSE(dog_.verdict());
  }
  pass(milliseconds(500));
  dog_.heard_beat({.progress = 7, .busy = true});
  EXPECT_EQ(dog_.verdict(), "stood still for 1.5 s: busy, but without progress");
}

TEST_F(WatchdogTest, ProgressAndIdlenessAreNot) {
  dog_.heard_hello();
  for (uint64_t i = 0; i < 20; i++) {
    dog_.heard_beat({.progress = i, .busy = true});
    pass(milliseconds(1000));
    EXPECT_FALSE(dog_.verdict());
  }
  for (int i = 0; i < 20; i++) {
    dog_.heard_beat({.progress = 19, .busy = false});
    pass(milliseconds(1000));
    EXPECT_FALSE(dog_.verdict());
  }
  // the same counter when it gets busy again is no standing still yet
  dog_.heard_beat({.progress = 19, .busy = true});
  EXPECT_FALSE(dog_.verdict());
}

TEST_F(WatchdogTest, GivesTimeToGetReady) {
  pass(milliseconds(9900));
  EXPECT_FALSE(dog_.verdict());
  pass(milliseconds(100));
  EXPECT_EQ(dog_.verdict(), "did not get ready in 10.0 s");
}

TEST_F(WatchdogTest, OurOwnDelayIsNotItsSilence) {
  dog_.heard_hello();
  held_up(milliseconds(60'000));
  EXPECT_FALSE(dog_.verdict());
  pass(milliseconds(1100));
  EXPECT_FALSE(dog_.verdict());
  pass(milliseconds(200));
  EXPECT_TRUE(dog_.verdict());
}

TEST_F(WatchdogTest, ATimeThatGoesBackwardsCountsForNothing) {
  dog_.heard_hello();
  held_up(milliseconds(-5'000));
  pass(milliseconds(1400));
  EXPECT_FALSE(dog_.verdict());
}

TEST_F(WatchdogTest, BeingHeldUpIsBelievedForAWhile) {
  dog_.heard_hello();
  dog_.heard_beat({.progress = 1, .busy = true});
  int excused = 0;
  while (excused < 100) {
    pass(milliseconds(1500));
    ASSERT_TRUE(dog_.verdict());
    dog_.excuse_held_up();
    if (dog_.verdict()) break;
    excused++;
  }
  EXPECT_EQ(excused, 19);  // of 1.5 s each: less than kHeldUpMax
}

TEST_F(WatchdogTest, WakesWhenThereIsSomethingToDecide) {
  dog_.heard_hello();
  EXPECT_EQ(dog_.next(), milliseconds(500));  // a third: worth a look from outside
  pass(milliseconds(500));
  EXPECT_TRUE(dog_.suspicious());
  EXPECT_EQ(dog_.next(), milliseconds(1000));
  pass(milliseconds(2000));
  EXPECT_EQ(dog_.next(), milliseconds(1));
  dog_.excuse();
  EXPECT_FALSE(dog_.suspicious());
}

}  // namespace
}  // namespace lares::host
