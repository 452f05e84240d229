#include "app/activation.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "base/text.h"

namespace lares::app {
namespace {

constexpr pid_t kOwn = 4242;

TEST(Activation, CountsWhatIsMeantForThisProcess) {
  EXPECT_EQ(*handed_count("4242", "3", "lares.socket:lares.socket:lares.socket", kOwn), 3);
  EXPECT_EQ(*handed_count("4242", "3", nullptr, kOwn), 3);
  EXPECT_EQ(*handed_count("4242", "0", nullptr, kOwn), 0);
  EXPECT_EQ(*handed_count("4242", "2", ":", kOwn), 2);  // names may be empty
}

TEST(Activation, LeavesWhatIsMeantForAnother) {
  EXPECT_EQ(*handed_count(nullptr, nullptr, nullptr, kOwn), 0);
  EXPECT_EQ(*handed_count("4242", nullptr, nullptr, kOwn), 0);
  EXPECT_EQ(*handed_count(nullptr, "3", nullptr, kOwn), 0);
  EXPECT_EQ(*handed_count("17", "3", nullptr, kOwn), 0);
  EXPECT_EQ(*handed_count("17", "nonsense", nullptr, kOwn), 0);
}

TEST(Activation, RefusesValuesThatAreNoneAndNamesThem) {
  for (const char* pid : {"", "x", "42 42", "-1", "4242\n", "99999999999999"}) {
    const auto count = handed_count(pid, "1", nullptr, kOwn);
    ASSERT_FALSE(count) << pid;
    EXPECT_EQ(count.error().code, Code::Invalid);
    EXPECT_NE(count.error().message.find("LISTEN_PID"), std::string::npos) << pid;
  }
  for (const char* number : {"", "-1", "9", "3x", "99999999999999"}) {
    const auto count = handed_count("4242", number, nullptr, kOwn);
    ASSERT_FALSE(count) << number;
    EXPECT_NE(count.error().message.find(cat("'", number, "'")), std::string::npos) << number;
  }
  const auto names = handed_count("4242", "3", "one:two", kOwn);
  ASSERT_FALSE(names);
  EXPECT_NE(names.error().message.find("LISTEN_FDNAMES"), std::string::npos);
}

TEST(Activation, TakesTheVariablesAwayAndRefusesADescriptorThatIsNotOpen) {
  // which descriptors this process has is not for the test to say, so it asks for one more than
  // there can be
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "8", 1);
  ::setenv("NOTIFY_SOCKET", "/run/notify", 1);
  const auto taken = take_activation();
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->sockets.empty());
  EXPECT_EQ(taken->notify, "/run/notify");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET"})
    EXPECT_EQ(::getenv(name), nullptr) << name;
}

TEST(Activation, TellsTheManagerAtAPathAndAtAName) {
  std::string folder = testing::TempDir() + "notify-XXXXXX";
  ASSERT_TRUE(::mkdtemp(folder.data()));
  for (const std::string& at : {folder + "/socket", cat("@lares-test-", ::getpid())}) {
    const Fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    at.copy(address.sun_path, sizeof address.sun_path - 1);
    if (at[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + at.size());
    ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), size), 0) << at;
    ASSERT_TRUE(tell_manager(at, "READY=1")) << at;
    std::array<char, 32> heard{};
    ASSERT_EQ(::recv(manager.get(), heard.data(), heard.size(), MSG_DONTWAIT), 7) << at;
    EXPECT_STREQ(heard.data(), "READY=1");
  }
  std::filesystem::remove_all(folder);
}

TEST(Activation, TellsNobodyWhereNobodyWantsToKnow) {
  EXPECT_TRUE(tell_manager("", "READY=1"));
  EXPECT_EQ(tell_manager("nonsense", "READY=1").error().code, Code::Invalid);
  EXPECT_EQ(tell_manager("/" + std::string(200, 'x'), "READY=1").error().code, Code::Invalid);
  EXPECT_FALSE(tell_manager("/nowhere/at/all", "READY=1"));
}

}  // namespace
}  // namespace lares::app
