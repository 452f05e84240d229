#include "app/background.h"

namespace lares::app {

Background::Background() : thread_([this] { run(); }) {}

Background::~Background() { end(); }

void Background::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool Background::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
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
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace lares::app
