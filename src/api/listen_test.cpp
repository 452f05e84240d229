#include "api/listen.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/text.h"

namespace lares::api {
namespace {

namespace fs = std::filesystem;

struct ListenTest : testing::Test {
  ~ListenTest() override { fs::remove_all(top); }
  // A socket that nobody listens on any more, as a killed daemon leaves it.
  void leave_stale() const {
    fs::create_directories(socket.parent_path());
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(fd.get(), 1), 0);
  }
  static unsigned mode_of(const fs::path& path) {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }
  const fs::path top = fs::temp_directory_path() / cat("lares-listen-", random_hex(6));
  const fs::path socket = top / "run" / "api.sock";
};

TEST_F(ListenTest, NobodyElseCanReachTheSocket) {
  const mode_t before = ::umask(0);
  const auto made = listen_unix(socket);
  ::umask(before);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(mode_of(socket), 0600u);
  EXPECT_EQ(mode_of(socket.parent_path()), 0700u);
}

TEST_F(ListenTest, AFolderThatIsOpenToOthersIsClosed) {
  fs::create_directories(socket.parent_path());
  fs::permissions(socket.parent_path(), fs::perms::all);
  ASSERT_TRUE(listen_unix(socket));
  EXPECT_EQ(mode_of(socket.parent_path()), 0700u);
}

TEST_F(ListenTest, AFolderOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can give a folder away";
  fs::create_directories(socket.parent_path());
  ASSERT_EQ(::chown(socket.parent_path().c_str(), 12345, 12345), 0);
  const auto made = listen_unix(socket);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::Denied);
}

TEST_F(ListenTest, ASocketThatADeadDaemonLeftIsReplaced) {
  leave_stale();
  const auto made = listen_unix(socket);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(mode_of(socket), 0600u);
}

TEST_F(ListenTest, ASocketThatADaemonServesIsLeftAndItsPidNamed) {
  const auto first = listen_unix(socket);
  ASSERT_TRUE(first);
  const auto second = listen_unix(socket);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Busy);
  EXPECT_NE(
      second.error().message.find(cat("another laresd (pid ", ::getpid(), ") serves this home")),
      std::string::npos)
      << second.error().message;
  EXPECT_TRUE(fs::exists(socket));
}

TEST_F(ListenTest, OfManyThatStartAtOnceOneServes) {
  leave_stale();
  std::vector<UnixListener> winners(8);
  std::atomic<int> won = 0;
  {
    std::vector<std::jthread> starts;
    starts.reserve(winners.size());
    for (UnixListener& winner : winners) {
      starts.emplace_back([&] {
        if (auto made = listen_unix(socket)) {
          winner = *std::move(made);
          won++;
        }
      });
    }
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(listen_unix(socket).error().code, Code::Busy);
}

// As a service manager opens them.
struct HandedTest : ListenTest {
  HandedTest() { fs::create_directories(socket.parent_path()); }
  enum class Listening { Yes, No };
  Fd unix_at(const fs::path& path, int type = SOCK_STREAM,
             Listening listening = Listening::Yes) const {
    Fd fd(::socket(AF_UNIX, type, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    if (listening == Listening::Yes && type == SOCK_STREAM) {
      EXPECT_EQ(::listen(fd.get(), 4), 0);
    }
    return fd;
  }
  static Fd four_at(uint32_t host, uint16_t port = 0) {
    Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host);
    address.sin_port = htons(port);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 4), 0);
    return fd;
  }
  static uint16_t port_of(const Fd& fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }
  static std::vector<Fd> list(Fd one, Fd two = Fd()) {
    std::vector<Fd> all;
    all.push_back(std::move(one));
    if (two) all.push_back(std::move(two));
    return all;
  }
  std::string why(std::vector<Fd> sockets) const {
    const auto sorted = sort_handed(std::move(sockets), socket);
    return sorted ? "taken" : sorted.error().message;
  }
};

TEST_F(HandedTest, SocketsAreTakenWithTheirPortAndStayWhenWeEnd) {
  Fd four = four_at(INADDR_LOOPBACK);
  const uint16_t port = port_of(four);
  auto sorted = sort_handed(list(std::move(four), unix_at(socket)), socket);
  ASSERT_TRUE(sorted) << sorted.error().message;
  EXPECT_TRUE(sorted->unix && sorted->four && !sorted->six && sorted->any());
  EXPECT_TRUE(::fcntl(sorted->unix.get(), F_GETFL) & O_NONBLOCK);
  Fd unix_socket = std::move(sorted->unix);
  const auto made = listen_unix(socket, std::move(unix_socket));
  ASSERT_TRUE(made) << made.error().message;
  made->remove();
  EXPECT_TRUE(fs::exists(socket)) << "the name is the manager's";
  const auto loopback = listen_loopback(1, *std::move(sorted));
  ASSERT_TRUE(loopback) << loopback.error().message;
  EXPECT_EQ(loopback->port, port);
}

