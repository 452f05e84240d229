#include "engine/line.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace lares::engine {

void Line::send_raw(std::string_view bytes) {
  const MutexLock lock(mutex_);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) std::_Exit(0);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace lares::engine
