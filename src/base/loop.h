// Loop: the one thread that owns the daemon's state, and the bounded queue that leads to it.
//
// Other threads post tasks; the loop runs them one after another, so what it owns needs no locks.
// A task never blocks and takes less than a millisecond. The queue is bounded: post() answers false
// when it is full, and the caller says Busy. Timers run on the same thread.
// Not a thread pool, and no futures: an answer is another message.
// In production run() is called by one thread; tests and the simulator call run_one() themselves,
// with a FakeClock, and get the same order every time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/mutex.h"

namespace lares {

// A move-only function of no arguments: std::move_only_function is C++23.
class Task {
 public:
  Task() = default;
  template <class F>
    requires(!std::is_same_v<std::decay_t<F>, Task>)
  Task(F&& f) : body_(std::make_unique<Body<std::decay_t<F>>>(std::forward<F>(f))) {}  // NOLINT
  void operator()() { body_->run(); }
  explicit operator bool() const { return body_ != nullptr; }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct Body final : Base {
    explicit Body(F f) : f_(std::move(f)) {}
    void run() override { f_(); }
    F f_;
  };
  std::unique_ptr<Base> body_;
};

class Loop {
 public:
  using TimerId = uint64_t;
  static constexpr size_t kQueueMax = 16'384;

  explicit Loop(const Clock& clock, size_t queue_max = kQueueMax);

  // Any thread. False: the queue is full, or the loop has ended; the task was dropped.
  [[nodiscard]] bool post(Task task);

  // Any thread, and never refused: for the ends of things (a worker died, a client left), of which
  // there are no more than things begun.
  void post_end(Task task);

  // Loop thread only. Runs `task` once, `delay` from now.
  TimerId after(milliseconds delay, Task task);
  void cancel(TimerId timer);  // a timer that has run or is unknown: no effect

  void run();      // until stop(); tasks already queued at stop() are run first
  bool run_one();  // runs one due task or timer; false when nothing is due now
  void stop();     // any thread

  const Clock& clock() const { return clock_; }

 private:
  struct Timer {
    SteadyTime due;
    Task task;
  };
  Task next_due_locked() REQUIRES(mutex_);

  const Clock& clock_;
  const size_t queue_max_;
  Mutex mutex_;
  Condition wake_;
  std::deque<Task> queue_ GUARDED_BY(mutex_);
  std::map<TimerId, Timer> timers_ GUARDED_BY(mutex_);
  std::multimap<SteadyTime, TimerId> due_ GUARDED_BY(mutex_);
  TimerId next_timer_ GUARDED_BY(mutex_) = 1;
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace lares
