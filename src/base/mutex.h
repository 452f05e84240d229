// Mutex, MutexLock and Condition: the standard ones, with the notes that Clang's thread safety
// analysis reads (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html). A field says which mutex
// guards it, a function which it needs held; `./dev tidy --clang` checks both. Under other
// compilers the notes are nothing.
// For the few places where threads meet; what one thread owns (base/loop.h) needs none of it.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/clock.h"

#if defined(__clang__)
#define LARES_THREADS(note) __attribute__((note))
#else
#define LARES_THREADS(note)
#endif
#define GUARDED_BY(mutex) LARES_THREADS(guarded_by(mutex))
#define REQUIRES(mutex) LARES_THREADS(requires_capability(mutex))
#define EXCLUDES(mutex) LARES_THREADS(locks_excluded(mutex))

namespace lares {

class LARES_THREADS(capability("mutex")) Mutex {
 public:
  void lock() LARES_THREADS(acquire_capability()) { mutex_.lock(); }
  void unlock() LARES_THREADS(release_capability()) { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class LARES_THREADS(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) LARES_THREADS(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() LARES_THREADS(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits may end without a reason, as everywhere: call them in a loop that looks again.
class Condition {
 public:
  void wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    wake_.wait(lock);
    lock.release();
  }
  void wait_until(Mutex& mutex, SteadyTime until) REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    wake_.wait_until(lock, until);
    lock.release();
  }
  void notify_one() { wake_.notify_one(); }
  void notify_all() { wake_.notify_all(); }

 private:
  std::condition_variable wake_;
};

}  // namespace lares
