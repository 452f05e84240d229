// Process: starts one program with exactly the descriptors, environment and arguments that are
// named, and says how it ended. Shared by Worker and probe(); what a child says or may do is not
// decided here.
//
// A child dies with the *thread* that started it (PR_SET_PDEATHSIG), so start_process() is called
// on a thread that outlives the child. It is in a session of its own, so that its whole group can
// be killed, and stands before us when the system runs out of memory.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"

namespace lares::host {

struct ProcessSpec {
  std::string program;
  std::vector<std::string> arguments;         // without the program's own name
  std::vector<std::pair<int, int>> handed;    // ours -> the child's; the child has no others
  std::vector<std::string> environment = {};  // "NAME=value", and nothing else
};

struct Process {
  pid_t pid = -1;
  Fd pidfd;  // readable when it has ended; empty where the kernel or a container has no pidfd_open
};

// Io when the program cannot be started; the message names it and the system's reason.
Result<Process> start_process(const ProcessSpec& spec);

// What every child of ours finds: LANG, GGML_NO_BACKTRACE, and from our own environment only what
// is for tests (sanitizer options).
std::vector<std::string> child_environment();

// How a child ended. Filled by try_reap().
struct ProcessEnd {
  int signal = 0;    // that ended it; 0: it exited
  int status = 0;    // of exit()
  bool seen = true;  // false: somebody else reaped it (SIGCHLD ignored)
};

// Reaps without waiting; nullopt: still running.
std::optional<ProcessEnd> try_reap(pid_t pid);

// SIGKILL to the child and whatever it started. Requires: not reaped yet.
void kill_group(pid_t pid);

// "SIGSEGV"; "signal 77" for one without a name.
std::string signal_name(int signal);

// "was ended by SIGILL", "exited with status 3".
std::string to_string(const ProcessEnd& end);

}  // namespace lares::host
