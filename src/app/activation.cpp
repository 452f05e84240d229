#include "app/activation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace lares::app {
namespace {

constexpr const char* kDoing = "taking the sockets of the service manager";
constexpr size_t kShown = 80;

// A whole number from 0 on, and nothing after it.
bool read_number(std::string_view text, int& number) {
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  return wrong == std::errc() && end == text.data() + text.size() && number >= 0;
}

Error wrong_value(std::string_view name, std::string_view value, std::string_view takes) {
  return {Code::Invalid, cat(kDoing, ": ", name, " is '", utf8_repaired(value.substr(0, kShown)),
                             "'; it takes ", takes, ", as systemd sets it")};
}

}  // namespace

Result<int> handed_count(const char* pid, const char* count, const char* names, pid_t own) {
  if (!pid || !count) return 0;
  int meant = 0;
  if (!read_number(pid, meant)) return wrong_value("LISTEN_PID", pid, "a process number");
  if (meant != own) return 0;
  int found = 0;
  if (!read_number(count, found) || found > kHandedMax)
    return wrong_value("LISTEN_FDS", count, cat("0 to ", kHandedMax));
  if (names && found > 0) {
    const std::string_view all = names;
    if (std::count(all.begin(), all.end(), ':') + 1 != found)
      return wrong_value("LISTEN_FDNAMES", all, cat(found, " names with ':' between them"));
  }
  return found;
}

Result<Activation> take_activation() {
  Activation taken;
  const auto count = handed_count(std::getenv("LISTEN_PID"), std::getenv("LISTEN_FDS"),
                                  std::getenv("LISTEN_FDNAMES"), ::getpid());
  if (const char* notify = std::getenv("NOTIFY_SOCKET")) taken.notify = notify;
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"})
    ::unsetenv(name);
  if (!count) return count.error();
  for (int fd = kHandedFirst; fd < kHandedFirst + *count; fd++) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0)
      return Error{Code::Invalid,
                   cat(kDoing, ": LISTEN_FDS is ", *count, ", but descriptor ", fd,
                       " is not open; start laresd by its unit, or without LISTEN_FDS")};
    (void)::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    taken.sockets.emplace_back(fd);
  }
  return taken;
}

Result<> tell_manager(const std::string& notify, std::string_view state) {
  if (notify.empty()) return Unit{};
  const std::string doing = cat("telling the service manager at '", notify, "'");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((notify[0] != '/' && notify[0] != '@') || notify.size() >= sizeof address.sun_path)
    return Error{Code::Invalid,
                 cat(doing, ": NOTIFY_SOCKET takes a path, or '@' and a name, of at most ",
                     sizeof address.sun_path - 1, " bytes")};
  std::memcpy(address.sun_path, notify.data(), notify.size());
  if (notify[0] == '@') address.sun_path[0] = '\0';  // a name of no file
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + notify.size());
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return system_error(doing, errno);
  const ssize_t sent = ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), size);
  if (sent != static_cast<ssize_t>(state.size())) return system_error(doing, errno);
  return Unit{};
}

}  // namespace lares::app
