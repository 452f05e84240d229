// Background: one thread that does what may block (files, probes, folders of other programs), so
// that the run loop never does. Tasks run one after another, in order; the queue is bounded, and
// full means that post() says no. Answers travel as messages to the loop. Any thread may post.
// Tasks that are queued when it ends are run first; whoever they refer to must outlive that, so an
// owner calls end() before it goes.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/loop.h"

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
  std::mutex mutex_;  // guards the next three
  std::condition_variable wake_;
  std::deque<Task> queue_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lares::app
