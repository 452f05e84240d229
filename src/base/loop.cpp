#include "base/loop.h"

namespace lares {

Loop::Loop(const Clock& clock, size_t queue_max) : clock_(clock), queue_max_(queue_max) {}

bool Loop::post(Task task) {
  {
    const MutexLock lock(mutex_);
    if (stopping_ || queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void Loop::post_end(Task task) {
  {
    const MutexLock lock(mutex_);
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

Loop::TimerId Loop::after(milliseconds delay, Task task) {
  const MutexLock lock(mutex_);
  const TimerId id = next_timer_++;
  const SteadyTime due = clock_.now() + delay;
  timers_.emplace(id, Timer{due, std::move(task)});
  due_.emplace(due, id);
  wake_.notify_one();  // harmless from the loop's own thread, needed from any other in tests
  return id;
}

void Loop::cancel(TimerId timer) {
  Task dropped;  // ends after the lock: what it holds may post from its destructor
  const MutexLock lock(mutex_);
  const auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  for (auto [it, end] = due_.equal_range(found->second.due); it != end; ++it) {
    if (it->second == timer) {
      due_.erase(it);
      break;
    }
  }
  dropped = std::move(found->second.task);
  timers_.erase(found);
}

Task Loop::next_due_locked() {
  if (!due_.empty() && due_.begin()->first <= clock_.now()) {
    const auto found = timers_.find(due_.begin()->second);
    due_.erase(due_.begin());
    Task task = std::move(found->second.task);
    timers_.erase(found);
    return task;
  }
  if (queue_.empty()) return {};
  Task task = std::move(queue_.front());
  queue_.pop_front();
  return task;
}

bool Loop::run_one() {
  Task task;
  {
    const MutexLock lock(mutex_);
    task = next_due_locked();
  }
  if (!task) return false;
  task();
  return true;
}

void Loop::run() {
  for (;;) {
    Task task;
    {
      const MutexLock lock(mutex_);
      for (;;) {
        task = next_due_locked();
        if (task) break;
        if (stopping_) return;
        if (due_.empty()) {
          wake_.wait(mutex_);
        } else {
          wake_.wait_until(mutex_, due_.begin()->first);
        }
      }
    }
    task();
  }
}

void Loop::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

}  // namespace lares
