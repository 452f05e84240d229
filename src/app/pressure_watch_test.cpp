#include "app/pressure_watch.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/mutex.h"
#include "base/text.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;

class PressureWatchTest : public testing::Test {
 protected:
  PressureWatchTest() : root_(fs::temp_directory_path() / cat("lares-pressure-", random_hex(6))) {
    fs::create_directories(root_ / "proc/pressure");
    fs::create_directories(root_ / "proc/self");
  }
  ~PressureWatchTest() override { fs::remove_all(root_); }

  static void stall(const fs::path& file, int64_t total_us) {
    ASSERT_TRUE(write_file(file, cat("some avg10=0.00 avg60=0.00 avg300=0.00 total=", total_us,
                                     "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")));
  }
  PressureWatch::Look look() const { return {root_, false, milliseconds(5), milliseconds(150)}; }
  void told() {
    const MutexLock lock(mutex_);
    told_++;
    wake_.notify_all();
  }
  // Has programs wait ever longer until it is told of, which it has to be.
  bool told_while_stalling(const fs::path& file) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (int64_t total = 0; std::chrono::steady_clock::now() < until; total += 200'000) {
      stall(file, total);
      const MutexLock lock(mutex_);
      wake_.wait_until(mutex_, std::chrono::steady_clock::now() + milliseconds(20));
      if (told_ > 0) return true;
    }
    return false;
  }

  const fs::path root_;
  Mutex mutex_;
  Condition wake_;
  int told_ GUARDED_BY(mutex_) = 0;
};

TEST_F(PressureWatchTest, TellsWhenProgramsWaitLong) {
  const fs::path file = root_ / "proc/pressure/memory";
  stall(file, 0);
  const PressureWatch watch([this](const std::string&) { told(); }, look());
  EXPECT_EQ(watch.way(), "looks");
  EXPECT_TRUE(told_while_stalling(file));
}

TEST_F(PressureWatchTest, OurControlGroupGoesBeforeTheMachine) {
  stall(root_ / "proc/pressure/memory", 0);
  fs::create_directories(root_ / "sys/fs/cgroup/user.slice/app");
  const fs::path file = root_ / "sys/fs/cgroup/user.slice/app/memory.pressure";
  stall(file, 0);
  ASSERT_TRUE(write_file(root_ / "proc/self/cgroup", "0::/user.slice/app\n"));
  const PressureWatch watch([this](const std::string&) { told(); }, look());
  EXPECT_TRUE(told_while_stalling(file));
}

TEST_F(PressureWatchTest, WhereTheKernelCountsNoneItDoesNotLook) {
  const PressureWatch absent([this](const std::string&) { told(); }, look());
  EXPECT_EQ(absent.way(), "");
}

TEST(StallCount, CountsFromOneLookToTheNext) {
  StallCount count;
  EXPECT_FALSE(count.more(microseconds(1'000'000)));
  EXPECT_EQ(count.more(microseconds(1'100'000)), microseconds(100'000));
  EXPECT_EQ(count.more(microseconds(1'100'000)), microseconds(0));
  EXPECT_FALSE(count.more(std::nullopt));
  EXPECT_FALSE(count.more(microseconds(9'000'000))) << "what came in between is not known";
}

TEST(StallCount, ReadsTheKernelsWords) {
  for (const char* text : {"", "some total=", "full total=5", "some avg10=0 total=-5", "nonsense"})
    EXPECT_FALSE(some_stalled(text)) << text;
  EXPECT_EQ(some_stalled("some avg10=0.00 total=77\nfull total=1\n"), microseconds(77));
}

// This kernel's own file: it takes the trigger, or is looked at, and ending does not wait for it.
TEST_F(PressureWatchTest, TheRealOneEndsAtOnce) {
  if (!fs::exists("/proc/pressure/memory")) GTEST_SKIP() << "SKIPPED: no PSI in this kernel";
  const PressureWatch watch([](const std::string&) {});
  EXPECT_NE(watch.way(), "");
}

}  // namespace
}  // namespace lares::app
