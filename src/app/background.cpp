#include "app/background.h"

namespace lares::app {

Background::Background() : thread_([this] { run(); }) {}

Background::~Background() { end(); }

void Background::end() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool Background::post(Task task) {
  {
    const MutexLock lock(mutex_);
    if (ending_ || queue_.size() >= kQueueMax) return false;
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void Background::run() {
  for (;;) {
    Task task;
    {
      const MutexLock lock(mutex_);
      while (!ending_ && queue_.empty()) wake_.wait(mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace lares::app
