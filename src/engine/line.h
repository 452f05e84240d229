// Line: the worker's end of the control socket, for writing. Any thread may send; frames never mix.
// When the daemon is gone there is nobody to work for, so the process ends, quietly.
#pragma once

#include <mutex>
#include <string_view>

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
  void fall_silent() { mutex_.lock(); }

 private:
  const int fd_;
  std::mutex mutex_;
};

}  // namespace lares::engine
