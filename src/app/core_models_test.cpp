// Which models and adapters come and go: room for them, adding and removing.
#include <gtest/gtest.h>

#include "app/testing/core_house.h"

namespace lares::app {
namespace {

using testing::FakeWorker;
using testing::Heard;
using testing::House;
using wire::Type;
using CoreModels = testing::CoreHouse;

TEST_F(CoreModels, WhatComesWithLaresIsFetchedAnewAndNotRemoved) {
  inventory::Model model;
  model.id = "smollm2-135m-instruct.q4_1";
  model.file = "/home/a/smollm2.gguf";
  model.ours = true;
  EXPECT_EQ(how_to_mend(model, "'/clone/lares'"),
            "fetch its file anew with: rm -f '/home/a/smollm2.gguf' && '/clone/lares' models");
  EXPECT_NE(how_to_mend(model, "").find("`lares models rm smollm2-135m-instruct.q4_1`, which "
                                        "deletes that file"),
            std::string::npos);
  model.id = "all-minilm-l6-v2";
  EXPECT_EQ(
      how_to_mend(model, "'/clone/lares'"),
      "fetch its file anew with: rm -f '/home/a/smollm2.gguf' && '/clone/lares' models embedder");
  model.ours = false;
  EXPECT_EQ(
      how_to_mend(model, "'/clone/lares'"),
      "put a good file in the place of '/home/a/smollm2.gguf', or remove it with `lares models "
      "rm all-minilm-l6-v2`, which deletes no file");
}

TEST_F(CoreModels, AModelThatCannotBeLoadedSaysWhyToEveryoneWhoWaits) {
  auto one = house.chat("alpha");
  auto two = house.chat("alpha");
  house.worker("alpha")->hello();
  house.worker("alpha")->die({Code::Corrupt, "loading 'alpha': the file ends early"});
  house.settle();
  EXPECT_EQ(one->error(), "loading 'alpha': the file ends early");
  EXPECT_EQ(two->ended->result.error().code, Code::Corrupt);
  for (size_t i = 0; i < 2 * Residents::kDeathsMax; i++) {  // that is no crash: no quarantine
    auto again = house.chat("alpha");
    house.worker("alpha")->die({Code::Corrupt, "loading 'alpha': the file ends early"});
    house.settle();
    EXPECT_EQ(again->ended->result.error().code, Code::Corrupt);
  }
}

TEST_F(CoreModels, WithoutSeccompNoModelIsOpened) {
  auto heard = house.chat("alpha");
  house.worker("alpha")->hello({"landlock:7"});
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Unsupported);
  EXPECT_NE(heard->error().find("no seccomp sandbox"), std::string::npos);
}

TEST_F(CoreModels, AnIdleModelMakesRoomForAnother) {
  load("alpha");
  load("beta");
  auto heard =
      house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a", "b"}}}});
  EXPECT_TRUE(went_down("alpha"));
  EXPECT_FALSE(went_down("beta"));
  house.load("vectors");
  const auto ids = asked("vectors", Type::Embed);
  ASSERT_EQ(ids.size(), 1u);
  wire::Done done;
  done.reason = "embedded";
  done.prompt_tokens = 5;
  done.vectors = std::string(8 * sizeof(float), '\0');
  done.input_tokens = {2, 3};
  house.worker("vectors")->answer(done, ids[0]);
  house.settle();
  ASSERT_TRUE(heard->ended && heard->ended->result) << heard->error();
  EXPECT_EQ(heard->vector_length, 4u);
  EXPECT_EQ(heard->ended->receipt.outcome, "embedded");
  EXPECT_NE(heard->ended->receipt.why[2].find("'alpha' made room for it"), std::string::npos);
}

api::Work with_adapters(const std::vector<std::string>& names) {
  Json lora = Json::array();
  for (const std::string& name : names) lora.push_back({{"id", name}, {"scale", 1}});
  return {.body = {{"messages", Json::array()}, {"lora", std::move(lora)}}};
}

struct AdapterHouse : ::testing::Test {
  AdapterHouse()
      : house({{"alpha", MiB(300)},
               {"style", {}, false, false, true},
               {"voice", {}, false, false, true}},
              MiB(600)) {}
  wire::Load loaded_with() {
    return *wire::from_frame<wire::Load>(House::frames(*house.worker("alpha"), Type::Load).back());
  }
  size_t generated() { return House::frames(*house.worker("alpha"), Type::Generate).size(); }
  void complete() {
    wire::Done done;
    done.reason = "stop";
    house.worker("alpha")->answer(done,
                                  House::frames(*house.worker("alpha"), Type::Generate).back().id);
    house.settle();
  }
  House house;
};

TEST_F(AdapterHouse, AWorkerIsHandedWhatMayGoWithItsModel) {
  auto heard = house.chat("alpha", with_adapters({"voice"}));
  house.load("alpha");
  EXPECT_EQ(loaded_with().adapters, (std::vector<std::string>{"style", "voice"}));
  EXPECT_EQ(generated(), 1u);
  complete();
  ASSERT_TRUE(heard->ended && heard->ended->result) << heard->error();
  EXPECT_EQ(heard->ended->receipt.why[2], "adapter: 'voice' was asked for");
}

TEST_F(AdapterHouse, TheBytesOfThoseThatAreUsedAreReserved) {
  auto plain = house.chat("alpha");
  house.load("alpha");
  const Bytes before = house.core->ladder().used();
  complete();
  for (int i = 0; i < 2; i++) {  // once, however often it is used
    auto heard = house.chat("alpha", with_adapters({"style"}));
    EXPECT_EQ(house.core->ladder().used().n, before.n + 8);
    complete();
  }
  auto both = house.chat("alpha", with_adapters({"style", "voice"}));
  EXPECT_EQ(house.core->ladder().used().n, before.n + 16);
}

TEST_F(AdapterHouse, WithoutRoomForItsBytesTheRequestSaysSo) {
  House tight{{{"alpha", MiB(300)}, {"style", {}, false, false, true}}, MiB(300)};
  auto plain = tight.chat("alpha");
  tight.load("alpha");
  auto heard = tight.chat("alpha", with_adapters({"style"}));
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::NoRoom);
  EXPECT_NE(heard->error().find("adapter 'style': needs 8 B beside 'alpha'"), std::string::npos)
      << heard->error();
  EXPECT_FALSE(plain->ended);
}

