// A process that keeps states is killed at any moment: what sync() said is there, and opens.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "store/states.h"
#include "store/states_testing.h"

namespace lares::store {
namespace {

constexpr int kKills = 100;
constexpr uint32_t kRestAfter = 3;  // of each so many conversations the guest's are forgotten

Ids conversation(uint32_t number) {
  return some_ids(100, static_cast<int32_t>(1000 * (number + 1)));
}

struct StatesKillTest : StatesTest {
  // Keeps one conversation after another, says each on `said` once it is synced, and never returns.
  // What it does besides moves and removes what others wrote.
  [[noreturn]] void keep_for_ever(uint32_t from, int said) {
    auto opened = States::open(path(), key, clock, options);
    if (!opened || opened->fresh) ::_exit(1);
    store.emplace(std::move(opened->states));
    for (uint32_t number = from;; number++) {
      if (!keep(lineage_of("guest"), conversation(number)) ||
          !keep(lineage_of("owner"), conversation(number)) || !store->sync())
        ::_exit(2);
      if (::write(said, &number, sizeof number) != sizeof number) ::_exit(3);
      if (number % kRestAfter != 0) continue;
      if (!store->forget_principal("guest") || !store->compact()) ::_exit(4);
    }
  }

  // Lets it run for so long; the number after the last one that it said.
  uint32_t killed_after(std::chrono::microseconds time, uint32_t from) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      keep_for_ever(from, ends[1]);
    }
    ::close(ends[1]);
    // a moment that is not tied to anything it does: its end is what is tested
    timespec rest{0, static_cast<long>(time.count()) * 1000};
    ::nanosleep(&rest, nullptr);
    ::kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself with " << WEXITSTATUS(status);
    uint32_t number = 0, next = from;
    while (::read(ends[0], &number, sizeof number) == sizeof number) next = number + 1;
    ::close(ends[0]);
    return next;
  }
};

TEST_F(StatesKillTest, WhatWasSyncedIsThereAfterAHundredKills) {
  options.segment_max = KiB(16);
  std::mt19937 random(11);  // NOLINT: the same moments every time, as far as that goes
  uint32_t next = 0;
  for (int kill = 0; kill < kKills; kill++) {
    next = killed_after(std::chrono::microseconds(random() % 60'000), next);
    open();
    EXPECT_FALSE(fresh);
    EXPECT_EQ(store->figures().quarantined, 0u) << kill;
    for (uint32_t number = 0; number < next; number++)
      ASSERT_EQ(there(lineage_of("owner"), conversation(number)), 100u) << kill << ": " << number;
    // what was not said yet may be there in part, but never wrong
    there(lineage_of("owner"), conversation(next));
    for (uint32_t number = 0; number <= next; number++)
      there(lineage_of("guest"), conversation(number));
    store.reset();
  }
  EXPECT_GT(next, 20u);  // it got somewhere
}

}  // namespace
}  // namespace lares::store
