// Activation: what a service manager hands to laresd at its start (sd_listen_fds(3), sd_notify(3);
// the protocols of systemd, spoken without its library): sockets that are open already, and where
// to say that it serves. What the sockets are is looked at by api/listen.h. At start and end, on
// the main thread, before any other is made.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace lares::app {

inline constexpr int kHandedFirst = 3;  // SD_LISTEN_FDS_START
inline constexpr int kHandedMax = 8;    // more than three make no sense

// How many descriptors from 3 on are meant for the process `own`: LISTEN_FDS, when LISTEN_PID is
// `own`; 0 when it is another, whose variables were merely inherited. LISTEN_FDNAMES, where set,
// has as many names with ':' between. A null pointer is a variable that is not set. Invalid: a
// value that is none, or too many.
Result<int> handed_count(const char* pid, const char* count, const char* names, pid_t own);

struct Activation {
  std::vector<Fd> sockets;  // close-on-exec, in the manager's order
  std::string notify;       // NOTIFY_SOCKET; empty: nobody wants to know
};

// Takes it from the environment, and the variables out of it: what we start is not to believe them
// meant for itself. Invalid as above, or when a descriptor is not open.
Result<Activation> take_activation();

// Sends "READY=1" and the like to the manager. Nothing where nobody wants to know. Io or Invalid:
// it could not be told.
Result<> tell_manager(const std::string& notify, std::string_view state);

}  // namespace lares::app
