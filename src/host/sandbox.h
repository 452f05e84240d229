// Sandbox: what a worker gives up before the first foreign byte is parsed. Called in lares-worker
// and lares-egress, on their only thread, after their libraries are loaded; there is no way back.
//
// Layers, taken as the kernel offers them: no_new_privs, rlimits, dumpable off; user, network, IPC,
// UTS and mount namespaces with an empty root; Landlock with every right handled and no rule;
// seccomp with an allow-list (required: without it this is an error). What is left: the descriptors
// it holds, memory, threads, time. Threads may be made, processes not. With Reach::Internet there
// are sockets to the internet besides, and writing to the descriptors it holds; no threads, and
// still no file by name.
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

enum class Reach { Nothing, Internet };

// Unsupported when seccomp cannot be had. Nothing leaves a layer out: tests of kernels that offer
// less put a filter around the process that answers as such a kernel would.
// Descriptors above `highest_fd` are closed; those below are the caller's to answer for.
Result<SandboxReport> enter_sandbox(int highest_fd = wire::kModelFd, Reach reach = Reach::Nothing);

// One attempt to get out, made inside the sandbox.
struct Escape {
  std::string name;  // "open /etc/passwd"
  bool denied = false;
  std::string detail;  // "EACCES", or what it could do
};
Json to_json(const Escape& escape);
// Tries each of at least 20 ways out and says what happened. Only in a process that is thrown away.
// What `reach` allows is not tried.
std::vector<Escape> try_to_escape(Reach reach = Reach::Nothing);

// Enters and tries: {layers, missing, escapes: [{name, denied, detail}]}. For `--escape-probes`.
Result<Json> escape_report(int highest_fd = wire::kModelFd, Reach reach = Reach::Nothing);

}  // namespace lares::host
