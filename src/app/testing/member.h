// Member: a worker's end of its page (wire/lease_page.h), played by a test. Not for the daemon.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "app/leases.h"

namespace lares::app::testing {

class Member {
 public:
  explicit Member(Leases& turns) : turns_(turns) {
    auto joined = turns.join();
    EXPECT_TRUE(joined);
    member = joined->first;
    ends_ = std::move(joined->second);
    page = static_cast<wire::LeasePage*>(::mmap(
        nullptr, sizeof(wire::LeasePage), PROT_READ | PROT_WRITE, MAP_SHARED, ends_.page.get(), 0));
    EXPECT_NE(page, MAP_FAILED);
  }
  ~Member() {
    turns_.leave(member);
    ::munmap(page, sizeof(wire::LeasePage));
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  void say(wire::LeasePage::State state) {
    page->state = state;
    ring();
  }
  void want(uint32_t lane, uint32_t work = 0, uint32_t step_us = 5'000) {
    page->lane = lane;
    page->work = work;
    page->step_us = step_us;
    say(wire::LeasePage::Waiting);
  }
  void ring() const {
    const uint64_t one = 1;
    EXPECT_EQ(::write(ends_.bell.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }
  // Waits for what the other thread does; false: it does not come.
  template <class What>
  static bool soon(What what) {
    const SteadyTime until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!what()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  bool gets_it() const {
    return soon([&] { return page->state == wire::LeasePage::Holding; });
  }

  Leases::Member member = 0;
  wire::LeasePage* page = nullptr;

 private:
  Leases& turns_;
  Leases::Ends ends_;
};

}  // namespace lares::app::testing
