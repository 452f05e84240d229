// Peer: which user's process is at the other end of a connection over loopback, asked of the
// kernel.
//
// An address proves nothing on a computer that several users share; the kernel knows whose socket
// it is. Asked by netlink (one exact question, microseconds); /proc/net where netlink is not there.
// Not a policy: what a user may do is the door's (door.h). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"

namespace lares::api {

// One end of a TCP connection over 127.0.0.0/8 or ::1.
struct LoopbackEnd {
  bool six = false;
  uint32_t address = 0;  // IPv4, host order; not used where six (it is ::1)
  uint16_t port = 0;
};

// The uid of the process that holds the connection from `peer` to `own`. Nothing when the kernel
// does not say, or when the socket has no owner any more: a closed one counts for nobody, never for
// root. Ask right after accept(), while the two addresses cannot belong to another connection.
std::optional<uint32_t> uid_of_peer(const LoopbackEnd& peer, const LoopbackEnd& own);

// The two ways of uid_of_peer, for tests.
std::optional<uint32_t> uid_by_netlink(const LoopbackEnd& peer, const LoopbackEnd& own);
std::optional<uint32_t> uid_by_proc(const LoopbackEnd& peer, const LoopbackEnd& own);

// From the text of /proc/net/tcp or tcp6: the uid of the established connection from `peer` to
// `own`.
std::optional<uint32_t> uid_in_table(std::string_view table, const LoopbackEnd& peer,
                                     const LoopbackEnd& own);

// Who listens on a port of 127.0.0.1, or of [::1], for an error message: "'ollama' (pid 4711)",
// "a program of user 33", or "another program".
std::string listener_on(uint16_t port, bool six = false);

inline constexpr Bytes kSocketTableMax = MiB(32);

}  // namespace lares::api
