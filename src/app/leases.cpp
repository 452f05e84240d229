#include "app/leases.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <new>
#include <vector>

namespace lares::app {
namespace {

using sched::Gang;
using wire::LeasePage;

// A step that says to take longer than this is believed to take this long.
constexpr std::chrono::microseconds kStepMax{10'000'000};

void ring(const Fd& bell) {
  const uint64_t one = 1;
  // full or not: it is readable then
  static_cast<void>(::write(bell.get(), &one, sizeof(one)) < 0);
}

void hush(const Fd& bell) {
  uint64_t count = 0;
  static_cast<void>(::read(bell.get(), &count, sizeof(count)) < 0);
}

Gang::Claim claim_of(const LeasePage& page, Lane best) {
  const uint32_t lane = std::min(page.lane.load(std::memory_order_relaxed), 2U);
  const std::chrono::microseconds step(page.step_us.load(std::memory_order_relaxed));
  return {std::max(static_cast<Lane>(lane), best),
          page.work.load(std::memory_order_relaxed) == 0 ? Gang::Work::Decode : Gang::Work::Prompt,
          std::min(step, kStepMax)};
}

uint32_t thousandths(double part) { return static_cast<uint32_t>(std::lround(part * 1000)); }

int64_t as_ns(SteadyTime until) {
  return until == Gang::kNever ? wire::kUntilNever
                               : until.time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

Leases::Leases(const Clock& clock, Gang::Shares shares)
    : clock_(clock),
      shares_(shares),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      gang_(shares),
      thread_([this] { run(); }) {}

Leases::~Leases() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    for (auto& [member, seat] : seats_) ::munmap(seat.page, sizeof(LeasePage));
    seats_.clear();
  }
  poke();
  thread_.join();
}

void Leases::poke() const { ring(wake_); }

Result<std::pair<Leases::Member, Leases::Ends>> Leases::join() {
  const auto refused = [](std::string_view what) {
    Error error = system_error(what, errno);
    return Error{Code::Io, std::move(error.message)};
  };
  Ends ends;
  ends.page = Fd(::memfd_create("lares-lease", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!ends.page || ::ftruncate(ends.page.get(), sizeof(LeasePage)) != 0 ||
      ::fcntl(ends.page.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return refused("a page of memory to share");
  ends.bell = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ends.bell) return refused("an event to share");
  Seat seat;
  seat.bell = Fd(::fcntl(ends.bell.get(), F_DUPFD_CLOEXEC, 0));
  if (!seat.bell) return refused("an event to share");
  void* const memory =
      ::mmap(nullptr, sizeof(LeasePage), PROT_READ | PROT_WRITE, MAP_SHARED, ends.page.get(), 0);
  if (memory == MAP_FAILED) return refused("mapping a page of memory");
  seat.page = new (memory) LeasePage{};
  seat.page->until_ns = wire::kUntilNever;

  Member member = 0;
  {
    const MutexLock lock(mutex_);
    member = next_++;
    seat.page->threads = threads_;
    seat.page->worst = static_cast<uint32_t>(worst_);
    seat.page->agent_part = thousandths(shares_.agent);
    seat.page->background_part = thousandths(shares_.background);
    seats_.emplace(member, std::move(seat));
    gang_.join(member);
  }
  poke();
  return std::pair{member, std::move(ends)};
}

void Leases::leave(Member member) {
  {
    const MutexLock lock(mutex_);
    const auto found = seats_.find(member);
    if (found == seats_.end()) return;
    gang_.leave(member, clock_.now());
    if (granted_ == member) granted_.reset();
    ::munmap(found->second.page, sizeof(LeasePage));
    seats_.erase(found);
    look();
  }
  poke();  // its bell is not to be waited for any more
}

void Leases::allow(Member member, std::optional<Lane> best) {
  {
    const MutexLock lock(mutex_);
    const auto found = seats_.find(member);
    if (found == seats_.end()) return;
    const Lane lane = best.value_or(Lane::Background);
    if (std::exchange(found->second.best, lane) == lane) return;
    look();
  }
  poke();  // it may have to be there sooner
}

void Leases::set_pid(Member member, pid_t pid) {
  const MutexLock lock(mutex_);
  if (const auto found = seats_.find(member); found != seats_.end()) found->second.pid = pid;
}

void Leases::restrain(unsigned threads, Lane worst) {
  {
    const MutexLock lock(mutex_);
    threads_ = threads;
    worst_ = worst;
    for (auto& [member, seat] : seats_) {
      seat.page->threads.store(threads, std::memory_order_relaxed);
      seat.page->worst.store(static_cast<uint32_t>(worst), std::memory_order_relaxed);
    }
    gang_.set_worst(worst, clock_.now());
    look();
  }
  poke();  // it may have to be there sooner
}

std::vector<pid_t> Leases::pids() const {
  const MutexLock lock(mutex_);
  std::vector<pid_t> all;
  for (const auto& [member, seat] : seats_) {
    if (seat.pid > 0) all.push_back(seat.pid);
  }
  return all;
}

bool Leases::wanted() const {
  const MutexLock lock(mutex_);
  return std::any_of(seats_.begin(), seats_.end(), [](const auto& entry) {
    return entry.second.page->state.load(std::memory_order_relaxed) != LeasePage::Resting;
  });
}

Leases::Seen Leases::seen(Member member) const {
  const MutexLock lock(mutex_);
  if (!seats_.contains(member)) return {};
  const Gang::Seen seen = gang_.seen(member, clock_.now());
  return {seen.holds, seen.claim && !seen.holds, std::chrono::floor<milliseconds>(seen.held),
          std::chrono::floor<milliseconds>(seen.waited), seen.turns};
}

std::array<milliseconds, 3> Leases::lane_held() const {
  const MutexLock lock(mutex_);
  std::array<milliseconds, 3> held{};
  const auto exact = gang_.lane_held(clock_.now());
  std::transform(exact.begin(), exact.end(), held.begin(),
                 [](auto time) { return std::chrono::floor<milliseconds>(time); });
  return held;
}

// What a worker's page says, told to the gang.
void Leases::read(Member member, Seat& seat, SteadyTime now) {
  const uint32_t state = seat.page->state.load(std::memory_order_acquire);
  const Gang::Seen seen = gang_.seen(member, now);
  const bool wants = state == LeasePage::Waiting || state == LeasePage::Called;
  if (state == LeasePage::Holding) {
    // one that was not given it, or lost it, does not have it
    if (!seen.holds) return;
  } else if (seen.holds || seen.overdue || !wants) {
    if (granted_ == member) granted_.reset();
    if (seen.claim || seen.overdue) gang_.rests(member, now);
  }
  if (!wants && state != LeasePage::Holding) return;
  const Gang::Claim claim = claim_of(*seat.page, seat.best);
  const Gang::Seen after = gang_.seen(member, now);
  if (after.claim != claim) gang_.wants(member, claim, now);
}

// False: it does not want it any more.
bool Leases::grant(Member member, SteadyTime now) {
  LeasePage& page = *seats_.at(member).page;
  page.abort.store(0, std::memory_order_relaxed);
  uint32_t state = page.state.load(std::memory_order_acquire);
  while (state == LeasePage::Waiting || state == LeasePage::Called) {
    if (!page.state.compare_exchange_weak(state, LeasePage::Holding)) continue;
    static_cast<void>(::syscall(SYS_futex, &page.state, FUTEX_WAKE, 1, nullptr, nullptr, 0));
    granted_ = member;
    return true;
  }
  gang_.rests(member, now);
  return false;
}

void Leases::look() {
  for (;;) {
    const SteadyTime now = clock_.now();
    for (auto& [member, seat] : seats_) read(member, seat, now);
    const Gang::Orders orders = gang_.decide(now);
    again_ = orders.again;
    if (!orders.holder) {
      granted_.reset();
      return;
    }
    for (auto& [member, seat] : seats_) seat.page->pressed.store(1, std::memory_order_relaxed);
    LeasePage& page = *seats_.at(*orders.holder).page;
    page.until_ns.store(as_ns(orders.until), std::memory_order_relaxed);
    page.pressed.store(orders.pressed ? 1 : 0, std::memory_order_relaxed);
    if (granted_ == orders.holder) {
      if (orders.abort) page.abort.store(1, std::memory_order_relaxed);
      return;
    }
    if (grant(*orders.holder, now)) return;
  }
}

void Leases::run() {
  ::pthread_setname_np(::pthread_self(), "turns");
  std::vector<pollfd> bells;
  for (;;) {
    int timeout = -1;
    {
      const MutexLock lock(mutex_);
      if (ending_) return;
      bells.clear();
      bells.push_back({wake_.get(), POLLIN, 0});
      for (const auto& [member, seat] : seats_) bells.push_back({seat.bell.get(), POLLIN, 0});
      if (again_ != Gang::kNever) {
        const auto left = std::chrono::ceil<milliseconds>(again_ - clock_.now());
        timeout = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
      }
    }
    // an error here can only be EINTR or ENOMEM: both are a reason to look around
    static_cast<void>(::poll(bells.data(), bells.size(), timeout) < 0);
    const MutexLock lock(mutex_);
    if (ending_) return;
    if (bells.front().revents != 0) hush(wake_);
    for (const auto& [member, seat] : seats_) hush(seat.bell);
    look();
  }
}

}  // namespace lares::app
