// What Pulls does with what lares-egress says, played by a test.
#include "app/pulls.h"

#include <gtest/gtest.h>

#include "app/testing/fake_house.h"
#include "base/text.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;
using testing::FakeWorker;

const std::string kSha(64, 'a');

class Pulling : public ::testing::Test, public Pulls::Owner {
 protected:
  Pulling() : loop(clock), pulls(make()) {}
  ~Pulling() override { disk.end(); }

  std::unique_ptr<Pulls> make() {
    Pulls::Options options;
    options.models = folder.path();
    options.program = "lares-egress";
    options.catalogue = [](const std::string& name) -> std::optional<Pulls::Known> {
      if (name == "known-one" || name == "hf:o/known:Known.gguf")
        return Pulls::Known{"hf:o/known:Known.gguf", kSha, 100};
      return std::nullopt;
    };
    return std::make_unique<Pulls>(
        loop, log, disk,
        [this](host::WorkerSpec spec,
               host::Worker::OnEvent on_event) -> Result<std::unique_ptr<host::Worker>> {
          hashed = !spec.arguments.empty();
          auto made = std::make_unique<FakeWorker>(std::move(spec), loop, std::move(on_event));
          made->on_gone = [this](FakeWorker& gone) {
            if (worker == &gone) worker = nullptr;
          };
          worker = made.get();
          started++;
          return std::unique_ptr<host::Worker>(std::move(made));
        },
        options, *this);
  }

  // Lets the disk and the loop do all that they have.
  void settle() {
    for (int i = 0; i < 3; i++) {
      while (loop.run_one()) {
      }
      std::atomic<bool> done = false;
      EXPECT_TRUE(disk.post([&] { done = true; }));
      while (!done) std::this_thread::yield();
      while (loop.run_one()) {
      }
    }
  }
  Json add(const std::string& source, const std::string& name = "", const std::string& sha = "") {
    auto pull = pulls->add(source, name, sha);
    EXPECT_TRUE(pull) << pull.error().message;
    settle();
    return pull ? look(*pull) : Json();
  }
  Json look(const Json& pull) { return *pulls->show(pull["id"]); }
  std::string state(const Json& pull) { return look(pull)["state"]; }
  template <class Message>
  void say(const Message& message) {
    ASSERT_NE(worker, nullptr);
    worker->answer(message, 1);
    settle();
  }
  static wire::Found found(uint64_t size = 100, const std::string& sha = kSha) {
    return {"My Model.gguf", size, sha, "sha256:" + sha, "mit", {"licence", "nonsense"},
            {"Licence", "x"}};
  }
  // As far as: everything is fetched and its digest is asked for.
  Json fetched(const std::string& source, const wire::Found& what = found(),
               const std::string& sha = "") {
    const Json pull = add(source, "", sha);
    say(what);
    EXPECT_EQ(state(pull), "fetching");
    EXPECT_TRUE(write_file(part(pull), "GGUF" + std::string(96, 'x')));
    say(wire::Pulled{100});
    EXPECT_EQ(state(pull), "verifying");
    EXPECT_TRUE(hashed);
    return pull;
  }
  // As far as: it is among the models.
  Json bring(const std::string& source, const wire::Found& what, const std::string& sha = "") {
    const Json pull = fetched(source, what, sha);
    say(wire::Hashed{what.sha256.empty() ? kSha : what.sha256, 100});
    EXPECT_EQ(state(pull), "done") << dump(look(pull));
    return look(pull);
  }
  // As `models rm` does it.
  void remove_model(const std::string& id) {
    std::erase(models, id);
    fs::remove(folder.path() / (id + ".gguf"));
    pulls->forget_model(id);
    settle();
  }
  fs::path part(const Json& pull) {
    return folder.path() / ".pulls" / pull["id"].get<std::string>() / "part";
  }

  void inspect_pulled(Fd, const std::string&, Pulls::Inspected done) override {
    inspections++;
    done(inspected);
  }
  Result<Json> add_pulled(const fs::path& file, const std::string& id, Json) override {
    if (!added) return added.error();
    models.push_back(id);
    return Json{{"id", id.empty() ? file.stem().string() : id}, {"size_bytes", 100u}};
  }
  bool has_model(const std::string& id) const override {
    return std::find(models.begin(), models.end(), id) != models.end();
  }

