#include <cassert>
#include <string>
#include <vector>

#include "app/activation.h"
#include "base/fuzz.h"
#include "base/text.h"

namespace lares::app {

// Three lines: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; one that is missing is a variable that is
// not set.
FUZZ(activation) {
  const std::vector<std::string> lines = split(bytes, '\n');
  const auto value = [&](size_t i) { return i < lines.size() ? lines[i].c_str() : nullptr; };
  const auto count = handed_count(value(0), value(1), value(2), 4242);
  assert(!count || (*count >= 0 && *count <= kHandedMax));
}

}  // namespace lares::app
