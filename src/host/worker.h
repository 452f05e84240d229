// Worker: one lares-worker process, from spawn to death. It starts it with the descriptors of
// wire/message.h and nothing else (no environment but what is named, no other descriptor), reads
// its frames on a thread of its own, notices death, silence, standing still and misbehaviour, and
// keeps its last log lines.
//
//   spawn() ──> starting ──Hello──> ready ──(owner sends Load)──> ... ──stop() or death──> ended
//
// Events are posted to the run loop, in order; Ended is the last and comes exactly once, within two
// seconds of a death, a hang (no Beat, or busy without progress) or a flood. What the worker sends
// is hostile input: a frame that cannot be read, an id that is not open, or more than allowed
// (conduct.h) ends it. When the run loop does not keep up, the worker is not read and has to wait.
// A worker that cannot go on says Failed with id 0 (its model cannot be loaded, say), which comes
// as a Frame; it is ended, and WorkerEnded has that error too. Owned by the run-loop thread; the
// reader thread is inside. It starts the process and lives as long as it, because the kernel ends a
// child with the thread that started it.
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
  std::vector<Fd> more = {};           // handed over as the numbers above; only with a model
  // Handed over as wire::kLeaseFd and wire::kBellFd (wire/lease_page.h), both or none, and as
  // wire::kAdapterFd and the numbers above, the draft model's behind the adapters'; without `more`.
  // So the projector, as wire::kProjectorFd.
  Fd lease = {}, bell = {};
  Fd projector = {};
  std::vector<Fd> adapters = {};
  Fd draft = {};
};

// What a worker said or what became of it.
struct WorkerEnded {
  // WorkerDied (signal or exit status), Timeout or Corrupt, each with the last log lines in its
  // message: of those since the oldest request began that it died in, or since it has had none, or
  // was started. Or what the worker itself said when it gave up.
  Error error;
  std::vector<std::string> last_log;  // at most kLogLinesKept
  bool asked = false;                 // stop() was called before
};
using WorkerEvent =
    std::variant<wire::Hello, wire::Loaded, wire::Moved, wire::Progress, wire::Frame, WorkerEnded>;
// Frame: Started, Delta, Done, Failed of an open request, and Failed with id 0, not decoded yet.
// One that cannot be decoded is a reason to condemn(). Progress: of loading only.

inline constexpr size_t kLogLinesKept = 20;
inline constexpr milliseconds kSilenceMax{1500};  // without a Beat, or busy without progress
inline constexpr milliseconds kStopGrace{1000};   // from Shutdown to SIGKILL
inline constexpr size_t kOutMax = 64u << 20;      // bytes that wait for a worker to read them
// Of what a worker sent and the run loop has not taken yet: above it the worker is not read. More
// than one request may send in a second (conduct.h), so that a flood shows however slow the loop
// is.
inline constexpr size_t kEventsWaitingMax = 20'000;
inline constexpr size_t kBytesWaitingMax = 32u << 20;
inline constexpr size_t kLogBytesPerSecondMax = 1u << 20;
// From SIGKILL until the end is told even though the process is still there (it waits for a disk).
inline constexpr milliseconds kReapMax{400};

class Worker {
 public:
  using OnEvent = std::function<void(WorkerEvent)>;  // on the run loop
  // Io when the program cannot be started. `on_event` is not called after the Worker is destroyed.
  static Result<std::unique_ptr<Worker>> spawn(WorkerSpec spec, Loop& loop, Log& log,
                                               OnEvent on_event);
  virtual ~Worker() = default;  // kills; it is reaped behind the scenes, without a wait here

  // Queues a frame; never blocks. Busy when the worker does not read and kOutMax bytes wait.
  // WorkerDied when it has ended or was told to. Generate, Embed, Rank and Resume open their
  // id, Done and Failed close it; an id of 0 or one that is open is Invalid.
  virtual Result<> send(wire::Frame frame) = 0;
  virtual void stop() = 0;  // Shutdown, then SIGKILL after the grace
  virtual void kill() = 0;  // SIGKILL now
  // SIGKILL now, because of something that only the owner could see; `why` becomes WorkerEnded's.
  virtual void condemn(const Error& why) {
    static_cast<void>(why);
    kill();
  }
  virtual pid_t pid() const = 0;
};

}  // namespace lares::host
