#include "host/vitals.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace lares::host {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(Vitals, ReadsAProcessWhateverItIsCalled) {
  const auto stat = vitals_detail::stat_of(
      "4242 (a) b) D 1 4242 4242 0 -1 4194560 1500 0 77 0 250 30 0 0 20 0 9 0 100 1 2\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'D');
  EXPECT_EQ(stat->major_faults, 77u);
  for (const char* bad : {"", "4242", "4242 (x)", "4242 (x) ", "4242 (x) S 1 2", ") "})
    EXPECT_FALSE(vitals_detail::stat_of(bad)) << bad;
}

TEST(Vitals, ReadsHowLongAThreadWaitedForAProcessor) {
  EXPECT_EQ(vitals_detail::waited_of("123456 2938809 17\n"), nanoseconds(2938809));
  EXPECT_FALSE(vitals_detail::waited_of(""));
  EXPECT_FALSE(vitals_detail::waited_of("1 2"));
}

TEST(Vitals, ReadsWhatTheMachineBelowTook) {
  EXPECT_EQ(
      vitals_detail::stolen_of("cpu  1 2 3 4 5 6 7 150 0 0\ncpu0 1 2 3 4 5 6 7 90 0 0\n", 100),
      milliseconds(1500));
  EXPECT_EQ(vitals_detail::stolen_of("cpu  1 2 3\n", 100), nanoseconds(0));
  EXPECT_EQ(vitals_detail::stolen_of("intr 5\n", 100), nanoseconds(0));
}

TEST(Vitals, SeesItsOwnProcess) {
  const auto seen = vitals(::getpid());
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->state == 'R' || seen->state == 'S') << seen->state;
  EXPECT_FALSE(vitals(-5));
}

TEST(Vitals, WhoeverRunsOrSleepsWasNotHeldUp) {
  Vitals before;
  before.waited = {{7, milliseconds(100)}, {8, milliseconds(50)}};
  Vitals now = before;
  now.at = before.at + milliseconds(1000);
  EXPECT_FALSE(held_up(before, now));
  now.waited[7] += milliseconds(600);  // it shares its processor
  EXPECT_FALSE(held_up(before, now));
  now.waited[9] = milliseconds(5000);  // a thread that was not there before
  EXPECT_FALSE(held_up(before, now));
}

TEST(Vitals, ADiskOtherProgramsAndTheMachineBelowHoldUp) {
  Vitals before;
  before.waited = {{7, milliseconds(100)}, {8, milliseconds(50)}};
  Vitals same = before;
  same.at = before.at + milliseconds(1000);
  Vitals now = same;
  now.on_disk = true;
  EXPECT_TRUE(held_up(before, now));
  now = same;
  now.major_faults = 1;
  EXPECT_TRUE(held_up(before, now));
  now = same;
  now.waited[8] += milliseconds(900);
  EXPECT_TRUE(held_up(before, now));
  now = same;
  now.stolen = milliseconds(700);
  EXPECT_TRUE(held_up(before, now));
}

}  // namespace
}  // namespace lares::host
