// Vitals: what the kernel says from outside of a process that seems to stand still. Does it hang,
// or could it not run: for a disk, for other programs, for the machine below this one?
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace lares::host {

struct Vitals {
  struct Thread {
    char state = '?';  // 'R' (runs, or is ready to), 'S', 'D' (waits for a disk), ...
    std::chrono::nanoseconds ran{};
    std::chrono::nanoseconds waited{};  // ready, and without a processor; counted when it got one
  };
  char state = '?';           // of its first thread: also 'T' (stopped), 'Z', ...
  uint64_t major_faults = 0;  // times that its memory came from the disk
  std::map<pid_t, Thread> threads;
  std::chrono::nanoseconds stolen{};  // from all processors together, by the machine below
  SteadyTime at;
};

// nullopt: there is no such process, or it may not be seen.
std::optional<Vitals> vitals(pid_t pid);

// Whether what kept it from going on between the two looks was not itself.
bool held_up(const Vitals& before, const Vitals& now);

// Texts of /proc, for vitals(). Public for tests.
namespace vitals_detail {
struct Stat {
  char state = '?';
  uint64_t major_faults = 0;
};
struct Times {
  std::chrono::nanoseconds ran{}, waited{};
};
std::optional<Stat> stat_of(std::string_view text);                           // [pid]/stat
std::optional<Times> times_of(std::string_view text);                         // [tid]/schedstat
std::chrono::nanoseconds stolen_of(std::string_view text, long ticks_per_s);  // /proc/stat
}  // namespace vitals_detail

}  // namespace lares::host