TEST_F(AdapterHouse, AnAdapterThatCameLaterIsThereAfterTheAnswersInProgress) {
  auto running = house.chat("alpha");
  house.load("alpha");
  ASSERT_TRUE(write_file(house.folder.path() / "late-lora.gguf", "GGUF????"));
  auto heard = house.chat("alpha", with_adapters({"late-lora"}));
  auto behind = house.chat("alpha");
  EXPECT_EQ(generated(), 1u);  // nobody begins any more
  EXPECT_FALSE(heard->ended);
  complete();
  EXPECT_TRUE(running->ended && running->ended->result);
  house.load("alpha");
  EXPECT_EQ(loaded_with().adapters, (std::vector<std::string>{"late-lora", "style", "voice"}));
  EXPECT_EQ(generated(), 2u);
  EXPECT_FALSE(heard->ended);
  EXPECT_FALSE(behind->ended);
}

TEST_F(AdapterHouse, OneWhoseFileIsGoneFailsItsRequestAlone) {
  std::filesystem::remove(house.folder.path() / "voice.gguf");
  auto heard = house.chat("alpha", with_adapters({"voice"}));
  auto other = house.chat("alpha", with_adapters({"style"}));
  house.load("alpha");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::NotFound) << heard->error();
  EXPECT_FALSE(other->ended);
  EXPECT_EQ(generated(), 1u);
}

TEST_F(AdapterHouse, AnAdapterIsNoModel) {
  EXPECT_EQ(house.chat("style")->error(),
            "'style' is an adapter and no model; name the model that it was made for, and the "
            "adapter in 'lora'");
  EXPECT_EQ(house.chat("alpha", with_adapters({"nobody"}))->ended->result.error().code,
            Code::NotFound);
  EXPECT_EQ(house.chat("alpha", with_adapters({"alpha"}))->error(),
            "'alpha' is no adapter but a model; name it as 'model'");
}

TEST_F(CoreModels, AModelInUseIsNeverEvictedAndTheOtherWaits) {
  load("alpha");
  load("beta");
  auto a = house.chat("alpha");
  auto b = house.chat("beta");
  auto v = house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a"}}}});
  EXPECT_TRUE(house.worker("alpha"));
  EXPECT_TRUE(house.worker("beta"));
  EXPECT_FALSE(house.worker("vectors"));
  complete("beta", asked("beta").back());
  house.settle();
  EXPECT_TRUE(went_down("beta"));
  EXPECT_TRUE(house.worker("vectors"));
}

TEST_F(CoreModels, WhoWaitsForRoomIsNotShutOutByAStreamOfOthers) {
  load("alpha");
  load("beta");
  auto a = house.chat("alpha");
  auto b = house.chat("beta");
  auto v = house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a"}}}});
  house.advance(Core::kDrainAfter);
  auto more = house.chat("alpha");  // begins not: alpha must come to rest
  const uint64_t running = asked("alpha").back();
  complete("alpha", running);
  EXPECT_TRUE(went_down("alpha"));
  EXPECT_TRUE(house.worker("vectors"));
  EXPECT_FALSE(more->ended);
}

