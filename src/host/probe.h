// Probe: runs a program that is thrown away afterwards, and takes what it printed: one JSON value.
// For what may kill the process that tries it, like an instruction that a CPU only claims to have.
// Blocking: not for the run loop; the thread that calls it must not end before it returns.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace lares::host {

inline constexpr milliseconds kProbeMax{20'000};
inline constexpr size_t kProbeOutputMax = 1u << 20;

// WorkerDied when it died ("was ended by SIGILL ...") or its exit status is not 0, with its last
// lines; Timeout after `limit`; Corrupt when it printed something that is not JSON or more than
// kProbeOutputMax; Io when it cannot be started. The child has /dev/null as its input and no other
// descriptors, and `environment`; when that is empty, a worker's.
Result<Json> probe(const std::string& program, const std::vector<std::string>& arguments,
                   milliseconds limit = kProbeMax, std::vector<std::string> environment = {});

}  // namespace lares::host
