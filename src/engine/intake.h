// Intake: a thread that makes requests ready while others are computed (request_maker.h), the most
// urgent first. What it made waits here for the computing thread; what went wrong is told at once.
// A hang of it is seen by its pulse, as long as it is busy.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "base/mutex.h"
#include "base/result.h"
#include "engine/request_maker.h"

namespace lares::engine {

class Intake {
 public:
  using Work = std::function<Result<Made>()>;
  // Called on its thread, and `dropped` by drop() too; none of its locks is held meanwhile.
  struct Tell {
    std::function<void(uint64_t id, Error)> failed;
    std::function<void(Lane)> hurry;    // a request of that lane will be there in a moment
    std::function<void(Lane)> dropped;  // it will not, after all
    std::function<void()> ready;        // take() has something
  };

  explicit Intake(Tell tell);
  ~Intake();  // what was not begun is forgotten
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // Any thread. An id comes once. `bytes`: what the work keeps until it is done.
  void add(uint64_t id, Lane lane, size_t bytes, Work work);
  std::optional<Made> take();  // the longest ready
  bool has(uint64_t id) const;
  struct Load {
    size_t requests = 0;  // and what is ready
    size_t bytes = 0;
  };
  Load load() const;
  // False: it is not here. Else neither take() nor failed() tells of it any more.
  bool drop(uint64_t id);

  bool busy() const { return busy_.load(std::memory_order_relaxed); }
  double cpu_ms() const;  // of its thread until now

 private:
  struct Job {
    uint64_t id;
    Lane lane;
    size_t bytes;
    Work work;
  };
  struct Ready {
    uint64_t id;
    Lane lane;
    Made made;
  };
  void run();
  std::optional<Job> next();
  void over(const Job& job, Result<Made> made);

  const Tell tell_;
  std::atomic<bool> busy_{false};
  mutable Mutex mutex_;
  Condition wake_;
  bool stop_ GUARDED_BY(mutex_) = false;
  std::set<uint64_t> known_ GUARDED_BY(mutex_);  // not dropped, not taken, not failed
  std::deque<Job> waiting_ GUARDED_BY(mutex_);   // by lane, then by arrival
  std::deque<Ready> ready_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;  // of what waits, and of what is being done
  clockid_t clock_{};
  std::thread thread_;
};

}  // namespace lares::engine
