#include "app/doctor.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "app/testing/fake_house.h"
#include "app/variants.h"
#include "base/text.h"
#include "inventory/devices.h"

namespace lares::app {
namespace {

// A healthy home, and a worker program that is a script and says what escape probes said.
struct DoctorTest : ::testing::Test {
  DoctorTest() {
    const auto& base = folder.path();
    home = {base / "config", base / "share", base / "cache", base / "run"};
    EXPECT_TRUE(make(home));
    programs.worker = base / "worker";
    programs.variants = base;
    escapes(R"([{"name": "open a file", "denied": true, "detail": "EPERM"}])");
    facts.engine = EngineChoice{"", {}, {}, "fake", false};
    facts.budget = MiB(100);
    facts.address = "http://127.0.0.1:5273";
  }
  void escapes(const std::string& list) {
    const std::string says =
        cat(R"({"layers": ["seccomp"], "missing": ["landlock: ENOSYS"], "escapes": )", list, "}");
    EXPECT_TRUE(
        write_file(programs.worker, cat("#!/bin/sh\ncat <<'END'\n", says, "\nEND\n"), 0700));
  }
  // The line of that check; null when there is none.
  Json line(const std::string& check) {
    for (const Json& each : examine(facts, home, programs)) {
      if (each["check"] == check) return each;
    }
    return nullptr;
  }

  testing::Folder folder;
  Home home;
  Programs programs;
  DoctorFacts facts;
};

TEST_F(DoctorTest, EveryLineSaysWhatIsAndWhatToDo) {
  const Json report = examine(facts, home, programs);
  EXPECT_GT(report.size(), 8u);
  for (const Json& each : report) {
    EXPECT_TRUE(each["ok"].is_boolean() || each["ok"].is_null());
    EXPECT_FALSE(each["check"].get<std::string>().empty());
    EXPECT_FALSE(each["detail"].get<std::string>().empty()) << each["check"];
  }
}

TEST_F(DoctorTest, AFolderThatOthersCanReadIsWrong) {
  const std::string check = cat("folder ", home.data.string());
  EXPECT_EQ(line(check)["ok"], true);
  ::chmod(home.data.c_str(), 0755);
  EXPECT_EQ(line(check)["ok"], false);
  EXPECT_EQ(line(check)["next"], cat("chmod 700 '", home.data.string(), "'"));
}

TEST_F(DoctorTest, AModelWhoseFileIsGoneIsNamed) {
  inventory::Model model;
  model.id = "lost";
  model.file = folder.path() / "lost.gguf";
  facts.models.push_back(model);
  EXPECT_EQ(line("model lost")["ok"], false);
  EXPECT_NE(line("model lost")["next"].get<std::string>().find("lares models rm lost"),
            std::string::npos);
}

TEST_F(DoctorTest, ReceiptsThatAreNotOnDiskAreSaid) {
  EXPECT_EQ(line("receipts"), nullptr);  // without a daemon there are none to write
  facts.receipts = Unit{};
  EXPECT_EQ(line("receipts")["ok"], true);
  facts.receipts = Error{Code::NoRoom, "2 of the last 3 are not on disk: no space"};
  EXPECT_EQ(line("receipts")["ok"], false);
  EXPECT_EQ(line("receipts")["detail"], "2 of the last 3 are not on disk: no space");
}

TEST_F(DoctorTest, EachCpuVariantIsUsedOrSaysWhyNot) {
  const std::vector<std::string> claimed = inventory::claimed_variants(inventory::cpu());
  if (claimed.size() <= kProbesCompared) GTEST_SKIP() << "this CPU claims too few variants";
  for (size_t i = 0; i <= kProbesCompared; i++)
    EXPECT_TRUE(write_file(programs.variants / cat("libggml-cpu-", claimed[i], ".so"), "library"));
  const std::string script =
      cat("#!/bin/sh\ncase $1 in *", claimed[0], ".so) kill -ILL $$ ;; *", claimed[1],
          ".so) speed=2 ;; *) speed=1 ;; esac\n",
          R"(echo "{\"ok\": true, \"gflops_prefill\": $speed, \"gflops_decode\": 1}")", "\n");
  EXPECT_TRUE(write_file(programs.worker, script, 0700));
  facts.engine = EngineChoice{"", {}, {}, claimed[1], true};
  const auto detail = [&](size_t i) {
    return line(cat("CPU variant ", claimed[i]))["detail"].get<std::string>();
  };
  EXPECT_TRUE(detail(0).starts_with("not used, because in its probe it ")) << detail(0);
  EXPECT_TRUE(detail(1).starts_with("used: ")) << detail(1);
  EXPECT_TRUE(detail(2).starts_with(cat("not used, because '", claimed[1], "' is faster here")))
      << detail(2);
  EXPECT_TRUE(detail(kProbesCompared).starts_with("not used, because it was not tried: "))
      << detail(kProbesCompared);
}

TEST_F(DoctorTest, AnEscapeThatWorksIsSaidLoudly) {
  escapes(R"([{"name": "open a file", "denied": false, "detail": "opened"}, 7, {"name": 3}])");
  EXPECT_EQ(line("escape: open a file")["detail"], "NOT denied: opened");
  EXPECT_EQ(line("sandbox")["ok"], false);
}

TEST_F(DoctorTest, TooFewProbesProveNothing) { EXPECT_EQ(line("sandbox")["ok"], false); }

TEST_F(DoctorTest, AMissingLayerIsToldWithWhy) {
  EXPECT_EQ(line("sandbox layer landlock")["ok"], nullptr);
  EXPECT_NE(line("sandbox layer landlock")["detail"].get<std::string>().find("ENOSYS"),
            std::string::npos);
  EXPECT_EQ(line("sandbox layer seccomp")["ok"], true);
}

TEST_F(DoctorTest, AWorkerProgramThatIsNotThereIsWrong) {
  programs.worker = folder.path() / "nothing";
  EXPECT_EQ(line("sandbox")["ok"], false);
}

TEST_F(DoctorTest, AnEngineThatCannotBeHadSaysWhy) {
  facts.engine = Error{Code::Unsupported, "no CPU variant computes rightly here"};
  EXPECT_EQ(line("engine")["detail"], "no CPU variant computes rightly here");
  facts.engine.reset();
  EXPECT_EQ(line("engine")["ok"], nullptr);
}

TEST_F(DoctorTest, SaysWhereProgramsOfTheirsReachIt) {
  EXPECT_NE(line("clients")["detail"].get<std::string>().find("http://127.0.0.1:5273/v1"),
            std::string::npos);
}

}  // namespace
}  // namespace lares::app
