#include "api/peer.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"

namespace lares::api {
namespace {

constexpr std::string_view kListenHex = "0A";

// Whether a socket in that state can be the near end of a connection that somebody holds:
// established, or half closed by its holder (the kernel's TCP_FIN_WAIT1 and 2). An orphan in these
// has no inode.
constexpr bool is_connected(unsigned state) { return state == 1 || state == 4 || state == 5; }

// In a user namespace every user that is not mapped shows as the overflow user, so that one proves
// nothing there.
bool is_nobody_in_particular(uint32_t uid) {
  constexpr uint32_t kOverflow = 65534;
  if (uid != kOverflow) return false;
  static const bool all_mapped = [] {
    const auto map = read_file("/proc/self/uid_map");
    return map && map->find("4294967295") != std::string::npos;
  }();
  return !all_mapped;
}

std::optional<uint32_t> believed(uint32_t uid) {
  if (is_nobody_in_particular(uid)) return std::nullopt;
  return uid;
}

void put_address(uint32_t (&where)[4], const LoopbackEnd& end) {
  std::memset(where, 0, sizeof where);
  if (end.six) {
    std::memcpy(where, &in6addr_loopback, sizeof in6addr_loopback);
  } else {
    where[0] = htonl(end.address);
  }
}

// An end as /proc/net/tcp writes it: the address as machine words in hexadecimal, a colon, the
// port.
std::string upper_hex(const void* bytes, size_t words) {
  std::string out;
  for (size_t i = 0; i < words; i++) {
    uint32_t word = 0;
    std::memcpy(&word, static_cast<const char*>(bytes) + 4 * i, sizeof word);
    std::array<char, 9> text{};
    std::snprintf(text.data(), text.size(), "%08X", word);
    out += text.data();
  }
  return out;
}

std::string port_hex(uint16_t port) {
  std::array<char, 6> text{};
  std::snprintf(text.data(), text.size(), ":%04X", port);
  return text.data();
}

std::string end_in_table(const LoopbackEnd& end, bool in_table_of_six) {
  const uint32_t address = htonl(end.address);
  if (!in_table_of_six) return upper_hex(&address, 1) + port_hex(end.port);
  in6_addr six = in6addr_loopback;
  if (!end.six) {  // an IPv6 socket that speaks to an IPv4 address: ::ffff:127.0.0.1
    std::memset(&six, 0, sizeof six);
    six.s6_addr[10] = six.s6_addr[11] = 0xFF;
    std::memcpy(&six.s6_addr[12], &address, sizeof address);
  }
  return upper_hex(&six, 4) + port_hex(end.port);
}

// The columns of one line: sl local remote state queues timer retransmits uid timeout inode ...
struct Line {
  std::string_view local, remote, state;
  uint32_t uid = 0;
  uint64_t inode = 0;
};

std::optional<Line> parsed_line(std::string_view text) {
  std::array<std::string_view, 10> columns;
  for (std::string_view& column : columns) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    column = text.substr(0, text.find(' '));
    if (column.empty()) return std::nullopt;
    text.remove_prefix(column.size());
  }
  Line line{columns[1], columns[2], columns[3]};
  const auto number = [](std::string_view digits, auto& into) {
    const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
    return wrong == std::errc() && end == digits.data() + digits.size();
  };
  if (!number(columns[7], line.uid) || !number(columns[9], line.inode)) return std::nullopt;
  return line;
}

unsigned state_of(const Line& line) {
  unsigned state = 0;
  std::from_chars(line.state.data(), line.state.data() + line.state.size(), state, 16);
  return state;
}

template <class F>
void each_line(std::string_view table, F use) {
  while (!table.empty()) {
    const size_t end = table.find('\n');
    if (auto line = parsed_line(table.substr(0, end))) use(*line);
    if (end == std::string_view::npos) return;
    table.remove_prefix(end + 1);
  }
}

// The process of ours that holds that socket: others' descriptors cannot be seen.
std::string holder_of(uint64_t inode) {
  const std::string wanted = cat("socket:[", inode, "]");
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename();
    if (pid.empty() || pid[0] < '0' || pid[0] > '9') continue;
    std::error_code hidden;
    for (const auto& fd : std::filesystem::directory_iterator(process.path() / "fd", hidden)) {
      if (std::filesystem::read_symlink(fd.path(), hidden) != wanted) continue;
      const auto name = read_file(process.path() / "comm");
      return cat("'", name ? utf8_repaired(trimmed(*name)) : std::string("?"), "' (pid ", pid, ")");
    }
  }
  return "";
}

}  // namespace

