#include "api/peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"
#include "base/text.h"

namespace lares::api {
namespace {

constexpr uint32_t kLoopback = INADDR_LOOPBACK;

LoopbackEnd four(uint16_t port) { return {.address = kLoopback, .port = port}; }

// A listening socket on 127.0.0.1 or ::1, a client of it, and what was accepted.
struct Pair {
  explicit Pair(bool six, uint32_t client_uid = ::geteuid(), bool mapped = false) {
    listener = Fd(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
    sockaddr_storage address{};
    socklen_t size = 0;
    if (six) {
      auto* to = reinterpret_cast<sockaddr_in6*>(&address);
      to->sin6_family = AF_INET6;
      to->sin6_addr = in6addr_loopback;
      size = sizeof *to;
    } else {
      auto* to = reinterpret_cast<sockaddr_in*>(&address);
      to->sin_family = AF_INET;
      to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      size = sizeof *to;
    }
    if (!listener || ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener.get(), 1) != 0)
      return;
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    // a socket belongs to the user that its thread has when it makes it
    std::thread([&] {
      if (client_uid != ::geteuid() &&
          ::syscall(SYS_setresuid, client_uid, client_uid, client_uid) != 0)
        return;
      if (mapped) {
        sockaddr_in6 to{};
        to.sin6_family = AF_INET6;
        to.sin6_port = reinterpret_cast<sockaddr_in*>(&address)->sin_port;
        ::inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
        client = Fd(::socket(AF_INET6, SOCK_STREAM, 0));
        ok = ::connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
      } else {
        client = Fd(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
        ok = ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
      }
    }).join();
    if (!ok) return;
    accepted = Fd(::accept(listener.get(), nullptr, nullptr));
    own = end(accepted.get(), false, six);
    peer = end(accepted.get(), true, six);
  }
  static LoopbackEnd end(int fd, bool of_peer, bool six) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    (of_peer ? ::getpeername : ::getsockname)(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return {.six = six,
            .address = six ? 0 : ntohl(reinterpret_cast<sockaddr_in*>(&address)->sin_addr.s_addr),
            .port = ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port)};
  }
  bool ok = false;
  Fd listener, client, accepted;
  LoopbackEnd own, peer;
};

TEST(Peer, BothWaysKnowTheUserOfAConnection) {
  const Pair pair(false);
  ASSERT_TRUE(pair.ok);
  EXPECT_EQ(uid_by_proc(pair.peer, pair.own), ::geteuid());
  EXPECT_EQ(uid_of_peer(pair.peer, pair.own), ::geteuid());
  if (!uid_by_netlink(pair.peer, pair.own))
    GTEST_SKIP() << "SKIPPED: no socket diagnosis by netlink here";
}

TEST(Peer, OverIpv6Too) {
  const Pair pair(true);
  if (!pair.ok) GTEST_SKIP() << "SKIPPED: no IPv6 on this computer";
  EXPECT_EQ(uid_by_proc(pair.peer, pair.own), ::geteuid());
  EXPECT_EQ(uid_of_peer(pair.peer, pair.own), ::geteuid());
}

TEST(Peer, AnIpv6SocketThatSpeaksToAnIpv4AddressIsFound) {
  const Pair pair(false, ::geteuid(), true);
  if (!pair.ok) GTEST_SKIP() << "SKIPPED: no IPv6 on this computer";
  EXPECT_EQ(uid_by_proc(pair.peer, pair.own), ::geteuid());
  EXPECT_EQ(uid_of_peer(pair.peer, pair.own), ::geteuid());
}

TEST(Peer, AnotherUserIsNamed) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can play another user";
  const Pair pair(false, 12345);
  ASSERT_TRUE(pair.ok);
  EXPECT_EQ(uid_by_proc(pair.peer, pair.own), 12345u);
  EXPECT_EQ(uid_of_peer(pair.peer, pair.own), 12345u);
}

TEST(Peer, AClosedSocketBelongsToNobody) {
  Pair pair(false);
  ASSERT_TRUE(pair.ok);
  pair.client.reset();  // an orphan's uid reads as root's
  EXPECT_EQ(uid_by_netlink(pair.peer, pair.own), std::nullopt);
  EXPECT_EQ(uid_by_proc(pair.peer, pair.own), std::nullopt);
}

TEST(Peer, AHalfClosedSocketIsStillItsHolders) {
  Pair pair(false);
  ASSERT_TRUE(pair.ok);
  ::shutdown(pair.client.get(), SHUT_WR);
  EXPECT_EQ(uid_by_proc(pair.peer, pair.own), ::geteuid());
  EXPECT_EQ(uid_of_peer(pair.peer, pair.own), ::geteuid());
}

TEST(Peer, AListenerOnThePeersPortIsNotThePeer) {
  Pair pair(false);
  ASSERT_TRUE(pair.ok);
  // asks for a connection that never was, at whose near end somebody listens
  EXPECT_EQ(uid_by_netlink(pair.own, four(1)), std::nullopt);
  EXPECT_EQ(uid_by_proc(pair.own, four(1)), std::nullopt);
}

constexpr std::string_view kHeader =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n";

std::string line(std::string_view local, std::string_view remote, std::string_view state,
                 std::string_view uid, std::string_view inode) {
  return cat("   0: ", local, ' ', remote, ' ', state, " 00000000:00000000 00:00000000 00000000  ",
             uid, "        0 ", inode, " 1 0000000000000000 20 4 30 10 -1\n");
}

TEST(Peer, TheTableIsReadExactly) {
  const LoopbackEnd peer = four(0xD431);
  const LoopbackEnd own = four(0x1499);
  const std::string near = "0100007F:D431";
  const std::string far = "0100007F:1499";
  const auto uid = [&](const std::string& text) {
    return uid_in_table(cat(kHeader, text), peer, own);
  };
  EXPECT_EQ(uid(line(near, far, "01", "1000", "77")), 1000u);
  EXPECT_EQ(uid(line(far, near, "01", "0", "78") + line(near, far, "01", "33", "77")), 33u)
      << "not our own end";
  EXPECT_EQ(uid(line(near, far, "06", "0", "0")), std::nullopt) << "TIME_WAIT";
  EXPECT_EQ(uid(line(near, far, "01", "0", "0")), std::nullopt) << "an orphan";
  EXPECT_EQ(uid(line(near, "0100007F:149A", "01", "0", "7")), std::nullopt)
      << "another port of ours";
  EXPECT_EQ(uid(line("0200007F:D431", far, "01", "0", "7")), std::nullopt) << "another address";
  EXPECT_EQ(uid(line(near, far, "01", "-1", "7")), std::nullopt);
  EXPECT_EQ(uid(line(near, far, "01", "99999999999", "7")), std::nullopt);
  EXPECT_EQ(uid_in_table(line("0000000000000000FFFF00000100007F:D431",
                              "0000000000000000FFFF00000100007F:1499", "01", "1000", "7"),
                         peer, own),
            1000u);
  EXPECT_EQ(uid_in_table(line("00000000000000000000000001000000:D431",
                              "00000000000000000000000001000000:1499", "01", "1000", "7"),
                         {.six = true, .port = 0xD431}, {.six = true, .port = 0x1499}),
            1000u);
}

TEST(Peer, ATableThatIsCutOffAnywhereIsNoTrouble) {
  const std::string whole =
      cat(kHeader, line("0100007F:D431", "0100007F:1499", "01", "1000", "77"));
  for (size_t size = 0; size < whole.size(); size++)
    (void)uid_in_table(std::string_view(whole).substr(0, size), four(0xD431), four(0x1499));
}

TEST(Peer, WhoListensIsNamed) {
  const Pair pair(false);
  ASSERT_TRUE(pair.ok);
  const std::string who = listener_on(pair.own.port);
  EXPECT_NE(who.find(cat("(pid ", ::getpid(), ")")), std::string::npos) << who;
  EXPECT_EQ(listener_on(1), "another program");
  EXPECT_EQ(listener_on(pair.own.port, true), "another program") << "it listens on 127.0.0.1 only";
}

}  // namespace
}  // namespace lares::api
