// A model whose answers another one drafts: what is reserved, what its worker is told, and what
// becomes of it where that cannot be.
#include <gtest/gtest.h>

#include "app/testing/fake_house.h"

namespace lares::app {
namespace {

using testing::FakeWorker;
using testing::House;
using wire::Type;

struct Drafting {
  explicit Drafting(DraftModels drafts = {"small", {}}, Bytes budget = MiB(600))
      : house({{"large", MiB(300)},
               {"small", MiB(148)},
               {"embedder", MiB(100), true},
               {"style", {}, false, false, true}},
              budget, false, 8, {}, House::Engine::Chosen, std::move(drafts)) {}

  // Starts the worker, which says what its draft model takes, or why that does not draft.
  void load(Bytes draft, const std::string& refused = "", const std::string& model = "large") {
    house.settle();
    FakeWorker* const worker = house.worker(model);
    ASSERT_TRUE(worker);
    worker->hello();
    house.settle();
    wire::Loaded loaded{Json::object(), 1, house.memory.at(model).n};
    loaded.draft_memory_bytes = draft.n;
    loaded.draft_refused = refused;
    worker->say(std::move(loaded));
    house.settle();
  }
  // Loads a model once, whose worker says how many tokens there are.
  void know(const std::string& model, uint64_t vocabulary) {
    auto heard = house.chat(model);
    house.settle();
    FakeWorker* const worker = house.worker(model);
    ASSERT_TRUE(worker);
    worker->hello();
    house.settle();
    Json info = testing::measured_info(house.options.residents.shape, house.memory.at(model));
    info["vocabulary"] = vocabulary;
    worker->loaded(house.memory.at(model), std::move(info));
    house.core->cancel(house.last_work);
    house.settle();
    worker->die({Code::WorkerDied, "over"});
    house.settle();
  }
  std::string told(const std::string& model = "large") {
    return wire::from_frame<wire::Load>(House::frames(*house.worker(model), Type::Load).back())
        ->draft;
  }
  Bytes used() const { return house.core->ladder().used(); }
  Json ps() { return (*house.ask("ps"))[0]; }
  // Asks the large one, whose draft model says so many tokens; the last reason of the receipt.
  route::Receipt asked(Tokens drafted, Tokens accepted) {
    auto heard = house.chat("large");
    FakeWorker& worker = *house.worker("large");
    wire::Done done;
    done.reason = "stop";
    done.prompt_tokens = 3;
    done.drafted_tokens = drafted + 5;
    done.accepted_tokens = accepted + 1;
    done.model_drafted_tokens = drafted;
    done.model_accepted_tokens = accepted;
    worker.answer(done, House::frames(worker, Type::Generate).back().id);
    house.settle();
    EXPECT_TRUE(heard->ended);
    return heard->ended ? heard->ended->receipt : route::Receipt{};
  }

