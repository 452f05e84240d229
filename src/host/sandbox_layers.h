// The layers of the sandbox below seccomp, one function each, so that each can be tested alone and
// left out. They write what holds and what does not into the report and never stop half way: a
// kernel that refuses one layer still gives the others. Called by enter_sandbox() only, on the
// process's only thread.
#pragma once

#include "host/sandbox.h"

namespace lares::host {

// New user, network, IPC, UTS, cgroup and mount namespaces, and an empty read-only root. Where user
// namespaces are refused, real root still gets the others. Whoever reaches the internet keeps the
// network's.
void leave_namespaces(SandboxReport& report, Reach reach);

// No capability in any set, for ever.
void drop_capabilities(SandboxReport& report);

// Nothing may be written to a file (but by whoever downloads one), no core, few descriptors, none
// above `highest`.
void limit_resources(SandboxReport& report, int highest, Reach reach);

// Every right of the kernel's Landlock ABI handled, none granted; connecting is left out of it for
// whoever reaches the internet.
void restrict_by_landlock(SandboxReport& report, Reach reach);

// Threads of this process; 0 where /proc is not there to say.
size_t threads_running();

// "EACCES"
std::string error_name(int errno_value);

}  // namespace lares::host
