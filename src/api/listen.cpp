#include "api/listen.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "api/peer.h"
#include "base/text.h"

namespace lares::api {
namespace {

// ---------------------------------------------------------------------------------------

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.size() >= sizeof address.sun_path)
    return Error{Code::Invalid, cat("opening the socket '", text, "': ", text.size(),
                                    " bytes, and an address holds ", sizeof address.sun_path - 1,
                                    "; set LARES_HOME or XDG_RUNTIME_DIR to a shorter folder")};
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

template <class Address>
const sockaddr* as_sockaddr(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// The pid that answers on a Unix socket: 0 when somebody answers who cannot be named, nothing when
// nobody.
std::optional<pid_t> listener_of(const sockaddr_un& address) {
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return 0;
  if (::connect(fd.get(), as_sockaddr(address), sizeof address) != 0)
    return errno == EAGAIN ? std::optional<pid_t>(0) : std::nullopt;  // EAGAIN: its queue is full
  ucred who{};
  socklen_t size = sizeof who;
  return ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 ? who.pid : 0;
}

Error already_served(const std::filesystem::path& path, pid_t pid) {
  return {Code::Busy, cat("opening the socket '", path.string(), "': another laresd",
                          pid > 0 ? cat(" (pid ", pid, ")") : std::string(),
                          " serves this home; use that one, or end it with `lares stop`")};
}

// An empty Fd: this computer has no IPv6.
Result<Fd> listen_on(bool six, uint16_t port) {
  const std::string doing = cat("listening on ", six ? "[::1]:" : "127.0.0.1:", port);
  Fd fd(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd && six && errno == EAFNOSUPPORT) return Fd();
  if (!fd) return system_error(doing, errno);
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int bound = 0;
  if (six) {
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    bound = ::bind(fd.get(), as_sockaddr(address), sizeof address);
    if (bound != 0 && errno == EADDRNOTAVAIL) return Fd();
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    bound = ::bind(fd.get(), as_sockaddr(address), sizeof address);
  }
  if (bound == 0) bound = ::listen(fd.get(), SOMAXCONN);
  if (bound != 0 && errno == EADDRINUSE)
    return Error{Code::Denied,
                 cat(doing, ": the port is taken by ", listener_on(port, six),
                     "; end that program, or choose another port with --port (0: any)")};
  if (bound != 0 && errno == EACCES)
    return Error{Code::Denied,
                 cat(doing, ": ports below 1024 are the system's; choose one with --port")};
  if (bound != 0) return system_error(doing, errno);
  return fd;
}

uint16_t port_of(const Fd& fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

std::optional<LoopbackEnd> end_of(const sockaddr_storage& address) {
  LoopbackEnd end;
  if (address.ss_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof four);
    end.address = ntohl(four.sin_addr.s_addr);
    end.port = ntohs(four.sin_port);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    end.six = true;
    end.port = ntohs(six.sin6_port);
  } else {
    return std::nullopt;
  }
  return end;
}

}  // namespace

void UnixListener::remove() const {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0 && info.st_ino == inode) ::unlink(path.c_str());
}

Result<UnixListener> listen_unix(const std::filesystem::path& path) {
  const std::string doing = cat("opening the socket '", path.string(), "'");
  TRY_AS(const sockaddr_un address, address_of(path));
  const std::filesystem::path folder = path.parent_path();
  TRY(make_private_folder(folder));
  if (::chmod(folder.c_str(), 0700) != 0) return system_error(doing, errno);

  UnixListener made{.path = path};
  const std::string lock_path = path.string() + ".lock";
  made.lock = Fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made.lock) return system_error(cat("locking '", lock_path, "'"), errno);
  if (::flock(made.lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error(cat("locking '", lock_path, "'"), errno);
    return already_served(path, listener_of(address).value_or(0));
  }

  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      return Error{Code::Io, cat(doing, ": ", S_ISLNK(there.st_mode) ? "a link" : "a file",
                                 " of this name is in the way; remove it")};
    if (const auto pid = listener_of(address)) return already_served(path, *pid);
    if (::unlink(path.c_str()) != 0)
      return system_error(cat(doing, ": removing a dead one"), errno);
  } else if (errno != ENOENT) {
    return system_error(doing, errno);
  }

  made.fd = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // before bind, so that the name never stands there with other rights
  if (!made.fd || ::fchmod(made.fd.get(), 0600) != 0 ||
      ::bind(made.fd.get(), as_sockaddr(address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::lstat(path.c_str(), &there) != 0 ||
      ::listen(made.fd.get(), SOMAXCONN) != 0)
    return system_error(doing, errno);
  made.inode = there.st_ino;
  return made;
}

// One port on both addresses. Chosen by the system, the second address may have it taken: then
// another.
Result<Loopback> listen_loopback(uint16_t port) {
  constexpr int kTries = 20;
  for (int left = kTries;; left--) {
    Loopback made;
    TRY_AS(made.four, listen_on(false, port));
    made.port = port_of(made.four);
    auto six = listen_on(true, made.port);
    if (six) {
      made.six = *std::move(six);
      return made;
    }
    if (port != 0 || left <= 0 || six.error().code != Code::Denied) return std::move(six).error();
  }
}

Caller caller_of(int fd) {
  Caller caller{.own_uid = ::geteuid()};
  sockaddr_storage own{};
  sockaddr_storage peer{};
  socklen_t own_size = sizeof own;
  socklen_t peer_size = sizeof peer;
  const bool known = ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0;
  if (known && own.ss_family == AF_UNIX) {
    caller.transport = Transport::Unix;
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) caller.uid = who.uid;
    return caller;
  }
  if (!known || ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0)
    return caller;
  const auto ours = end_of(own);
  const auto theirs = end_of(peer);
  if (!ours || !theirs) return caller;
  caller.port = ours->port;
  caller.uid = uid_of_peer(*theirs, *ours);
  return caller;
}

}  // namespace lares::api
