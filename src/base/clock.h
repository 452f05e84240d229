// Clock: what time it is, behind one seam, so that tests and the simulator own time.
// Durations and deadlines use steady time, which a changed wall clock cannot move; wall time is
// only for showing and for time stamps in records.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lares {

using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;
using std::chrono::milliseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime now() const = 0;
  virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  SteadyTime now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override { return std::chrono::system_clock::now(); }
};

// For tests: stands still until it is moved.
class FakeClock final : public Clock {
 public:
  SteadyTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(std::chrono::nanoseconds by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }
  void set_wall(WallTime wall) { wall_ = wall; }

 private:
  SteadyTime now_{};
  WallTime wall_{std::chrono::seconds(1'700'000'000)};
};

// Milliseconds since 1970, as records and answers have it.
inline int64_t unix_ms(WallTime time) {
  return std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
}

// Milliseconds from one moment to another, with what is below one.
inline double exact_ms(SteadyTime from, SteadyTime to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// The moment so many milliseconds before another.
inline SteadyTime ms_before(SteadyTime time, double ms) {
  return time - std::chrono::duration_cast<std::chrono::nanoseconds>(
                    std::chrono::duration<double, std::milli>(ms));
}

// How long several pieces of work took that ran one after another or side by side.
class Together {
 public:
  // One piece that ended at `until` and took `ms` milliseconds.
  void add(SteadyTime until, double ms) {
    const SteadyTime from = ms_before(until, std::max(0.0, ms));
    from_ = sum_ms_ > 0 ? std::min(from_, from) : from;
    until_ = sum_ms_ > 0 ? std::max(until_, until) : until;
    sum_ms_ += std::max(0.0, ms);
  }
  // What passed on the clock while one of them ran, as far as that can be known: at most their sum.
  double ms() const { return std::min(sum_ms_, exact_ms(from_, until_)); }

 private:
  SteadyTime from_{}, until_{};
  double sum_ms_ = 0;
};

// Whole milliseconds from one moment to another, never negative.
inline int64_t ms_between(SteadyTime from, SteadyTime to) {
  return std::max<int64_t>(0, std::chrono::duration_cast<milliseconds>(to - from).count());
}

}  // namespace lares
