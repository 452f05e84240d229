#include "api/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
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

// A service manager that holds the socket for a daemon which does not run yet is no laresd.
bool is_manager(pid_t pid) {
  const auto name =
      pid > 0 ? read_file(cat("/proc/", pid, "/comm"), KiB(1)) : Result<std::string>("");
  return name && trimmed(*name) == "systemd";
}

Error already_served(const std::filesystem::path& path, pid_t pid) {
  if (is_manager(pid)) {
    return {Code::Busy,
            cat("opening the socket '", path.string(),
                "': lares.socket of systemd has it, and starts a daemon when somebody connects; "
                "use that "
                "one, or end both with: systemctl --user stop lares.socket lares.service")};
  }
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
                     "; end that program, or set api.port in lares.toml to another (0: any)")};
  if (bound != 0 && errno == EACCES)
    return Error{
        Code::Denied,
        cat(doing, ": ports below 1024 are the system's; set api.port in lares.toml to another")};
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

// What a handed socket is bound to; `path` for a Unix socket.
struct Bound {
  int family = 0;
  std::string shown;  // for an error
  std::string path;
  bool loopback = false;
  uint16_t port = 0;
};

Bound bound_of(int fd) {
  Bound bound;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return bound;
  bound.family = address.ss_family;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_UNIX) {
    sockaddr_un named{};
    std::memcpy(&named, &address, sizeof named);
    // an abstract name begins with a zero and is never a path
    const size_t length =
        size > offsetof(sockaddr_un, sun_path) ? size - offsetof(sockaddr_un, sun_path) : 0;
    bound.path.assign(named.sun_path, ::strnlen(named.sun_path, length));
    bound.shown = cat("'", utf8_repaired(bound.path), "'");
  } else if (address.ss_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof four);
    bound.port = ntohs(four.sin_port);
    bound.loopback = four.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    bound.shown =
        cat(::inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size()), ":", bound.port);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    bound.port = ntohs(six.sin6_port);
    bound.loopback = IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) != 0;
    bound.shown =
        cat("[", ::inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size()), "]:", bound.port);
  }
  return bound;
}

bool listens(int fd) {
  int type = 0;
  int accepts = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
  size = sizeof accepts;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts != 0;
}

}  // namespace

Result<Handed> sort_handed(std::vector<Fd> sockets, const std::filesystem::path& path) {
  Handed handed;
  uint16_t port = 0;
  for (size_t i = 0; i < sockets.size(); i++) {
    Fd& fd = sockets[i];
    const auto refused = [&](const std::string& why) {
      return Error{Code::Invalid,
                   cat("taking the sockets of the service manager: number ", i + 1, " of ",
                       sockets.size(), " ", why, "; lares.socket has the three that it takes")};
    };
    if (!listens(fd.get())) return refused("is no stream socket that listens");
    const Bound bound = bound_of(fd.get());
    if (bound.family == AF_UNIX) {
      if (bound.path != path.native())
        return refused(cat("is ", bound.shown, ", and this home's is '", path.string(), "'"));
      if (handed.unix) return refused(cat("is ", bound.shown, " a second time"));
      handed.unix = std::move(fd);
    } else {
      if (!bound.loopback)
        return refused(cat("listens on ", bound.shown,
                           ", which others can reach; only 127.0.0.1 and [::1] are served"));
      Fd& place = bound.family == AF_INET ? handed.four : handed.six;
      if (place) return refused(cat("is ", bound.shown, ", and one of its kind came before it"));
      if (port != 0 && bound.port != port)
        return refused(cat("is ", bound.shown, ", and the other has the port ", port));
      port = bound.port;
      place = std::move(fd);
    }
  }
  for (const Fd* fd : {&handed.unix, &handed.four, &handed.six}) {
    if (*fd) (void)::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  }
  return handed;
}

void UnixListener::remove() const {
  if (inode == 0) return;
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0 && info.st_ino == inode) ::unlink(path.c_str());
}

Result<UnixListener> listen_unix(const std::filesystem::path& path, Fd handed) {
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

  if (handed) {
    made.fd = std::move(handed);
    return made;
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
Result<Loopback> listen_loopback(uint16_t port, Handed handed) {
  constexpr int kTries = 20;
  if (handed.four || handed.six) {
    Loopback made{std::move(handed.four), std::move(handed.six), 0};
    made.port = port_of(made.four ? made.four : made.six);
    for (Fd* fd : {&made.four, &made.six}) {
      if (*fd) continue;
      TRY_AS(*fd, listen_on(fd == &made.six, made.port));
    }
    return made;
  }
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