TEST_F(HandedTest, NothingHandedIsNothing) {
  const auto sorted = sort_handed({}, socket);
  ASSERT_TRUE(sorted);
  EXPECT_FALSE(sorted->any());
}

TEST_F(HandedTest, WhatOthersCouldReachIsRefusedByItsAddress) {
  Fd open = four_at(INADDR_ANY);
  const uint16_t port = port_of(open);
  EXPECT_NE(why(list(std::move(open))).find(cat("0.0.0.0:", port)), std::string::npos);
}

TEST_F(HandedTest, AnotherPathIsRefusedWithBoth) {
  const std::string said = why(list(unix_at(top / "other.sock")));
  EXPECT_NE(said.find("other.sock"), std::string::npos) << said;
  EXPECT_NE(said.find(socket.string()), std::string::npos) << said;
}

TEST_F(HandedTest, WhatIsNoListeningStreamIsRefused) {
  EXPECT_NE(why(list(unix_at(socket, SOCK_DGRAM))).find("no stream socket"), std::string::npos);
  EXPECT_NE(why(list(unix_at(top / "quiet.sock", SOCK_STREAM, Listening::No))).find("that listens"),
            std::string::npos);
  EXPECT_NE(why(list(Fd(::open("/dev/null", O_RDONLY)))).find("number 1 of 1"), std::string::npos);
}

TEST_F(HandedTest, TwoOfAKindAreRefused) {
  EXPECT_NE(why(list(four_at(INADDR_LOOPBACK), four_at(INADDR_LOOPBACK))).find("came before it"),
            std::string::npos);
}

TEST_F(ListenTest, ALinkOrAFileOfThatNameIsLeftAlone) {
  fs::create_directories(socket.parent_path());
  const fs::path precious = top / "precious";
  ASSERT_TRUE(write_file(precious, "keep"));
  fs::create_symlink(precious, socket);
  auto made = listen_unix(socket);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("a link of this name is in the way; remove it"),
            std::string::npos);
  fs::remove(socket);
  fs::rename(precious, socket);
  made = listen_unix(socket);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("a file of this name is in the way; remove it"),
            std::string::npos);
  EXPECT_EQ(*read_file(socket), "keep");
}

TEST_F(ListenTest, ALinkInPlaceOfTheLockIsRefused) {
  fs::create_directories(socket.parent_path());
  fs::create_symlink(top / "elsewhere", socket.string() + ".lock");
  EXPECT_FALSE(listen_unix(socket));
  EXPECT_FALSE(fs::exists(top / "elsewhere"));
}

TEST_F(ListenTest, APathLongerThanAnAddressSaysWhatToSet) {
  const auto made = listen_unix(top / std::string(100, 'x') / "api.sock");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::Invalid);
  EXPECT_NE(made.error().message.find("set LARES_HOME"), std::string::npos) << made.error().message;
}

TEST_F(ListenTest, RemovingTakesOnlyItsOwnSocket) {
  auto made = listen_unix(socket);
  ASSERT_TRUE(made);
  fs::remove(socket);
  leave_stale();  // somebody else's of the same name
  made->remove();
  EXPECT_TRUE(fs::exists(socket));
}

TEST_F(ListenTest, OnePortOnBothAddresses) {
  const auto made = listen_loopback(0);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GT(made->port, 0);
  if (!made->six) GTEST_SKIP() << "SKIPPED: no IPv6 on this computer";
  sockaddr_in6 address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(made->six.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(ntohs(address.sin6_port), made->port);
}

TEST_F(ListenTest, APortThatIsTakenNamesWhoHasIt) {
  const auto first = listen_loopback(0);
  ASSERT_TRUE(first);
  const auto second = listen_loopback(first->port);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Denied);
  EXPECT_NE(second.error().message.find(cat("(pid ", ::getpid(), ")")), std::string::npos)
      << second.error().message;
  EXPECT_NE(second.error().message.find("api.port"), std::string::npos);
}

TEST_F(ListenTest, APortOfTheSystemIsSaidToBeSo) {
  if (::geteuid() == 0) GTEST_SKIP() << "SKIPPED: root may listen on every port";
  EXPECT_FALSE(listen_loopback(80));
}

}  // namespace
}  // namespace lares::api
