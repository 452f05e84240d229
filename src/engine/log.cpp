#include "engine/log.h"

#include <unistd.h>

#include "base/text.h"

namespace lares::engine {

void log_line(std::string_view line) {
  const std::string whole = cat(line, "\n");
  // a log that cannot be written is nothing that a worker could tell anybody
  static_cast<void>(::write(STDERR_FILENO, whole.data(), whole.size()) < 0);
}

}  // namespace lares::engine