std::optional<uint32_t> uid_in_table(std::string_view table, const LoopbackEnd& peer,
                                     const LoopbackEnd& own) {
  std::optional<uint32_t> found;
  const std::array ends{std::pair{end_in_table(peer, false), end_in_table(own, false)},
                        std::pair{end_in_table(peer, true), end_in_table(own, true)}};
  each_line(table, [&](const Line& line) {
    for (const auto& [local, remote] : ends) {
      if (line.local == local && line.remote == remote && is_connected(state_of(line)) &&
          line.inode != 0)
        found = line.uid;
    }
  });
  return found;
}

std::optional<uint32_t> uid_by_netlink(const LoopbackEnd& peer, const LoopbackEnd& own) {
  const Fd fd(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return std::nullopt;
  struct {
    nlmsghdr header;
    inet_diag_req_v2 question;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST;
  message.question.sdiag_family = peer.six ? AF_INET6 : AF_INET;
  message.question.sdiag_protocol = IPPROTO_TCP;
  message.question.idiag_states = ~0u;
  message.question.id.idiag_sport = htons(peer.port);
  message.question.id.idiag_dport = htons(own.port);
  put_address(message.question.id.idiag_src, peer);
  put_address(message.question.id.idiag_dst, own);
  message.question.id.idiag_cookie[0] = message.question.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(fd.get(), &message, sizeof message, 0, reinterpret_cast<const sockaddr*>(&kernel),
               sizeof kernel) != static_cast<ssize_t>(sizeof message))
    return std::nullopt;
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  sockaddr_nl from{};
  socklen_t from_size = sizeof from;
  const ssize_t got = ::recvfrom(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &from_size);
  // only the kernel (port 0) is believed
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg))) || from.nl_pid != 0)
    return std::nullopt;
  nlmsghdr header{};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      header.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg)))
    return std::nullopt;
  inet_diag_msg found{};
  std::memcpy(&found, answer.data() + NLMSG_HDRLEN, sizeof found);
  // where the connection is gone the kernel may answer with a listener, or with an orphan whose uid
  // reads 0
  if (!is_connected(found.idiag_state) || found.idiag_inode == 0 ||
      found.id.idiag_sport != htons(peer.port) || found.id.idiag_dport != htons(own.port))
    return std::nullopt;
  return believed(found.idiag_uid);
}

std::optional<uint32_t> uid_by_proc(const LoopbackEnd& peer, const LoopbackEnd& own) {
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const auto text = read_file(table, kSocketTableMax);
    if (!text) continue;
    if (auto uid = uid_in_table(*text, peer, own)) return believed(*uid);
  }
  return std::nullopt;
}

std::optional<uint32_t> uid_of_peer(const LoopbackEnd& peer, const LoopbackEnd& own) {
  if (auto uid = uid_by_netlink(peer, own)) return uid;
  return uid_by_proc(peer, own);
}

std::string listener_on(uint16_t port, bool six) {
  std::optional<Line> found;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    if (six && table == std::string_view("/proc/net/tcp")) continue;  // we may have that one
    auto content = read_file(table, kSocketTableMax);
    if (!content) continue;
    each_line(*content, [&](const Line& line) {
      if (line.state == kListenHex && line.local.ends_with(port_hex(port))) found = line;
    });
    if (found) break;
  }
  if (!found) return "another program";
  const std::string holder = holder_of(found->inode);
  return holder.empty() ? cat("a program of user ", found->uid) : holder;
}

}  // namespace lares::api