  testing::Folder folder;
  FakeClock clock;
  Log log = Log::silent();
  Loop loop;
  Background disk;
  FakeWorker* worker = nullptr;
  int started = 0;
  bool hashed = false;
  int inspections = 0;
  Result<Json> inspected = Json::object();
  Result<Unit> added = Unit{};
  std::vector<std::string> models;
  std::unique_ptr<Pulls> pulls;
};

TEST_F(Pulling, GoesThroughEveryStateToAModelWithItsTextsBeside) {
  const Json pull = fetched("hf:o/r");
  say(wire::Hashed{kSha, 100});
  const Json done = look(pull);
  EXPECT_EQ(done["state"], "done") << dump(done);
  EXPECT_EQ(done["model"], "my-model");
  EXPECT_EQ(models, std::vector<std::string>{"my-model"});
  EXPECT_TRUE(fs::exists(folder.path() / "my-model.gguf"));
  EXPECT_EQ(*read_file(folder.path() / "my-model.licence.txt"), "Licence");
  const auto besides = parse_json(*read_file(folder.path() / "my-model.pulled.json"));
  EXPECT_EQ((*besides)["sha256"], kSha);
  EXPECT_FALSE(fs::exists(folder.path() / ".pulls" / pull["id"].get<std::string>()));
  EXPECT_EQ(worker, nullptr);
}

TEST_F(Pulling, ThrowsAwayWhatHasAnotherDigest) {
  const Json pull = fetched("hf:o/r");
  say(wire::Hashed{std::string(64, 'b'), 100});
  EXPECT_EQ(look(pull)["error"]["code"], "corrupt");
  EXPECT_FALSE(fs::exists(part(pull)));
  EXPECT_EQ(inspections, 0);
  EXPECT_TRUE(models.empty());
}

TEST_F(Pulling, HoldsAFileAgainstTheDigestThatWasAskedFor) {
  const Json pull = add("https://x.org/m.gguf", "", kSha);
  say(found(100, ""));
  EXPECT_TRUE(write_file(part(pull), "GGUF" + std::string(96, 'x')));
  say(wire::Pulled{100});
  say(wire::Hashed{std::string(64, 'b'), 100});
  EXPECT_EQ(look(pull)["error"]["code"], "corrupt");
  const Json other = add("hf:o/other", "", std::string(64, 'c'));
  say(found());
  EXPECT_EQ(look(other)["error"]["code"], "corrupt");
}

// What came first is remembered when the model is gone.
TEST_F(Pulling, ASourceThatGivesOtherBytesThanTheFirstTimeIsRefused) {
  const std::string other(64, 'b');
  bring("hf:o/r:r.gguf", found(100, kSha));
  remove_model("my-model");
  pulls = make();
  pulls->resume();
  Json again = add("hf:o/r:r.gguf");
  say(found(100, other));
  const std::string why = look(again)["error"]["message"];
  EXPECT_EQ(look(again)["error"]["code"], "corrupt");
  EXPECT_NE(why.find(cat(kSha, " came from there on ", day_of(unix_ms(clock.wall())))),
            std::string::npos)
      << why;
  EXPECT_NE(why.find("--sha256 " + other), std::string::npos) << why;
  // a quantization that means the same file is the same place
  again = add("hf:o/r:Q4_K_M");
  say(found(100, other));
  EXPECT_EQ(look(again)["error"]["code"], "corrupt");
  // the person may mean the new one, which is expected from then on
  EXPECT_EQ(bring("hf:o/r:r.gguf", found(100, other), other)["state"], "done");
  remove_model("my-model");
  again = add("hf:o/r:r.gguf");
  say(found(100, kSha));
  EXPECT_EQ(look(again)["error"]["code"], "corrupt");
}

TEST_F(Pulling, BytesWhoseDigestNobodyPromisedAreKeptUntilThePersonDecides) {
  const std::string other(64, 'b');
  bring("https://x.org/m.gguf", found(100, ""));
  Json again = add("https://x.org/m.gguf");
  say(found(100, ""));
  EXPECT_EQ(state(again), "done") << "it is here";
  remove_model("my-model");
  again = fetched("https://x.org/m.gguf", found(100, ""));
  say(wire::Hashed{other, 100});
  EXPECT_EQ(look(again)["error"]["code"], "corrupt");
  EXPECT_TRUE(fs::exists(part(again)));
  EXPECT_EQ(add("https://x.org/m.gguf", "", other)["id"], again["id"]);
  say(found(100, ""));
  say(wire::Pulled{0});
  say(wire::Hashed{other, 100});
  EXPECT_EQ(state(again), "done");
}

