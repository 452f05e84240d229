// Listening: the sockets that the front door listens on, made with nobody else able to reach them,
// and who is at the other end of an accepted one. System calls and their errors; no bytes of a
// request are seen here. At start and on the network thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "api/door.h"
#include "base/file.h"
#include "base/result.h"

namespace lares::api {

// Sockets that a service manager opened, and keeps: it listens on when we end, so that the next
// daemon finds who came meanwhile. Each may be empty.
struct Handed {
  Fd unix;
  Fd four;
  Fd six;
  bool any() const { return unix || four || six; }
};

// Says which is which. Invalid, naming the one that is not ours: no stream socket that listens,
// another path than `path`, another address than 127.0.0.1 and [::1], two of a kind, or two ports.
Result<Handed> sort_handed(std::vector<Fd> sockets, const std::filesystem::path& path);

// The Unix socket with the lock that makes replacing a stale one safe: of two daemons that start at
// once one gets the lock, and only its holder removes or binds.
struct UnixListener {
  Fd lock;
  Fd fd;
  std::filesystem::path path;
  ino_t inode = 0;  // 0: handed, and not ours to take away
  // Takes the name away, if it is still this socket's.
  void remove() const;
};

// Listens on `path`: 0600, in a folder that is made, or becomes, 0700. A socket that a dead daemon
// left is replaced. Busy: a daemon serves it (with its pid). Io: something else of that name, which
// stays. Invalid: the path is longer than an address holds. A `handed` socket, which listens there
// already, is taken as it is.
Result<UnixListener> listen_unix(const std::filesystem::path& path, Fd handed = Fd());

struct Loopback {
  Fd four;
  Fd six;  // empty: this computer has no IPv6
  uint16_t port = 0;
};

// Listens on 127.0.0.1 and ::1 at one port; 0: one that is free on both. Denied: it is taken, and
// by whom. What was `handed` is taken as it is, with its port; the other of the two is opened to
// it.
Result<Loopback> listen_loopback(uint16_t port, Handed handed = {});

// Who is at the other end of an accepted connection.
Caller caller_of(int fd);

}  // namespace lares::api
