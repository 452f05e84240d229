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

TEST(Vitals, ReadsHowLongAThreadRanAndWaited) {
  const auto times = vitals_detail::times_of("123456 2938809 17\n");
  ASSERT_TRUE(times);
  EXPECT_EQ(times->ran, nanoseconds(123456));
  EXPECT_EQ(times->waited, nanoseconds(2938809));
  EXPECT_FALSE(vitals_detail::times_of(""));
  EXPECT_FALSE(vitals_detail::times_of("1 2"));
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
  ASSERT_TRUE(seen->threads.contains(::gettid()));
  EXPECT_EQ(seen->threads.at(::gettid()).state, 'R');
  EXPECT_FALSE(vitals(-5));
}

// A process with two threads, looked at twice, a second between.
class HeldUp : public ::testing::Test {
 protected:
  HeldUp() {
    before_.threads = {{7, {'R', milliseconds(900), milliseconds(100)}},
                       {8, {'S', milliseconds(30), milliseconds(50)}}};
    now_ = before_;
    now_.at = before_.at + milliseconds(1000);
    now_.threads[7].ran += milliseconds(1000);
  }
  bool held_up() const { return host::held_up(before_, now_); }

  Vitals before_, now_;
};

TEST_F(HeldUp, NotWhoeverRunsInCirclesOrSleeps) {
  EXPECT_FALSE(held_up());
  now_.threads[7] = {'R', milliseconds(1300), milliseconds(700)};  // it shares its processor
  EXPECT_FALSE(held_up());
  now_.threads[7].state = 'S';
  EXPECT_FALSE(held_up());
  now_.threads[9] = {'R', milliseconds(1), milliseconds(5000)};  // was not there before
  EXPECT_FALSE(held_up());
  before_.threads[7] = now_.threads[7] = {'R', {}, {}};  // a kernel that does not count
  EXPECT_FALSE(held_up());
}

TEST_F(HeldUp, ByADisk) {
  now_.threads[8].state = 'D';
  EXPECT_TRUE(held_up());
  now_.threads[8].state = 'S';
  now_.major_faults = 1;
  EXPECT_TRUE(held_up());
}

TEST_F(HeldUp, ByOtherProgramsOnItsProcessors) {
  now_.threads[8].waited += milliseconds(900);
  EXPECT_TRUE(held_up());
  now_.threads[8].waited -= milliseconds(900);
  EXPECT_FALSE(held_up());
  // ready all the time, and still waiting: the kernel has not counted that yet
  before_.threads[8].state = now_.threads[8].state = 'R';
  EXPECT_TRUE(held_up());
}

TEST_F(HeldUp, ByTheMachineBelow) {
  now_.stolen = milliseconds(700);
  EXPECT_TRUE(held_up());
}

}  // namespace
}  // namespace lares::host