// Two models that people ask take each other's room again and again.
TEST_F(CoreModels, BackgroundWorkForAThirdModelHasItsTurnBesideTwoThatChangePlaces) {
  House small{{{"one", MiB(300)}, {"two", MiB(300)}, {"third", MiB(300)}}, MiB(400)};
  small.chat("one");
  small.load("one");
  auto work = small.chat("third", {.lane = "background"});
  const SteadyTime asked = small.clock.now();
  std::string here = "one";
  while (!small.worker("third") && small.clock.now() < asked + 2 * Core::kRoomTurnAfter) {
    const std::string other = here == "one" ? "two" : "one";
    small.chat(other);
    small.advance(milliseconds(1'000));
    const uint64_t id = House::frames(*small.worker(here), Type::Generate).back().id;
    small.worker(here)->answer(wire::Started{10, 4}, id);
    small.worker(here)->answer(wire::Done{.reason = "stop"}, id);
    small.settle();
    if (!small.worker(other)) continue;
    if (House::frames(*small.worker(other), Type::Load).empty()) small.load(other);
    here = other;
  }
  EXPECT_TRUE(small.worker("third"));
  EXPECT_GE(small.clock.now(), asked + Core::kRoomTurnAfter);
  EXPECT_FALSE(work->ended);
}

TEST_F(CoreModels, WaitingForRoomEndsWithWhoHoldsIt) {
  load("alpha");
  load("beta");
  auto a = house.chat("alpha");
  auto b = house.chat("beta");
  auto v = house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a"}}}});
  house.advance(Core::kDrainAfter);
  house.advance(Core::kRoomWaitMax - Core::kDrainAfter);
  ASSERT_TRUE(v->ended);
  EXPECT_EQ(
      v->error(),
      "bringing 'vectors' to hot: needs 100 MiB, but of 600 MiB 600 MiB is held by answers in "
      "progress; 100 MiB is missing; retry when one has ended");
}

TEST_F(CoreModels, AModelThatCanNeverFitSaysWhatItNeeds) {
  House small{{{"huge", GiB(20)}}, MiB(600)};
  auto heard = small.chat("huge");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::NoRoom);
  EXPECT_EQ(
      heard->error(),
      "loading 'huge': needs 20.0 GiB, but memory.budget allows 600 MiB of this machine's 16.0 "
      "GiB; choose a "
      "smaller model or quantisation, or raise memory.budget");
}

TEST_F(CoreModels, AModelThatTookMoreThanEstimatedIsLoadedAgainWithItsRealSize) {
  load("beta");
  auto heard = house.chat("alpha");
  house.worker("alpha")->hello();
  house.worker("alpha")->loaded(MiB(450));
  house.settle();
  EXPECT_FALSE(heard->ended);
  EXPECT_TRUE(went_down("beta"));  // it has to make room after all
  house.memory["alpha"] = MiB(450);
  house.load("alpha");
  complete("alpha", asked("alpha").back());
  EXPECT_TRUE(heard->ended && heard->ended->result) << heard->error();
}

TEST_F(CoreModels, AModelThatClaimsMoreThanTheBudgetIsRefused) {
  auto heard = house.chat("alpha");
  house.worker("alpha")->hello();
  house.worker("alpha")->loaded(Bytes{UINT64_MAX});
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::NoRoom);
}

TEST_F(CoreModels, TheDefaultModelIsLoadedBeforeAnyoneAsks) {
  House early{{{"alpha", MiB(300)}}, MiB(600), /*preload=*/true};
  early.settle();
  EXPECT_TRUE(early.worker("alpha"));
  early.load("alpha");
  auto heard = early.chat("");
  EXPECT_EQ(House::frames(*early.worker("alpha"), Type::Generate).size(), 1u);
}

TEST_F(CoreModels, AddingAModelLooksInsideFirst) {
  const auto file = house.folder.path() / "New-Model.gguf";
  ASSERT_TRUE(write_file(file, "GGUF????"));
  house.on_spawn = [](FakeWorker& worker) {
    worker.hello();
    worker.loaded({}, {{"pooling", "mean"}, {"architecture", "bert"}});
  };
  auto added = house.ask("models.add", {{"file", file.string()}});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ((*added)["id"], "new-model");
  EXPECT_EQ((*added)["use"], "embedding");
  EXPECT_EQ((*added)["info"]["architecture"], "bert");
  EXPECT_TRUE(house.workers.empty());
}

