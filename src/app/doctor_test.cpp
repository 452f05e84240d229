#include "app/doctor.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

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

TEST_F(DoctorTest, AFolderThatCannotBeWrittenToIsWrong) {
  // what not even root writes to; the rest of a home may be anywhere
  home.cache = "/proc/self/fdinfo";
  const Json there = line("folder /proc/self/fdinfo");
  EXPECT_EQ(there["ok"], false);
  home.cache = "/proc/nowhere/lares";
  const Json missing = line("folder /proc/nowhere/lares");
  EXPECT_EQ(missing["ok"], false);
  EXPECT_EQ(missing["detail"].get<std::string>().find("is not there"), 0U);
  if (::geteuid() == 0) return;
  ::chmod(home.run.c_str(), 0500);
  const Json run = line(cat("folder ", home.run.string()));
  EXPECT_EQ(run["ok"], false);
  EXPECT_EQ(run["detail"], "cannot be written to: Permission denied");
  EXPECT_EQ(run["next"], cat("chmod 700 '", home.run.string(), "'"));
  ::chmod(home.config.c_str(), 0500);
  ASSERT_EQ(line("token")["ok"], true) << "the token has got there before";
  EXPECT_EQ(line(cat("folder ", home.config.string()))["ok"], true) << "so it is only read";
}

TEST_F(DoctorTest, WhatWasSetAsideIsNamed) {
  ASSERT_TRUE(write_file(home.data / "receipts.log.damaged-01234567", "x"));
  ASSERT_TRUE(write_file(home.models() / "models.json.damaged-89abcdef", "x"));
  EXPECT_EQ(line("damaged receipts.log")["ok"], false);
  const Json list = line("damaged models.json");
  const std::string file = (home.models() / "models.json.damaged-89abcdef").string();
  EXPECT_EQ(list["ok"], false);
  EXPECT_EQ(list["detail"], cat("could not be read and was set aside as '", file, "'"));
  EXPECT_EQ(list["next"], cat("add again what lay elsewhere with `lares models add FILE`; when you "
                              "need it no more: rm '",
                              file, "'"));
}

TEST_F(DoctorTest, AQuarantinedModelIsNamed) {
  inventory::Model model;
  model.id = "smollm2-135m-instruct.q4_1";
  model.file = home.models() / "smollm2.gguf";
  model.ours = true;
  ASSERT_TRUE(write_file(model.file, "GGUF????"));
  facts.models.push_back(model);
  EXPECT_EQ(line(cat("model ", model.id))["ok"], true);
  facts.died[model.id] = "its worker died once";
  EXPECT_EQ(line(cat("model ", model.id))["detail"], "0 B, for chat; its worker died once");
  facts.quarantined[model.id] = "its worker died 3 times";
  facts.fetcher = "'/clone/lares'";
  const Json told = line(cat("model ", model.id));
  EXPECT_EQ(told["ok"], false);
  EXPECT_EQ(told["detail"], "quarantined: its worker died 3 times");
  EXPECT_EQ(told["next"],
            cat("`lares stop`, and the next question tries it at once; if it goes on so, fetch its "
                "file anew with: rm -f '",
                model.file.string(), "' && '/clone/lares' models"));
}

TEST_F(DoctorTest, SaysThatNoGpuOrNpuWasFound) {
  const std::vector<inventory::Device> devices = inventory::devices("fake");
  for (const auto& [kind, name] : {std::pair("gpu", "GPU"), std::pair("npu", "NPU")}) {
    const bool found =
        std::any_of(devices.begin(), devices.end(), [&](const auto& d) { return d.kind == kind; });
    const Json told = line(name);
    EXPECT_EQ(told.is_null(), found) << name;
    if (!found) {
      EXPECT_EQ(told["detail"], "none found");
      EXPECT_EQ(told["ok"], nullptr);
    }
  }
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

TEST_F(DoctorTest, WhatRestrainsThisMachineIsSaid) {
  EXPECT_EQ(line("restraint"), nullptr);
  facts.restraint = "on battery";
  facts.background_waits = true;
  EXPECT_EQ(line("restraint")["ok"], nullptr) << "it is no fault";
  EXPECT_EQ(line("restraint")["detail"],
            "on battery; fewer threads compute, and background requests wait");
  facts.restraint = "other programs compute on 1 core";
  facts.background_waits = false;
  EXPECT_EQ(line("restraint")["detail"], "other programs compute on 1 core; fewer threads compute");
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

TEST_F(DoctorTest, WithoutADaemonItChoosesTheEngineItself) {
  facts.engine.reset();
  facts.choose_engine = true;
  facts.address.clear();
  EXPECT_EQ(line("engine")["ok"], false);  // there is none in this folder
  EXPECT_NE(line("engine")["detail"].get<std::string>().find("no CPU variant of the engine"),
            std::string::npos);
  EXPECT_EQ(line("clients"), nullptr);
}

TEST_F(DoctorTest, SaysWhereProgramsOfTheirsReachIt) {
  EXPECT_NE(line("clients")["detail"].get<std::string>().find("http://127.0.0.1:5273/v1"),
            std::string::npos);
}

}  // namespace
}  // namespace lares::app
