// Background: one thread that does what may block (files, probes, folders of other programs), so
// that the run loop never does. Tasks run one after another, in order; the queue is bounded, and
// full means that post() says no. Answers travel as messages to the loop. Any thread may post.
// Tasks that are queued when it ends are run first; whoever they refer to must outlive that, so an
// owner calls end() before it goes.
#pragma once

#include <deque>
#include <thread>

#include "base/loop.h"
#include "base/mutex.h"

namespace lares::app {

class Background {
 public:
  static constexpr size_t kQueueMax = 1'024;

  Background();
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  [[nodiscard]] bool post(Task task);
  // Runs what is queued, takes nothing more, and returns when the thread has ended. Again: no
  // effect.
  void end();

 private:
  void run();
  Mutex mutex_;
  Condition wake_;
  std::deque<Task> queue_ GUARDED_BY(mutex_);
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lares::app