TEST_F(Pulling, DamagedDigestsAreSetAsideAndNotOverwritten) {
  ASSERT_TRUE(make_private_folder(folder.path() / ".pulls"));
  ASSERT_TRUE(write_file(folder.path() / ".pulls" / "digests.json", "[]"));
  pulls->resume();
  bring("hf:o/r", found());
  size_t set_aside = 0;
  for (const auto& entry : fs::directory_iterator(folder.path() / ".pulls"))
    set_aside += entry.path().filename().string().starts_with("digests.json.damaged-") ? 1 : 0;
  EXPECT_EQ(set_aside, 1U);
}

TEST_F(Pulling, HoldsAFileOfTheCatalogueAgainstItHoweverItWasNamed) {
  for (const char* source : {"known-one", "hf:o/known:Known.gguf", "hf:o/known:Q4_K_M"}) {
    Json pull = add(source);
    wire::Found what = found(100, std::string(64, 'e'));
    what.name = "Known.gguf";
    say(what);
    EXPECT_EQ(look(pull)["error"]["code"], "corrupt") << source;
    what = found(99, kSha);
    what.name = "Known.gguf";
    pull = add(source);
    say(what);
    const std::string why = look(pull)["error"]["message"];
    EXPECT_NE(why.find("99 bytes, and the catalogue knows it with 100"), std::string::npos) << why;
    EXPECT_FALSE(fs::exists(part(pull))) << "nothing is fetched";
  }
}

TEST_F(Pulling, BelievesNothingThatMakesNoSense) {
  Json pull = add("hf:o/a");
  say(found(0));
  EXPECT_EQ(look(pull)["error"]["code"], "corrupt");
  pull = add("hf:o/b");
  say(found(100, "nonsense"));
  EXPECT_EQ(look(pull)["error"]["code"], "corrupt");
  pull = add("hf:o/c");
  say(wire::Pulled{1});  // before it was told to fetch: not heard
  EXPECT_EQ(state(pull), "resolving");
  say(wire::Hashed{kSha, 100});
  EXPECT_EQ(state(pull), "resolving");
  say(found());
  say(wire::Fetched{101, 101, ""});
  EXPECT_EQ(look(pull)["error"]["code"], "corrupt");
  pull = add("hf:o/d");
  worker->say(wire::Frame{static_cast<uint8_t>(wire::Type::Delta), 1, ""});
  settle();
  EXPECT_EQ(look(pull)["error"]["code"], "corrupt");
}

TEST_F(Pulling, SaysHowMuchRoomThereIsNot) {
  const Json pull = add("hf:o/r");
  say(found(uint64_t{1} << 41));
  const Json failed = look(pull);
  EXPECT_EQ(failed["error"]["code"], "no_room");
  EXPECT_NE(failed["error"]["message"].get<std::string>().find("are free"), std::string::npos);
}

TEST_F(Pulling, TwoOfOneSourceAreOne) {
  const Json first = add("hf:o/r:Q4_K_M");
  EXPECT_EQ(add("hf.co/o/r:Q4_K_M")["id"], first["id"]);
  EXPECT_EQ(started, 1);
  EXPECT_FALSE(pulls->add("hf:o/r:Q4_K_M", "another", ""));
  EXPECT_FALSE(pulls->add("hf:o/r:Q4_K_M", "", kSha)) << "it was begun without that digest";
  say(found());
  // another source of what becomes the same model
  const Json second = add("hf:o/r2");
  say(found());
  EXPECT_EQ(look(second)["error"]["code"], "busy");
}

