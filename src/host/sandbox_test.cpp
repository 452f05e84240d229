
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "host/probe.h"
#include "host/testing/fixture.h"

namespace lares::host {
namespace {

bool holds(const Json& report, const std::string& layer) {
  for (const std::string name : report["layers"])
    if (name.starts_with(layer)) return true;
  return false;
}
std::string missing(const Json& report, const std::string& layer) {
  for (const std::string name : report["missing"])
    if (name.starts_with(layer)) return name;
  return "";
}

// Everything is denied, and a worker can still work.
void expect_sealed(const Json& report) {
  ASSERT_GE(report["escapes"].size(), 80U);
  for (const Json& escape : report["escapes"])
    EXPECT_TRUE(escape["denied"].get<bool>()) << escape["name"] << ": " << escape["detail"];
  EXPECT_TRUE(holds(report, "seccomp"));
  EXPECT_TRUE(holds(report, "no capabilities"));
  EXPECT_TRUE(holds(report, "limits"));
  EXPECT_TRUE(holds(report, "not dumpable"));
  for (const char* ability : {"threads", "fstat", "memory", "stdio"})
    EXPECT_EQ(report[ability], true) << ability;
  EXPECT_EQ(report["cores"], 0);
}

Json enter(const std::string& without = "", std::vector<std::string> more = {}) {
  more.insert(more.begin(), without.empty() ? "--sandbox-only" : "--sandbox-only=" + without);
  auto report = probe(child_program(), more);
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  return report ? *std::move(report) : Json::object();
}

TEST(Sandbox, DeniesEveryWayOut) {
  const Json report = enter();
  expect_sealed(report);
  // each layer is there or its absence is told, never neither
  for (const char* layer : {"landlock", "namespaces", "empty root"})
    EXPECT_NE(holds(report, layer), !missing(report, layer).empty()) << dump(report["missing"]);
}

TEST(Sandbox, AlsoWhereNamespacesAreForbidden) {
  const Json report = enter("forbid-namespaces");
  expect_sealed(report);
  EXPECT_FALSE(holds(report, "namespaces"));
  EXPECT_EQ(missing(report, "user namespace").find("user namespace: EPERM, "), 0U);
  EXPECT_EQ(missing(report, "empty root"), "empty root: it needs a mount namespace");
}

TEST(Sandbox, RealRootWithoutUserNamespacesStillLeavesTheOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may";
  const Json report = enter("forbid-user-namespaces");
  expect_sealed(report);
  EXPECT_EQ(missing(report, "user namespace").find("user namespace: EPERM"), 0U);
  EXPECT_NE(holds(report, "namespaces: net"), !missing(report, "namespaces").empty());
}

TEST(Sandbox, AlsoWhereMountsAreForbidden) {  // as AppArmor does on Ubuntu
  const Json report = enter("forbid-mounts");
  expect_sealed(report);
  EXPECT_FALSE(holds(report, "empty root"));
  EXPECT_FALSE(missing(report, "empty root").empty());
}

TEST(Sandbox, AlsoWithoutLandlock) {
  Json report = enter("forbid-landlock");
  expect_sealed(report);
  EXPECT_EQ(missing(report, "landlock"), "landlock: the kernel has none (ENOSYS)");
  report = enter("landlock-switched-off");
  expect_sealed(report);
  EXPECT_EQ(missing(report, "landlock"),
            "landlock: it is switched off at boot (lsm=) (EOPNOTSUPP)");
}

TEST(Sandbox, AlsoWithNothingButSeccomp) {
  const Json report = enter("forbid-namespaces,forbid-landlock");
  expect_sealed(report);
  EXPECT_FALSE(holds(report, "namespaces"));
  EXPECT_FALSE(holds(report, "landlock"));
}

TEST(Sandbox, WithoutSeccompThereIsNone) {
  const auto report = probe(child_program(), {"--sandbox-only=forbid-seccomp"});
  ASSERT_FALSE(report);  // it printed its error and left with 1
  EXPECT_NE(report.error().message.find("status 1"), std::string::npos);
}

TEST(Sandbox, NoVariableLeavesALayerOut) {
  const Json whole = enter();
  ::setenv("LARES_SANDBOX_WITHOUT", "landlock,namespaces,seccomp", 1);  // there was one
  const Json report = enter();
  ::unsetenv("LARES_SANDBOX_WITHOUT");
  EXPECT_EQ(report["layers"], whole["layers"]);
  EXPECT_EQ(report["missing"], whole["missing"]);
}

TEST(Sandbox, TheSameForAPlainUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "the other tests run as one already";
  // the program must be reachable for everybody, which a build folder need not be
  const std::filesystem::path copy =
      std::filesystem::temp_directory_path() / cat("lares-host-child-", ::getpid());
  std::filesystem::copy_file(child_program(), copy);
  ASSERT_EQ(::chmod(copy.c_str(), 0755), 0);
  for (const char* without : {"", "forbid-namespaces", "forbid-namespaces,forbid-landlock"}) {
    const auto report = probe(copy.string(), {cat("--sandbox-only=", without), "--uid=65534"});
    EXPECT_TRUE(report) << report.error().message;
    if (report) expect_sealed(*report);
  }
  std::filesystem::remove(copy);
}

TEST(Sandbox, CallsOfAnotherInstructionSetKill) {
#if defined(__x86_64__)
  const auto answer = probe(child_program(), {"--sandbox-only", "--wrong-arch"});
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("SIGSYS"), std::string::npos) << answer.error().message;
#else
  GTEST_SKIP() << "this CPU has no other system calls";
#endif
}

TEST(Sandbox, NamespacesAloneHideFilesAndTheNetwork) {
  const auto seen = probe(child_program(), {"--layer=namespaces"});
  ASSERT_TRUE(seen) << seen.error().message;
  if (!holds(*seen, "empty root")) GTEST_SKIP() << dump((*seen)["missing"]);
  EXPECT_EQ((*seen)["open"], "ENOENT");
  EXPECT_NE((*seen)["create"], "it worked");
  EXPECT_EQ((*seen)["interfaces"], "ENETUNREACH");
}

TEST(Sandbox, LandlockAloneDeniesFilesSignalsAndTheNetwork) {
  const auto seen = probe(child_program(), {"--layer=landlock"});
  ASSERT_TRUE(seen) << seen.error().message;
  if (!holds(*seen, "landlock")) GTEST_SKIP() << dump((*seen)["missing"]);
  EXPECT_EQ((*seen)["open"], "EACCES");
  EXPECT_EQ((*seen)["list"], "EACCES");
  EXPECT_EQ((*seen)["create"], "EACCES");
  const int abi = std::stoi((*seen)["layers"][0].get<std::string>().substr(9));
  if (abi >= 4) {
    EXPECT_EQ((*seen)["interfaces"], "EACCES");
  }
  if (abi >= 6) {
    EXPECT_EQ((*seen)["signal"], "EPERM");
  }
}

TEST(Sandbox, CapabilitiesAreGone) {
  const auto seen = probe(child_program(), {"--layer=capabilities"});
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ((*seen)["host_name"], "EPERM");
}

}  // namespace
}  // namespace lares::host
