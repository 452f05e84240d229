#include "engine/line.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace lares::engine {

void Line::send_raw(std::string_view bytes) {
  constexpr size_t kHeldMax = 64 * 1024;
  const MutexLock lock(mutex_);
  if (!holding_) return write_locked(bytes);
  held_ += bytes;
  if (held_.size() < kHeldMax) return;
  write_locked(held_);
  held_.clear();
}

void Line::hold() {
  const MutexLock lock(mutex_);
  holding_ = true;
}

void Line::let_go() {
  const MutexLock lock(mutex_);
  holding_ = false;
  write_locked(held_);
  held_.clear();
}

void Line::write_locked(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) std::_Exit(0);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace lares::engine
