// Watchdog: has a worker stood still too long? It counts only time in which we were awake to look:
// when the machine or this process itself was held up, that is not the worker's silence. Pure: the
// caller brings the time. Used by one reader thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "wire/message.h"

namespace lares::host {

// Until Hello a worker loads its libraries, from a disk that may be cold.
inline constexpr milliseconds kHelloMax{10'000};
// A look that comes this much later than it was to come says that we were held up.
inline constexpr milliseconds kLateMax{200};
// While it waits for a disk or a processor (vitals.h) a worker does not run: that long it is
// believed.
inline constexpr milliseconds kHeldUpMax{30'000};

class Watchdog {
 public:
  Watchdog(SteadyTime now, milliseconds silence_max) : last_look_(now), silence_max_(silence_max) {}

  void heard_hello() {
    ready_ = true;
    quiet_ = still_ = {};
  }
  void heard_beat(const wire::Beat& beat);

  // Time passes. `slept` is how long we meant to be away.
  void look(SteadyTime now, milliseconds slept);
  // Forgets what has been counted: we did not listen, or there was a reason.
  void excuse() { quiet_ = still_ = {}; }
  // It could not run: excused, but not for ever.
  void excuse_held_up();

  // What is wrong, without a subject: "said nothing for 1.5 s". nullopt: nothing.
  std::optional<std::string> verdict() const;
  // Long enough quiet or still that it is worth a look at the process from outside.
  bool suspicious() const;
  // The earliest that verdict() or suspicious() can change by time alone.
  milliseconds next() const;

 private:
  using Span = std::chrono::nanoseconds;
  Span quiet_max() const { return ready_ ? Span(silence_max_) : Span(kHelloMax); }

  SteadyTime last_look_;
  const milliseconds silence_max_;
  bool ready_ = false;
  bool busy_ = false;
  uint64_t progress_ = 0;
  Span quiet_{};    // since the last Beat
  Span still_{};    // since progress changed, while busy
  Span held_up_{};  // excused without any progress
};

}  // namespace lares::host