TEST_F(CoreModels, AddingWhatIsNoModelSaysWhatItIs) {
  const auto file = house.folder.path() / "page.gguf";
  ASSERT_TRUE(write_file(file, "<!doctype html>"));
  auto refused = house.ask("models.add", {{"file", file.string()}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("an HTML page"), std::string::npos);
  EXPECT_FALSE(house.ask("models.add", {{"file", "relative.gguf"}}));

  ASSERT_TRUE(write_file(file, "GGUF but damaged"));
  house.on_spawn = [](FakeWorker& worker) { worker.die({Code::WorkerDied, "signal 6"}); };
  EXPECT_EQ(house.ask("models.add", {{"file", file.string()}}).error().message,
            "reading 'page.gguf': signal 6");
}

TEST_F(CoreModels, FilesThatWerePutIntoTheFolderAreLookedIntoLater) {
  testing::Folder folder;
  for (const char* name : {"one.gguf", "two.gguf", "broken.gguf"})
    ASSERT_TRUE(write_file(folder.path() / name, "GGUF????"));
  FakeClock clock;
  Loop loop(clock);
  Log log = Log::silent();
  Background slow;
  auto models = inventory::Models::open(folder.path(), log);
  auto receipts = route::Receipts::open(folder.path(), [](Task) { return true; }, log);
  std::vector<std::string> looked;
  const auto spawn = [&](host::WorkerSpec spec,
                         host::Worker::OnEvent on_event) -> Result<std::unique_ptr<host::Worker>> {
    looked.push_back(spec.name);
    auto worker = std::make_unique<FakeWorker>(std::move(spec), loop, std::move(on_event));
    worker->hello();
    if (worker->name == "broken") {
      worker->die({Code::Corrupt, "it ends early"});
    } else {
      worker->loaded({}, {{"pooling", "mean"}});
    }
    return std::unique_ptr<host::Worker>(std::move(worker));
  };
  Core core(loop, log, *std::move(models), *std::move(receipts), slow, spawn,
            {{GiB(1), GiB(1), {}, 0}, "", false}, {});
  core.set_engine(EngineChoice{"lares-worker", {}, {}, "none", true});
  const auto settle = [&] {
    while (loop.run_one()) {
    }
  };
  settle();
  EXPECT_TRUE(looked.empty());
  clock.advance(Core::kLookAfter);
  settle();
  EXPECT_EQ(looked, (std::vector<std::string>{"broken", "one", "two"}));
  core.ask("models.list", Json::object(), [](const Result<Json>& list) {
    EXPECT_EQ((*list)[0]["use"], "chat");
    EXPECT_EQ((*list)[1]["use"], "embedding");
  });
  settle();
}

TEST_F(CoreModels, RemovingAModelStopsItAndNeedsItsWholeName) {
  load("alpha");
  EXPECT_FALSE(house.ask("models.rm", {{"name", "alp"}}));
  auto busy = house.chat("alpha");
  EXPECT_EQ(house.ask("models.rm", {{"name", "alpha"}}).error().code, Code::Busy);
  complete("alpha", asked("alpha").back());
  ASSERT_TRUE(house.ask("models.rm", {{"name", "alpha"}}));
  house.settle();
  EXPECT_FALSE(house.worker("alpha"));
  EXPECT_EQ((*house.ask("models.list")).size(), 2u);
  EXPECT_EQ(house.chat("alpha")->ended->result.error().code, Code::NotFound);
}

TEST_F(CoreModels, AModelThatCannotBeRemovedGoesOnAnswering) {
  load("alpha");
  EXPECT_EQ(house.ask("models.rm", {{"name", "default"}}).error().message,
            "removing 'default': this stands for 'alpha' now, and only a model's own name removes "
            "it");
  // what unlink() does not delete
  std::filesystem::remove(house.folder.path() / "alpha.gguf");
  std::filesystem::create_directory(house.folder.path() / "alpha.gguf");
  const auto refused = house.ask("models.rm", {{"name", "alpha"}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("deleting '"), std::string::npos);
  house.settle();
  EXPECT_TRUE(house.worker("alpha"));
  EXPECT_EQ((*house.ask("models.list")).size(), 3u);
  auto heard = house.chat("alpha");
  complete("alpha", asked("alpha").back());
  EXPECT_TRUE(heard->ended && heard->ended->result) << heard->error();

  house.chat("beta");  // is being loaded
  EXPECT_EQ(house.ask("models.rm", {{"name", "beta"}}).error().code, Code::Busy);
  EXPECT_EQ((*house.ask("models.list")).size(), 3u);
}

}  // namespace
}  // namespace lares::app
