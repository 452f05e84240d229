// Measuring this machine is a member of the gang: it computes while it holds its lease, and gives
// it back after each step that is due.
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/lease.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

using wire::LeasePage;

double cpu_ms() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

// What a measuring process does with its page, when the daemon's side is `waiting`.
struct Measured {
  LeasePage page{};
  int bell = ::eventfd(0, EFD_NONBLOCK);
  Result<Json> measure(std::function<void()> waiting) {
    page.until_ns = 0;  // due all the time: each step gives it back
    Lease lease(&page, bell, std::move(waiting));
    return Registered<Backend>::find("llama")->measure(variant()->string(), 2, lease);
  }
  ~Measured() { ::close(bell); }
};

TEST(Measure, ComputesInItsTurnsAsTheLeastUrgent) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  Measured measured;
  int turns = 0;
  const auto speeds = measured.measure([&] {
    EXPECT_EQ(measured.page.state, LeasePage::Waiting);
    EXPECT_EQ(measured.page.lane, 2U);
    EXPECT_EQ(measured.page.work, 1U);
    turns++;
    measured.page.state = LeasePage::Holding;
  });
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_GT(turns, 100);
  EXPECT_EQ(measured.page.state, LeasePage::Resting);
  EXPECT_GT((*speeds)["types"]["Q4_K"]["decode_bytes_per_s"].get<double>(), 0);
  EXPECT_GT((*speeds)["attention"]["prefill_values_per_s"].get<double>(), 0);
  EXPECT_GT((*speeds)["node_us"].get<double>(), 0);
}

TEST(Measure, WaitsWhileAnAnswerComputes) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  Measured measured;
  int turns = 0;
  int waits = 0;
  double used = 0;  // while it waited
  double before = 0;
  const auto speeds = measured.measure([&] {
    if (turns == 20 && waits < 10) {  // somebody else has the device for ten looks
      if (waits++ > 0) used += cpu_ms() - before;
      before = cpu_ms();
      return;
    }
    turns++;
    measured.page.state = LeasePage::Holding;
  });
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_EQ(waits, 10);
  EXPECT_LT(used, 100) << "of about a second";
  EXPECT_GT(turns, 100);
}

TEST(Measure, AStepThatIsNotWorthWaitingForIsGivenUpAndComputedAgain) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  Measured measured;
  int turns = 0;
  const auto speeds = measured.measure([&] {
    turns++;
    // each other turn is taken away before its step ends
    measured.page.abort = turns % 2 == 0 ? 1 : 0;
    measured.page.state = LeasePage::Holding;
  });
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_GT((*speeds)["types"]["Q4_K"]["decode_bytes_per_s"].get<double>(), 0);
  EXPECT_GT((*speeds)["types"]["F16"]["prefill_values_per_s"].get<double>(), 0);
}

}  // namespace
}  // namespace lares::engine::testing