  House house;
};

TEST(Drafts, AModelIsStartedWithItsDraftModelWhoseBytesAreReserved) {
  Drafting here;
  auto heard = here.house.chat("large");
  EXPECT_EQ(here.used(), MiB(400)) << "300, and what the other needs without a process";
  here.load(MiB(110));
  EXPECT_EQ(here.told(), "small");
  EXPECT_EQ(here.used(), MiB(410)) << "as it was measured";
  EXPECT_EQ(here.ps()["draft"], "small");
  EXPECT_TRUE(here.ps()["draft_refused"].is_null());
  EXPECT_EQ(here.ps()["memory_bytes"], MiB(410).n);
}

TEST(Drafts, TheReceiptSaysHowManyTokensCame) {
  Drafting here;
  auto first = here.house.chat("large");
  here.load(MiB(110));
  route::Receipt receipt = here.asked(40, 31);
  EXPECT_EQ(receipt.why.back(), "draft: 'small' said 40 tokens ahead, of which 31 came");
  EXPECT_EQ(receipt.drafted_tokens, 45u);
  EXPECT_EQ(receipt.accepted_tokens, 32u);
  EXPECT_EQ(here.asked(0, 0).why.back(),
            "draft: 'small' said nothing ahead, since it would not have paid");
  EXPECT_EQ(here.asked(3, 9).accepted_tokens, 8u) << "no more can have come";
}

TEST(Drafts, WithoutTheSameVocabularyAModelAnswersAloneAndSaysWhy) {
  Drafting here;
  auto first = here.house.chat("large");
  const std::string why = "drafting for 'large' with 'small': its vocabulary is another: …";
  here.load({}, why);
  EXPECT_EQ(here.used(), MiB(300));
  EXPECT_EQ(here.ps()["draft_refused"], why);
  EXPECT_EQ(here.asked(0, 0).why.back(), "draft: none; " + why);
}

TEST(Drafts, VocabulariesOfOtherSizesAreNotTried) {
  Drafting here;
  here.know("large", 32'000);
  here.know("small", 49'152);
  auto first = here.house.chat("large");
  here.load({});
  EXPECT_EQ(here.told(), "");
  EXPECT_NE(here.ps()["draft_refused"].get<std::string>().find(
                "its vocabulary is another: of 49,152 tokens and not 32,000"),
            std::string::npos)
      << here.ps()["draft_refused"];
}

TEST(Drafts, WithoutRoomForBothAModelAnswersAlone) {
  Drafting here({"small", {}}, MiB(350));
  auto first = here.house.chat("large");
  here.load({});
  EXPECT_EQ(here.told(), "");
  EXPECT_EQ(here.used(), MiB(300));
  EXPECT_NE(here.ps()["draft_refused"].get<std::string>().find(
                "both together need 400 MiB, but memory.budget allows 350 MiB"),
            std::string::npos)
      << here.ps()["draft_refused"];
}

TEST(Drafts, OneThatTakesMoreThanThoughtIsGivenThatTheNextTime) {
  Drafting here({"small", {}}, MiB(500));
  auto other = here.house.chat("small");
  const api::WorkId work = here.house.last_work;
  here.load({}, "", "small");
  auto first = here.house.chat("large");
  here.house.core->cancel(work);
  const auto asked = House::frames(*here.house.worker("small"), Type::Generate);
  here.house.worker("small")->answer(wire::Failed{{Code::Cancelled, "as asked"}}, asked.back().id);
  here.house.settle();
  here.load(MiB(190));  // beside what the other keeps that is too much
  here.load(MiB(190));
  EXPECT_EQ(here.used(), MiB(490));
  EXPECT_EQ(here.told(), "small");
  EXPECT_EQ((*here.house.ask("plan", {{"name", "large"}}))["draft_bytes"], MiB(190).n);
}

TEST(Drafts, WhatCannotDraftIsNamed) {
  for (const auto& [name, why] : {std::pair{"embedder", "listed for the use 'embedding'"},
                                  {"style", "listed for the use 'adapter'"},
                                  {"nobody", "no model 'nobody'"}}) {
    Drafting here({name, {}});
    auto first = here.house.chat("large");
    here.load({});
    EXPECT_EQ(here.told(), "");
    const auto said = here.ps()["draft_refused"].get<std::string>();
    EXPECT_NE(said.find(why), std::string::npos) << said;
    EXPECT_NE(said.find("drafting for 'large' with '"), std::string::npos) << said;
  }
}

TEST(Drafts, NothingDraftsForItselfOrForVectors) {
  Drafting here;
  auto small = here.house.chat("small");
  here.load({}, "", "small");
  EXPECT_EQ(here.told("small"), "");
  EXPECT_TRUE(here.ps()["draft"].is_null());

  Drafting vectors;
  api::Work work;
  work.kind = api::Work::Kind::Embedding;
  work.body = {{"input", "x"}};
  auto heard = vectors.house.chat("embedder", work);
  vectors.house.settle();
  ASSERT_TRUE(vectors.house.worker("embedder"));
  EXPECT_EQ(vectors.used(), MiB(100));
}

TEST(Drafts, AFileThatIsGoneIsLeftOut) {
  Drafting here;
  std::filesystem::remove(here.house.folder.path() / "small.gguf");
  auto first = here.house.chat("large");
  here.load({});
  EXPECT_EQ(here.told(), "");
  EXPECT_EQ(here.used(), MiB(300));
  EXPECT_FALSE(here.ps()["draft_refused"].is_null());
}

TEST(Drafts, APlanCountsIt) {
  Drafting here;
  Json plan = *here.house.ask("plan", {{"name", "large"}});
  EXPECT_EQ(plan["needs_bytes"], MiB(400).n);
  EXPECT_EQ(plan["draft"], "small");
  EXPECT_EQ(plan["draft_bytes"], MiB(100).n);
  plan = *here.house.ask("plan", {{"name", "small"}});
  EXPECT_TRUE(plan["draft"].is_null());
  EXPECT_EQ(plan["draft_bytes"], 0u);
}

}  // namespace
}  // namespace lares::app
