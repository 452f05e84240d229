// Line: the worker's end of the control socket, for writing. Any thread may send; frames never mix.
// When the daemon is gone there is nobody to work for, so the process ends, quietly.
#pragma once

#include <string>
#include <string_view>

#include "base/mutex.h"
#include "wire/frame.h"

namespace lares::engine {

class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}
  int fd() const { return fd_; }

  // Blocks while the daemon does not read.
  void send(const wire::Frame& frame) { send_raw(wire::encode(frame)); }
  // Bytes that need not be a frame: for the fake's crimes.
  void send_raw(std::string_view bytes);
  // What is sent from here on is written as one piece when it is let go, or when it has become
  // large: a step's answers wake the daemon once, not once each.
  void hold();
  void let_go();
  // Nothing is sent any more, by any thread.
  void fall_silent() LARES_THREADS(no_thread_safety_analysis) { mutex_.lock(); }

 private:
  void write_locked(std::string_view bytes) REQUIRES(mutex_);

  const int fd_;
  Mutex mutex_;  // held while a frame is written
  bool holding_ GUARDED_BY(mutex_) = false;
  std::string held_ GUARDED_BY(mutex_);
};

}  // namespace lares::engine
