// Measuring this machine is a member of the gang: it computes while it holds its lease, and gives
// it back after each step that is due.
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <thread>

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

// A measuring process with a daemon that hears its bell and gives the device at once, but when
// `gives` says no. On the heap: GCC 12's frames under AddressSanitizer keep no 64 bytes of
// alignment, as a page has.
class Measured {
 public:
  Measured() {
    page.until_ns = 0;  // due all the time: each step gives it back
    page.worst = 2;     // and no lane has to wait
  }
  ~Measured() { ::close(bell_); }
  Measured(const Measured&) = delete;
  Measured& operator=(const Measured&) = delete;

  Result<Json> measure() {
    std::jthread daemon([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pollfd bell{bell_, POLLIN, 0};
        uint64_t count = 0;
        if (::poll(&bell, 1, 10) != 1 || ::read(bell_, &count, sizeof(count)) < 0) continue;
        if (page.state == LeasePage::Waiting && gives()) give();
      }
    });
    Lease lease(&page, bell_, [this] { waits(); });
    return Registered<Backend>::find("llama")->measure(variant()->string(), 2, lease);
  }
  void give() {
    turns++;
    uint32_t waiting = LeasePage::Waiting;
    if (page.state.compare_exchange_strong(waiting, LeasePage::Holding))
      ::syscall(SYS_futex, &page.state, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }

  LeasePage page{};
  std::atomic<int> turns = 0;
  std::function<bool()> gives = [] { return true; };
  std::function<void()> waits = [] {};  // some times a second, of the measuring thread

 private:
  int bell_ = ::eventfd(0, EFD_NONBLOCK);
};

TEST(Measure, ComputesInItsTurnsAsTheLeastUrgent) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  const auto made = std::make_unique<Measured>();
  Measured& measured = *made;
  measured.gives = [&] {
    EXPECT_EQ(measured.page.lane, 2U);
    EXPECT_EQ(measured.page.work, 1U);
    return true;
  };
  const auto speeds = measured.measure();
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_GT(measured.turns, 100);
  EXPECT_EQ(measured.page.state, LeasePage::Resting);
  EXPECT_GT((*speeds)["types"]["Q4_K"]["decode_bytes_per_s"].get<double>(), 0);
  EXPECT_GT((*speeds)["attention"]["prefill_values_per_s"].get<double>(), 0);
  EXPECT_GT((*speeds)["node_us"].get<double>(), 0);
}

TEST(Measure, WaitsWhileAnAnswerComputes) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  constexpr int kBefore = 20;  // turns, until somebody else has the device
  constexpr int kLooks = 10;   // for so long
  const auto made = std::make_unique<Measured>();
  Measured& measured = *made;
  int looks = 0;
  double used_ms = 0;  // meanwhile
  double before = 0;
  measured.gives = [&] { return measured.turns != kBefore; };
  measured.waits = [&] {
    if (measured.turns != kBefore || measured.page.state != LeasePage::Waiting) return;
    if (looks++ > 0) used_ms += cpu_ms() - before;
    before = cpu_ms();
    if (looks > kLooks) measured.give();
  };
  const auto speeds = measured.measure();
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_GE(looks, kLooks);
  EXPECT_LT(used_ms, 100) << "of about a second";
  EXPECT_GT(measured.turns, 100);
}

TEST(Measure, AStepThatIsNotWorthWaitingForIsGivenUpAndComputedAgain) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  const auto made = std::make_unique<Measured>();
  Measured& measured = *made;
  measured.gives = [&] {
    // each other turn is taken away before its step ends
    measured.page.abort = measured.turns % 2 == 0 ? 1 : 0;
    return true;
  };
  const auto speeds = measured.measure();
  ASSERT_TRUE(speeds) << speeds.error().message;
  EXPECT_GT((*speeds)["types"]["Q4_K"]["decode_bytes_per_s"].get<double>(), 0);
  EXPECT_GT((*speeds)["types"]["F16"]["prefill_values_per_s"].get<double>(), 0);
}

}  // namespace
}  // namespace lares::engine::testing
