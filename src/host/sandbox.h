// Sandbox: what a worker gives up before the first foreign byte is parsed. Called in lares-worker,
// on its only thread, after its libraries are loaded; there is no way back.
//
// Layers, taken as the kernel offers them: no_new_privs, rlimits, dumpable off; user, network, IPC,
// UTS and mount namespaces with an empty root; Landlock with every right handled and no rule;
// seccomp with an allow-list (required: without it this is an error). What is left: the descriptors
// it holds, memory, threads, time. Threads may be made, processes not.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "wire/message.h"

namespace lares::host {

struct SandboxReport {
  std::vector<std::string>
      layers;  // that hold: "seccomp", "landlock:7", "namespaces: user net ipc uts mnt"
  std::vector<std::string>
      missing;  // that do not, with why: "landlock: the kernel has none (ENOSYS)"
};

// Unsupported when seccomp cannot be had. Nothing leaves a layer out: tests of kernels that offer
// less put a filter around the process that answers as such a kernel would.
// Descriptors above `highest_fd` are closed; those below are the caller's to answer for.
Result<SandboxReport> enter_sandbox(int highest_fd = wire::kModelFd);

// One attempt to get out, made inside the sandbox.
struct Escape {
  std::string name;  // "open /etc/passwd"
  bool denied = false;
  std::string detail;  // "EACCES", or what it could do
};
// Tries each of at least 20 ways out and says what happened. Only in a process that is thrown away.
std::vector<Escape> try_to_escape();

}  // namespace lares::host
