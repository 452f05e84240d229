// Probe: runs a program that is thrown away afterwards, and takes what it printed: one JSON value.
// For what may kill the process that tries it, like an instruction that a CPU only claims to have.
// Blocking: not for the run loop; the thread that calls it must not end before it returns.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace lares::host {

inline constexpr milliseconds kProbeMax{20'000};
inline constexpr size_t kProbeOutputMax = 1u << 20;

struct ProbeOptions {
  milliseconds limit = kProbeMax;
  std::vector<std::string> environment = {};          // empty: a worker's
  std::vector<std::pair<int, int>> handed = {};       // beside 0, 1 and 2: ours -> the child's
  std::function<void(pid_t)> started = [](pid_t) {};  // its process
  std::stop_token stop = {};                          // it is ended, and the answer is Cancelled
};

// WorkerDied when it died ("was ended by SIGILL ...") or its exit status is not 0, with its last
// lines; Timeout after the limit; Corrupt when it printed something that is not JSON or more than
// kProbeOutputMax; Io when it cannot be started. The child has /dev/null as its input and no other
// descriptors but those that it is handed.
Result<Json> probe(const std::string& program, const std::vector<std::string>& arguments,
                   ProbeOptions options = {});

}  // namespace lares::host