TEST_F(Pulling, WhatWaitsForTheNetworkTriesAgainOnceSomethingCame) {
  Json pull = add("hf:o/r");
  say(wire::Failed{{Code::Offline, "no connection"}});
  EXPECT_EQ(look(pull)["error"]["code"], "offline");
  EXPECT_EQ(state(pull), "failed") << "nothing had come: the person is told at once";
  pull = add("hf:o/r");
  say(found());
  say(wire::Fetched{50, 50, ""});
  say(wire::Failed{{Code::Offline, "no connection"}});
  EXPECT_EQ(state(pull), "waiting");
  EXPECT_EQ(pulls->running(), 0U);
  const int before = started;
  clock.advance(Pulls::kRetryFirst);
  settle();
  EXPECT_EQ(started, before + 1);
  EXPECT_EQ(state(pull), "resolving");
}

TEST_F(Pulling, AStoppedOneGoesOnWhenItIsAskedForAgainAndNotBefore) {
  const Json pull = add("hf:o/r");
  say(found());
  ASSERT_TRUE(pulls->stop(pull["id"]));
  settle();
  clock.advance(Pulls::kRetryMax);
  settle();
  EXPECT_EQ(state(pull), "waiting");
  pulls = make();
  pulls->resume();
  settle();
  EXPECT_EQ(state(pull), "waiting");
  EXPECT_EQ(add("hf:o/r")["id"], pull["id"]);
  EXPECT_EQ(state(pull), "resolving");
}

TEST_F(Pulling, TheNextDaemonGoesOnByItself) {
  const Json pull = add("hf:o/r", "mine");
  say(found());
  pulls->stop_all();
  settle();
  pulls = make();
  pulls->resume();
  settle();
  EXPECT_EQ(state(pull), "resolving");
  say(found());
  EXPECT_EQ(look(pull)["model"], "mine");
}

TEST_F(Pulling, ACancelledOneLeavesNothing) {
  const Json pull = add("hf:o/r");
  say(found());
  EXPECT_TRUE(fs::exists(part(pull)));
  EXPECT_EQ((*pulls->cancel(pull["id"]))["state"], "cancelled");
  settle();
  EXPECT_FALSE(fs::exists(part(pull)));
  EXPECT_EQ(pulls->list(), Json::array());
  EXPECT_EQ(worker, nullptr);
  EXPECT_FALSE(pulls->cancel("p-none"));
}

TEST_F(Pulling, OneThatIsOverLeavesTheListWhenItIsCancelledOrItsModelRemoved) {
  const Json done = bring("hf:o/r", found());
  EXPECT_EQ((*pulls->cancel(done["id"]))["state"], "done");
  EXPECT_EQ(pulls->list(), Json::array());
  EXPECT_TRUE(fs::exists(folder.path() / "my-model.gguf"));
  remove_model("my-model");
  bring("hf:o/r", found());
  remove_model("my-model");
  EXPECT_EQ(pulls->list(), Json::array());
  const Json failed = add("hf:o/other");
  say(found());
  say(wire::Failed{{Code::Denied, "not for you"}});
  EXPECT_TRUE(fs::exists(part(failed)));
  EXPECT_EQ((*pulls->cancel(failed["id"]))["state"], "cancelled");
  settle();
  EXPECT_FALSE(fs::exists(part(failed)));
  EXPECT_EQ(pulls->list(), Json::array());
}

TEST_F(Pulling, WhyOneFailedAndHowFarItWasSurviveTheDaemon) {
  const Json pull = add("hf:o/r");
  say(found());
  say(wire::Fetched{60, 60, ""});
  say(wire::Failed{{Code::Denied, "not for you"}});
  pulls = make();
  pulls->resume();
  const Json kept = look(pull);
  EXPECT_EQ(kept["state"], "failed");
  EXPECT_EQ(kept["error"], Json({{"message", "not for you"}, {"code", "denied"}}));
  EXPECT_EQ(kept["bytes_done"], 60u);
  EXPECT_EQ(kept["bytes_total"], 100u);
}

TEST_F(Pulling, OrdersOfAnEarlierVersionAreRead) {
  const fs::path order = folder.path() / ".pulls" / "p-1";
  ASSERT_TRUE(make_private_folder(order));
  ASSERT_TRUE(write_file(order / "pull.json", R"({"format":1,"source":"hf:o/r","failed":true})"));
  pulls->resume();
  EXPECT_EQ((*pulls->show("p-1"))["state"], "failed");
}

