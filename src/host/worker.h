// Worker: one lares-worker process, from spawn to death. It starts it with the descriptors of
// wire/message.h and nothing else (no environment but what is named, no other descriptor), reads
// its frames on a thread of its own, notices death, silence, standing still and misbehaviour, and
// keeps its last log lines.
//
//   spawn() ──> starting ──Hello──> ready ──(owner sends Load)──> ... ──stop() or death──> ended
//
// Events are posted to the run loop, in order; Ended is the last and comes exactly once, within two
// seconds of a death, a hang (no Beat, or busy without progress) or a flood. What the worker sends
// is hostile input: a frame that cannot be read, an id that is not open, or more than allowed ends
// it. Owned by the run-loop thread; the reader thread is inside.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "wire/message.h"

namespace lares::host {

struct WorkerSpec {
  std::string program;                 // path of lares-worker
  std::vector<std::string> arguments;  // "--engine=llama", "--variant=/...so", "--name=..."
  Fd model;                            // handed over as wire::kModelFd; may be empty
  std::string name;                    // for logs and errors
};

// What a worker said or what became of it.
struct WorkerEnded {
  Error error;  // WorkerDied (signal or exit status, last log lines), Timeout, Corrupt
  std::vector<std::string> last_log;  // at most kLogLinesKept
  bool asked = false;                 // stop() was called before
};
using WorkerEvent =
    std::variant<wire::Hello, wire::Loaded, wire::Progress, wire::Frame, WorkerEnded>;
// Frame: Started, Delta, Done, Failed of an open request, not decoded yet.

inline constexpr size_t kLogLinesKept = 20;
inline constexpr milliseconds kSilenceMax{1500};  // without a Beat, or busy without progress
inline constexpr milliseconds kStopGrace{1000};   // from Shutdown to SIGKILL

class Worker {
 public:
  using OnEvent = std::function<void(WorkerEvent)>;  // on the run loop
  // Io when the program cannot be started. `on_event` is not called after the Worker is destroyed.
  static Result<std::unique_ptr<Worker>> spawn(WorkerSpec spec, Loop& loop, Log& log,
                                               OnEvent on_event);
  virtual ~Worker() = default;  // kills and reaps

  // Queues a frame; never blocks. Busy when the worker does not read and kOutMax bytes wait.
  virtual Result<> send(wire::Frame frame) = 0;
  // The ids that may appear in frames; opened by sending Generate or Embed, closed by Done or
  // Failed.
  virtual void stop() = 0;  // Shutdown, then SIGKILL after the grace
  virtual void kill() = 0;  // SIGKILL now
  virtual pid_t pid() const = 0;
};
inline constexpr size_t kOutMax = 64u << 20;

}  // namespace lares::host
