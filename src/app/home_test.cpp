#include "app/home.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "app/daemon_client.h"
#include "base/file.h"
#include "base/text.h"

namespace lares::app {
namespace {

// The variables that decide, as they were before.
struct HomeTest : testing::Test {
  HomeTest() {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      before.emplace_back(name, value ? value : "");
      ::unsetenv(name);
    }
    ::setenv("HOME", "/home/somebody", 1);
  }
  ~HomeTest() override {
    for (const auto& [name, value] : before) {
      if (value.empty()) {
        ::unsetenv(name.c_str());
      } else {
        ::setenv(name.c_str(), value.c_str(), 1);
      }
    }
  }
  static constexpr const char* kNames[] = {"HOME",          "LARES_HOME",     "XDG_CONFIG_HOME",
                                           "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"};
  std::vector<std::pair<std::string, std::string>> before;
};

TEST_F(HomeTest, FollowsXdg) {
  ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  ::setenv("XDG_DATA_HOME", "/big/disk", 1);
  auto home = home_from_environment();
  ASSERT_TRUE(home);
  EXPECT_EQ(home->config, "/home/somebody/.config/lares");
  EXPECT_EQ(home->models(), "/big/disk/lares/models");
  EXPECT_EQ(home->cache, "/home/somebody/.cache/lares");
  EXPECT_EQ(home->socket(), "/run/user/7/lares/api.sock");
}

TEST_F(HomeTest, WithoutARuntimeFolderTheSocketIsInTmp) {
  auto home = home_from_environment();
  ASSERT_TRUE(home);
  EXPECT_EQ(home->run, cat("/tmp/lares-", ::getuid()));
}

TEST_F(HomeTest, RelativeXdgPathsAreIgnored) {
  ::setenv("XDG_CONFIG_HOME", "relative", 1);
  EXPECT_EQ(home_from_environment()->config, "/home/somebody/.config/lares");
}

TEST_F(HomeTest, LaresHomePutsAllUnderOneFolder) {
  ::setenv("LARES_HOME", "/srv/l/", 1);
  ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  auto home = home_from_environment();
  ASSERT_TRUE(home);
  EXPECT_EQ(home->data, "/srv/l/share");
  EXPECT_EQ(home->run, "/srv/l/run");
}

TEST_F(HomeTest, ARelativeLaresHomeIsRefused) {
  ::setenv("LARES_HOME", "here", 1);
  EXPECT_EQ(home_from_environment().error().message,
            "LARES_HOME is 'here'; set it to a path that begins with '/'");
}

TEST_F(HomeTest, ASocketPathThatNoSocketHoldsIsRefusedWithItsLength) {
  ::setenv("LARES_HOME", ("/" + std::string(120, 'x')).c_str(), 1);
  const auto home = home_from_environment();
  ASSERT_FALSE(home);
  EXPECT_NE(home.error().message.find("of 134 bytes"), std::string::npos) << home.error().message;
}

TEST_F(HomeTest, WithoutAnyFolderItSaysWhatToSet) {
  ::unsetenv("HOME");
  EXPECT_NE(home_from_environment().error().message.find("set LARES_HOME"), std::string::npos);
}

TEST_F(HomeTest, TheFoldersAreMadeForTheirOwnerOnly) {
  std::string base = testing::TempDir() + "home-XXXXXX";
  ASSERT_TRUE(::mkdtemp(base.data()));
  ::setenv("LARES_HOME", (base + "/h").c_str(), 1);
  auto home = home_from_environment();
  ASSERT_TRUE(home);
  ASSERT_TRUE(make(*home));
  for (const auto& folder : {home->config, home->models(), home->cache, home->run}) {
    struct stat info{};
    ASSERT_EQ(::stat(folder.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u) << folder;
  }
  std::filesystem::remove_all(base);
}

TEST(Clone, IsFoundFromItsBuildFolderAndFromAnInstallationUntilItIsGone) {
  std::string name = testing::TempDir() + "clone-XXXXXX";
  ASSERT_TRUE(::mkdtemp(name.data()));
  const std::filesystem::path base(name);
  const auto clone = base / "clone";
  const auto bin = clone / "build/release/bin";
  const auto installed = base / "a/b/c/libexec";
  for (const auto& folder : {bin, clone / "tools", installed})
    std::filesystem::create_directories(folder);
  EXPECT_EQ(clone_of(bin), "") << "no clone yet";
  ASSERT_TRUE(write_file(clone / "lares", "#!/bin/sh\n"));
  ASSERT_TRUE(write_file(clone / "tools/bootstrap", "#!/bin/sh\n"));
  EXPECT_EQ(clone_of(bin), clone);
  EXPECT_EQ(clone_of(installed), "");
  ASSERT_TRUE(write_file(installed / "clone", clone.string() + "\n"));
  EXPECT_EQ(clone_of(installed), clone);
  std::filesystem::remove_all(clone);
  EXPECT_EQ(clone_of(installed), "");
  std::filesystem::remove_all(base);
}

TEST(Process, HasEndedThoughNobodyAskedForItsStatus) {
  EXPECT_TRUE(process_lives(::getpid()));
  EXPECT_FALSE(process_lives(0));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(process_lives(child));
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(process_lives(child));
}

TEST(Process, ThatIsSuspendedIsTold) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  EXPECT_FALSE(process_suspended(child));
  ASSERT_EQ(::kill(child, SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  EXPECT_TRUE(process_suspended(child));
  EXPECT_TRUE(process_lives(child));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_FALSE(process_suspended(child));
}

TEST(Programs, OfAPackageAreFoundFromEachOfThem) {
  std::string base = testing::TempDir() + "package-XXXXXX";
  ASSERT_TRUE(::mkdtemp(base.data()));
  const std::filesystem::path root = base;
  for (const char* file : {"bin/lares", "libexec/lares/laresd", "libexec/lares/lares-worker",
                           "lib/lares/libggml-base.so"}) {
    std::filesystem::create_directories((root / file).parent_path());
    ASSERT_TRUE(write_file(root / file, ""));
  }
  for (const char* self : {"bin/lares", "libexec/lares/laresd", "libexec/lares/lares-worker"}) {
    const Programs found = programs_of(root / self);
    EXPECT_EQ(found.daemon, root / "libexec/lares/laresd") << self;
    EXPECT_EQ(found.worker, root / "libexec/lares/lares-worker") << self;
    EXPECT_EQ(found.variants, root / "lib/lares") << self;
    EXPECT_EQ(found.clone, "") << self;
  }
  std::filesystem::remove_all(root);
}

TEST(Programs, InOneFolderAreFoundThere) {
  std::string base = testing::TempDir() + "flat-XXXXXX";
  ASSERT_TRUE(::mkdtemp(base.data()));
  const std::filesystem::path root = base;
  for (const char* file : {"lares", "laresd", "lares-worker", "libggml-base.so"})
    ASSERT_TRUE(write_file(root / file, ""));
  const Programs found = programs_of(root / "lares");
  EXPECT_EQ(found.daemon, root / "laresd");
  EXPECT_EQ(found.variants, root);
  std::filesystem::remove_all(root);
}

struct HolderTest : testing::Test {
  HolderTest() {
    base = testing::TempDir() + "holder-XXXXXX";
    EXPECT_TRUE(::mkdtemp(base.data()));
    home = {base + "/config", base, base + "/cache", base + "/run"};
  }
  ~HolderTest() override { std::filesystem::remove_all(base); }
  void write(std::string_view text) { ASSERT_TRUE(write_file(Home::lock(home.data), text)); }
  std::string base;
  Home home;
};

TEST_F(HolderTest, ThatRunsIsFoundAtItsSocket) {
  write(to_text({::getpid(), "/run/user/7/lares/api.sock"}));
  const auto holder = holder_of(home);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->pid, ::getpid());
  EXPECT_EQ(holder->socket, "/run/user/7/lares/api.sock");
}

TEST_F(HolderTest, ThatIsGoneIsNotFound) {
  EXPECT_FALSE(holder_of(home));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  write(to_text({child, "/run/user/7/lares/api.sock"}));
  EXPECT_FALSE(holder_of(home));
}

TEST_F(HolderTest, IsReadFromAnyText) {
  EXPECT_EQ(holder_from("").pid, 0);
  EXPECT_EQ(holder_from("42\n").pid, 42);  // as an older laresd wrote it
  EXPECT_EQ(holder_from("42\n").socket, "");
  EXPECT_EQ(holder_from("42\nnot/absolute\n").socket, "");
  for (const char* text : {"", "\n\n", "0\n/a\n", "-1\n/a\n", "1x\n/a\n", "99999999999\n/a\n"}) {
    write(text);
    EXPECT_FALSE(holder_of(home)) << text;
  }
}

TEST_F(HolderTest, AnswersAClientWhoseOwnSocketHasNobody) {
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string elsewhere = base + "/elsewhere.sock";
  elsewhere.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  EXPECT_FALSE(DaemonClient(home, "/bin/false").running());
  write(to_text({::getpid(), elsewhere}));
  EXPECT_TRUE(DaemonClient(home, "/bin/false").running());
}

// A service manager listens for a daemon that does not run yet; connecting would start it.
TEST_F(HolderTest, WhoIsNotThereIsNotConnectedTo) {
  std::filesystem::create_directories(home.run);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  home.socket().string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  EXPECT_FALSE(DaemonClient(home, "/bin/false").running());
  EXPECT_LT(::accept(listener.get(), nullptr, nullptr), 0) << "somebody has connected";
  ASSERT_TRUE(write_file(Home::lock(home.run), to_text({::getpid(), home.socket()})));
  EXPECT_TRUE(DaemonClient(home, "/bin/false").running());
}

}  // namespace
}  // namespace lares::app