TEST_F(Pulling, AFailedOneGoesOnUnderAnotherName) {
  const Json pull = add("hf:o/r", "first");
  say(found());
  say(wire::Failed{{Code::Denied, "not for you"}});
  EXPECT_EQ(add("hf:o/r", "second")["id"], pull["id"]);
  say(found());
  EXPECT_EQ(look(pull)["model"], "second");
}

TEST_F(Pulling, ManyThatFailedDoNotKeepOthersOut) {
  for (size_t i = 0; i <= Pulls::kKeptMax; i++) {
    add(cat("hf:o/r", i));
    say(wire::Failed{{Code::NotFound, "it is not there"}});
  }
  EXPECT_EQ(pulls->list().size(), Pulls::kKeptMax);
}

TEST_F(Pulling, NothingIsLeftBesideAModelThatCouldNotBeAdded) {
  added = Error{Code::NoRoom, "the list of models could not be written"};
  const Json pull = fetched("hf:o/r");
  say(wire::Hashed{kSha, 100});
  EXPECT_EQ(look(pull)["error"]["code"], "no_room");
  EXPECT_TRUE(fs::exists(part(pull)));
  for (const char* end : {".gguf", ".pulled.json", ".licence.txt"})
    EXPECT_FALSE(fs::exists(folder.path() / (std::string("my-model") + end))) << end;
}

TEST_F(Pulling, AFileThatIsThereIsNeverOverwritten) {
  const Json pull = fetched("hf:o/r");
  ASSERT_TRUE(write_file(folder.path() / "my-model.gguf", "mine"));
  say(wire::Hashed{kSha, 100});
  EXPECT_EQ(look(pull)["error"]["code"], "invalid");
  EXPECT_EQ(*read_file(folder.path() / "my-model.gguf"), "mine");
}

TEST_F(Pulling, SomeAtATimeTheOthersWait) {
  std::vector<Json> all;
  for (int i = 0; i < 4; i++) all.push_back(add(cat("hf:o/r", i)));
  EXPECT_EQ(pulls->running(), Pulls::kRunningMax);
  EXPECT_EQ(state(all[3]), "waiting");
  ASSERT_TRUE(pulls->cancel(all[0]["id"]));
  settle();
  EXPECT_EQ(state(all[3]), "resolving");
}

TEST_F(Pulling, AModelThatIsHereWithThatDigestIsNotFetchedAgain) {
  const Json pull = fetched("hf:o/r");
  say(wire::Hashed{kSha, 100});
  ASSERT_EQ(state(pull), "done");
  const Json again = add("hf:o/r");
  say(found());
  EXPECT_EQ(state(again), "done");
  const Json other = add("hf:o/other");
  say(found(100, std::string(64, 'd')));
  EXPECT_EQ(look(other)["error"]["code"], "invalid");
}

TEST_F(Pulling, AFileThatTheEngineCannotUseIsKeptUntilItIsCancelled) {
  inspected = Error{Code::Unsupported, "an architecture that is not known"};
  const Json pull = fetched("hf:o/r");
  say(wire::Hashed{kSha, 100});
  EXPECT_EQ(look(pull)["error"]["code"], "unsupported");
  EXPECT_TRUE(fs::exists(part(pull)));
}

TEST_F(Pulling, TakesNamesOfTheCatalogueAndFilesOfThisDisk) {
  const Json known = add("known-one");
  EXPECT_EQ(known["source"], "hf:o/known:Known.gguf");
  EXPECT_EQ(known["model"], "known-one") << "under the name that it has there";
  EXPECT_FALSE(pulls->add("unknown-one", "", ""));
  EXPECT_FALSE(pulls->add("hf:o/r", "Not A Name", ""));
  const auto standing = pulls->add("hf:o/r", "default", "");
  ASSERT_FALSE(standing) << "before anything is fetched";
  EXPECT_NE(standing.error().message.find("when none is named"), std::string::npos);
  EXPECT_FALSE(pulls->add("hf:o/r", "", "abc"));
  const fs::path file = folder.path() / "here.gguf";
  ASSERT_TRUE(write_file(file, "GGUF"));
  const Json pull = add(file.string());
  EXPECT_EQ(state(pull), "done");
  EXPECT_TRUE(fs::exists(file));
}

}  // namespace
}  // namespace lares::app
