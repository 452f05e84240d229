// Line: the worker's end of the control socket, for writing. Any thread may send; frames never mix.
// When the daemon is gone there is nobody to work for, so the process ends, quietly.
#pragma once

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
  // Nothing is sent any more, by any thread.
  void fall_silent() LARES_THREADS(no_thread_safety_analysis) { mutex_.lock(); }

 private:
  const int fd_;
  Mutex mutex_;  // held while a frame is written
};

}  // namespace lares::engine
