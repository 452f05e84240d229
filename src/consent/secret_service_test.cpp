// The desktop's keyring for real: a session bus and a GNOME Keyring of the test's own, and
// processes that behave badly. Skipped, with the reason, where those programs are not installed.
#include "consent/secret_service.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "consent/keyring.h"

namespace lares::consent {
namespace {

namespace fs = std::filesystem;

const SecretService::Limits kShort{milliseconds(20'000), milliseconds(20'000)};  // slow machines
const std::string kId(32, 'a');
SecretBytes secret(std::string_view text) { return SecretBytes(text); }

std::string child() {
  return (fs::read_symlink("/proc/self/exe").parent_path() / "keyring-child").string();
}

// A program of the test, ended with it.
class Program {
 public:
  Program(std::vector<std::string> words, int in, int out) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    if (::posix_spawnp(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ) != 0)
      pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  Program(const Program&) = delete;
  ~Program() { end(); }
  explicit operator bool() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  // Its exit status.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
};

struct ProcessTest : testing::Test {
  ~ProcessTest() override { ::unsetenv("LARES_KEYRING_CHILD"); }
};

TEST_F(ProcessTest, OneThatBehavesBadlyIsAnErrorAndNeverAHang) {
  const std::vector<std::pair<const char*, Code>> parts = {
      {"hangs", Code::Timeout},   {"floods", Code::Io},    {"dies", Code::Io},
      {"says nothing", Code::Io}, {"says half", Code::Io}, {"says nonsense", Code::Io}};
  for (const auto& [part, code] : parts) {
    ::setenv("LARES_KEYRING_CHILD", part, 1);
    const milliseconds limit = code == Code::Timeout ? milliseconds(300) : milliseconds(20'000);
    SecretService service(child(), {limit, limit});
    EXPECT_EQ(service.ready().error().code, code) << part;
    EXPECT_EQ(service.find(kId).error().code, code) << part;
    EXPECT_EQ(service.store(kId, secret("geheim")).error().code, code) << part;
    EXPECT_EQ(service.remove(kId).error().code, code) << part;
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "each was reaped";
  }
}

TEST_F(ProcessTest, AProgramThatIsNotThereIsSaid) {
  EXPECT_EQ(SecretService("/nowhere/laresd").ready().error().code, Code::NotFound);
}

// A home, a run folder and a bus of the test's own.
struct SecretServiceTest : testing::Test {
  void SetUp() override {
    char made[] = "/tmp/lares-desktop-XXXXXX";
    folder = mkdtemp(made);
    for (const char* name :
         {"HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"})
      set(name, folder.string());
    for (const char* name : {"DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY"}) unset(name);
    null = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  }
  ~SecretServiceTest() override {
    desktop.reset();
    bus.reset();
    for (const auto& [name, value] : before) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  void set(const char* name, const std::string& value) {
    remember(name);
    ::setenv(name, value.c_str(), 1);
  }
  void unset(const char* name) {
    remember(name);
    ::unsetenv(name);
  }
  void remember(const char* name) {
    const char* const value = ::getenv(name);
    before.emplace(name, value != nullptr ? std::optional<std::string>(value) : std::nullopt);
  }

  // A bus on which nothing is started by its name.
  bool start_bus() {
    const std::string socket = (folder / "bus.socket").string();
    const std::string settings = cat(
        "<busconfig><type>session</type><listen>unix:path=", socket,
        "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\" "
        "eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>");
    if (!write_file(folder / "bus.conf", settings)) return false;
    bus = std::make_unique<Program>(
        std::vector<std::string>{"dbus-daemon", "--nofork",
                                 cat("--config-file=", (folder / "bus.conf").string())},
        null.get(), null.get());
    set("DBUS_SESSION_BUS_ADDRESS", "unix:path=" + socket);
    return *bus && comes([&] { return fs::exists(socket); });
  }
  // GNOME Keyring, whose login collection is opened with this password; "" leaves it locked.
  bool start_desktop(const std::string& password) {
    desktop.reset();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    const Fd read(ends[0]);
    Fd write(ends[1]);
    if (::write(write.get(), password.data(), password.size()) < 0) return false;
    write.reset();
    std::vector<std::string> words = {"gnome-keyring-daemon", "--foreground",
                                      "--components=secrets"};
    if (!password.empty()) words.emplace_back("--unlock");
    desktop = std::make_unique<Program>(words, read.get(), null.get());
    return *desktop && comes([&] {
      const auto answered = SecretService(child(), kShort).ready();
      return answered || answered.error().code != Code::Unsupported;
    });
  }
  template <class Happens>
  static bool comes(Happens happens) {
    for (int i = 0; i < 400; i++) {
      if (happens()) return true;
      std::this_thread::sleep_for(milliseconds(50));
    }
    return false;
  }
  void lock_desktop() {
    Program asks({"dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets",
                  "/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock",
                  "array:objpath:/org/freedesktop/secrets/collection/login"},
                 null.get(), null.get());
    ASSERT_EQ(asks.wait(), 0);
  }

  fs::path folder;
  std::map<std::string, std::optional<std::string>> before;
  Fd null;
  std::unique_ptr<Program> bus;
  std::unique_ptr<Program> desktop;
};

#define DESKTOP_OR_SKIP(password)                                                        \
  if (!start_bus() || !start_desktop(password))                                          \
  GTEST_SKIP() << "NOT TESTED: gnome-keyring-daemon and dbus-daemon do not start here; " \
                  "tools/bootstrap tests installs them"

TEST_F(SecretServiceTest, WithoutABusItIsSaidAtOnceAndNoneIsStarted) {
  SecretService service(child(), kShort);
  const Error error = service.ready().error();
  EXPECT_EQ(error.code, Code::Unsupported);
  EXPECT_NE(error.message.find("there is no session bus"), std::string::npos) << error.message;
  EXPECT_EQ(service.find(kId).error().code, Code::Unsupported);
  EXPECT_EQ(service.store(kId, secret("geheim")).error().code, Code::Unsupported);
  EXPECT_EQ(service.remove(kId).error().code, Code::Unsupported);
}

TEST_F(SecretServiceTest, ABusThatIsGoneIsSaid) {
  set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus");
  const auto code = SecretService(child(), kShort).ready().error().code;
  EXPECT_TRUE(code == Code::Unsupported || code == Code::Io) << row(code).name;
}

TEST_F(SecretServiceTest, ABusWithoutAServiceIsSaid) {
  if (!start_bus()) GTEST_SKIP() << "NOT TESTED: dbus-daemon does not start here";
  SecretService service(child(), kShort);
  EXPECT_EQ(service.ready().error().code, Code::Unsupported);
  EXPECT_EQ(service.store(kId, secret("geheim")).error().code, Code::Unsupported);
}

TEST_F(SecretServiceTest, KeepsReplacesFindsAndRemovesASecret) {
  DESKTOP_OR_SKIP("password");
  SecretService service(child(), kShort);
  ASSERT_TRUE(service.ready()) << service.ready().error().message;
  EXPECT_EQ(service.find(kId).error().code, Code::NotFound);
  ASSERT_TRUE(service.store(kId, secret("first")));
  ASSERT_TRUE(service.store(kId, secret("second")));
  EXPECT_EQ(service.find(kId)->reveal(), "second");
  EXPECT_EQ(service.find(std::string(32, 'b')).error().code, Code::NotFound)
      << "two homes share nothing";
  ASSERT_TRUE(start_desktop("password")) << "the desktop's session begins anew";
  EXPECT_EQ(service.find(kId)->reveal(), "second");
  ASSERT_TRUE(service.remove(kId));
  ASSERT_TRUE(service.remove(kId)) << "nothing there is no error";
  EXPECT_EQ(service.find(kId).error().code, Code::NotFound);
}

TEST_F(SecretServiceTest, AKeyringKeepsItsKeyThere) {
  DESKTOP_OR_SKIP("password");
  const fs::path home = folder / "config";
  fs::create_directories(home);
  SecretService service(child(), kShort);
  Keyring first(home, service, {.first = Keyring::First::ServiceWhereOpen});
  const auto made = first.key();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(key_place(home)->kind, KeyKind::SecretService);
  Keyring second(home, service, {});
  ASSERT_TRUE(second.key());
  EXPECT_TRUE((*second.key())->same_as(**made));
  EXPECT_EQ(*second.move(KeyKind::File, {}, {}), "");
  EXPECT_EQ(*second.move(KeyKind::SecretService, {}, {}), "");
  Keyring third(home, service, {});
  EXPECT_TRUE((*third.key())->same_as(**made));
}

TEST_F(SecretServiceTest, ALockedOneIsNotReadyAndItsQuestionThatNobodyAnswersEnds) {
  DESKTOP_OR_SKIP("password");
  SecretService open(child(), kShort);
  ASSERT_TRUE(open.store(kId, secret("geheim")));
  lock_desktop();
  EXPECT_EQ(open.ready().error().code, Code::Denied);
  SecretService service(child(), {milliseconds(20'000), milliseconds(5'000)});
  for (const Code code :
       {service.find(kId).error().code, service.store(kId, secret("neu")).error().code})
    EXPECT_TRUE(code == Code::Denied || code == Code::Timeout || code == Code::Io)
        << row(code).name;
  // at the first start nobody is asked anything
  const fs::path home = folder / "config";
  fs::create_directories(home);
  Keyring first(home, service, {.first = Keyring::First::ServiceWhereOpen});
  ASSERT_TRUE(first.key());
  EXPECT_EQ(key_place(home)->kind, KeyKind::File);
  ASSERT_TRUE(start_desktop("password"));
  EXPECT_EQ(open.find(kId)->reveal(), "geheim");
}

// As after a login that does not open the keyring: what lies there is locked, not gone.
TEST_F(SecretServiceTest, ASessionThatBeginsLockedDoesNotMakeAKeyCountAsGone) {
  DESKTOP_OR_SKIP("password");
  SecretService service(child(), {milliseconds(20'000), milliseconds(5'000)});
  ASSERT_TRUE(service.store(kId, secret("geheim")));
  ASSERT_TRUE(start_desktop(""));
  EXPECT_EQ(service.ready().error().code, Code::Denied);
  for (const std::string& id : {kId, std::string(32, 'b')}) {
    const auto code = service.find(id).error().code;
    EXPECT_TRUE(code == Code::Denied || code == Code::Timeout || code == Code::Io)
        << row(code).name;
  }
  ASSERT_TRUE(start_desktop("password"));
  EXPECT_EQ(service.find(kId)->reveal(), "geheim");
}

// The desktop asks the person through a program that takes the question and never answers.
TEST_F(SecretServiceTest, AQuestionOnTheScreenThatNobodyAnswersEndsAtTheLimit) {
  DESKTOP_OR_SKIP("password");
  SecretService open(child(), kShort);
  ASSERT_TRUE(open.store(kId, secret("geheim")));
  lock_desktop();
  Program prompter({"dbus-test-tool", "black-hole", "--name=org.gnome.keyring.SystemPrompter"},
                   null.get(), null.get());
  if (!prompter) GTEST_SKIP() << "NOT TESTED: there is no dbus-test-tool (package dbus-tests)";
  const auto taken = [&] {
    Program asks({"dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                  "org.freedesktop.DBus.GetNameOwner", "string:org.gnome.keyring.SystemPrompter"},
                 null.get(), null.get());
    return asks.wait() == 0;
  };
  ASSERT_TRUE(comes(taken));
  SecretService service(child(), {milliseconds(20'000), milliseconds(2'000)});
  EXPECT_EQ(service.find(kId).error().code, Code::Timeout);
  EXPECT_EQ(service.store(kId, secret("neu")).error().code, Code::Timeout);
  EXPECT_EQ(open.ready().error().code, Code::Denied) << "and who asks nothing is told at once";
}

TEST_F(SecretServiceTest, AServiceThatDiesWhileItIsAskedIsAnError) {
  DESKTOP_OR_SKIP("password");
  SecretService service(child(), kShort);
  ASSERT_TRUE(service.store(kId, secret("geheim")));
  ::kill(desktop->pid(), SIGSTOP);  // it has the question and answers nothing
  Result<SecretBytes> found = Error{Code::Invalid, "not asked"};
  {
    std::jthread asks([&] { found = service.find(kId); });
    std::this_thread::sleep_for(milliseconds(1'000));
    desktop->end();
  }
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().code == Code::Io || found.error().code == Code::Unsupported)
      << found.error().message;
}

}  // namespace
}  // namespace lares::consent
