#include "engine/lease.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace lares::engine {
namespace {

using wire::LeasePage;

constexpr long kWaitNs = 100'000'000;  // then whoever watches hears that this thread is alive

int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// The page is shared with another process, so these are not private futexes.
void sleep_on(std::atomic<uint32_t>& word, uint32_t value) {
  const timespec limit{0, kWaitNs};
  // a wake, another value, a signal or the limit: each is a reason to look again
  static_cast<void>(::syscall(SYS_futex, &word, FUTEX_WAIT, value, &limit, nullptr, 0));
}

void wake(std::atomic<uint32_t>& word) {
  static_cast<void>(::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0));
}

}  // namespace

void Lease::ring() {
  const uint64_t one = 1;
  // full or not: it is readable then
  static_cast<void>(::write(bell_, &one, sizeof(one)) < 0);
}

bool Lease::due() const {
  const int64_t until = page_->until_ns.load(std::memory_order_relaxed);
  if (until == wire::kUntilNever) return false;
  return page_->abort.load(std::memory_order_relaxed) != 0 || now_ns() >= until;
}

void Lease::give_back(LeasePage::State next) {
  fresh_ = false;
  page_->state.store(next);  // before called_ is read: who calls sees it, or is seen
  ring();
}

bool Lease::enter(const Step& step) {
  if (!page_) return true;
  const auto lane = static_cast<uint32_t>(step.lane);
  const uint32_t work = step.decode ? 0 : 1;
  const bool news = page_->lane.load(std::memory_order_relaxed) != lane ||
                    page_->work.load(std::memory_order_relaxed) != work;
  page_->lane.store(lane, std::memory_order_relaxed);
  page_->work.store(work, std::memory_order_relaxed);
  page_->step_us.store(static_cast<uint32_t>(std::clamp(step.ms * 1000, 0.0, 4e9)),
                       std::memory_order_relaxed);
  switch (page_->state.load(std::memory_order_acquire)) {
    case LeasePage::Holding:
      // a turn that was granted for a better lane is none for what must wait
      if ((std::exchange(fresh_, false) || !due()) && step.lane <= worst()) {
        if (news) ring();
        return true;
      }
      give_back(LeasePage::Waiting);
      break;
    case LeasePage::Resting: give_back(LeasePage::Waiting); break;
    default:
      if (news) ring();
  }
  wait();
  return false;
}

// Until the turn has come, or call().
void Lease::wait() {
  for (;;) {
    uint32_t state = page_->state.load(std::memory_order_acquire);
    if (state == LeasePage::Holding) {
      fresh_ = true;
      return;
    }
    if (called_.exchange(false)) {
      uint32_t called = LeasePage::Called;
      page_->state.compare_exchange_strong(called, LeasePage::Waiting);
      return;
    }
    sleep_on(page_->state, LeasePage::Waiting);
    waiting_();
  }
}

Lane Lease::worst() const {
  if (!page_) return Lane::Background;
  return static_cast<Lane>(std::min(page_->worst.load(std::memory_order_relaxed),
                                    static_cast<uint32_t>(Lane::Background)));
}

std::optional<double> Lease::part(Lane lane) const {
  if (!page_ || lane == Lane::Interactive) return std::nullopt;
  const auto& word = lane == Lane::Agent ? page_->agent_part : page_->background_part;
  const uint32_t part = word.load(std::memory_order_relaxed);
  if (part == 0) return std::nullopt;
  return std::min(part, 1000U) / 1000.0;
}

void Lease::step_over() {
  if (page_ && page_->state.load(std::memory_order_relaxed) == LeasePage::Holding && due())
    give_back(LeasePage::Waiting);
}

void Lease::rest() {
  if (!page_) return;
  fresh_ = false;
  uint32_t state = page_->state.load(std::memory_order_acquire);
  while (state != LeasePage::Resting) {
    if (!page_->state.compare_exchange_weak(state, LeasePage::Resting)) continue;
    ring();
    return;
  }
}

void Lease::call() {
  if (!page_) return;
  called_ = true;
  uint32_t waiting = LeasePage::Waiting;
  if (page_->state.compare_exchange_strong(waiting, LeasePage::Called)) wake(page_->state);
}

LeasePage* handed_lease_page() {
  if (::fcntl(wire::kLeaseFd, F_GETFD) < 0 || ::fcntl(wire::kBellFd, F_GETFD) < 0) return nullptr;
  void* const memory =
      ::mmap(nullptr, sizeof(LeasePage), PROT_READ | PROT_WRITE, MAP_SHARED, wire::kLeaseFd, 0);
  ::close(wire::kLeaseFd);
  return memory == MAP_FAILED ? nullptr : static_cast<LeasePage*>(memory);
}

}  // namespace lares::engine
