#include "app/core.h"

#include <gtest/gtest.h>

#include "app/testing/core_house.h"
#include "base/text.h"

namespace lares::app {
namespace {

using testing::FakeWorker;
using testing::Heard;
using testing::House;
using wire::Type;
using CoreTest = testing::CoreHouse;

TEST_F(CoreTest, AQuestionStartsItsModelAndIsAnswered) {
  auto heard = house.chat("alpha");
  EXPECT_FALSE(heard->ended);
  ASSERT_TRUE(house.worker("alpha"));
  EXPECT_EQ(house.worker("alpha")->arguments,
            (std::vector<std::string>{"--engine=fake", "--name=alpha"}));
  house.clock.advance(milliseconds(40));
  house.load("alpha");
  ASSERT_EQ(asked("alpha").size(), 1u);
  complete("alpha", asked("alpha")[0], "blue");
  ASSERT_TRUE(heard->ended);
  ASSERT_TRUE(heard->ended->result) << heard->error();
  EXPECT_EQ(heard->starts, 1);
  EXPECT_EQ(heard->texts, std::vector<std::string>{"blue"});
  EXPECT_EQ(heard->ended->prompt_tokens, 10u);
  const route::Receipt& receipt = heard->ended->receipt;
  EXPECT_EQ(receipt.outcome, "stop");
  EXPECT_EQ(receipt.load_ms, 40);
  EXPECT_EQ(receipt.cpu_ms, 70);
  EXPECT_EQ(receipt.queue_ms, 0);
  EXPECT_EQ(receipt.prompt_tokens_reused, 4u);
  EXPECT_DOUBLE_EQ(receipt.decode_tokens_per_s, 100);
  EXPECT_DOUBLE_EQ(receipt.prefill_tokens_per_s, 1000);
  EXPECT_EQ(receipt.why,
            (std::vector<std::string>{
                "place: local, because no cloud is configured", "model: 'alpha' was asked for",
                "load: waited 40 ms while 'alpha' was loaded", "queue: did not wait",
                "reuse: 4 of 10 prompt tokens were in memory"}));
}

TEST_F(CoreTest, TheReceiptIsFoundByItsId) {
  load("alpha");
  auto heard = house.chat("alpha");
  complete("alpha", asked("alpha").back());
  auto why = house.ask("why", {{"id", heard->id}});
  ASSERT_TRUE(why);
  EXPECT_EQ((*why)["model"], "alpha");
  EXPECT_EQ((*house.ask("receipts", {{"limit", 10u}})).size(), 2u);
}

TEST_F(CoreTest, AWorkerIsToldTheLaneAndWhoseTheRequestIs) {
  load("alpha");
  const auto ask = [&](const std::string& who, const std::string& lane) {
    api::Work work;
    work.who.id = who;
    work.lane = lane;
    auto heard = house.chat("alpha", std::move(work));
    const auto frames = House::frames(*house.worker("alpha"), Type::Generate);
    return *wire::from_frame<wire::Generate>(frames.back());
  };
  const auto first = ask("app:one", "interactive");
  const auto second = ask("app:two", "background");
  const auto third = ask("app:one", "agent");
  EXPECT_EQ(first.lane, Lane::Interactive);
  EXPECT_EQ(second.lane, Lane::Background);
  EXPECT_EQ(third.lane, Lane::Agent);
  EXPECT_NE(first.owner, second.owner);
  EXPECT_EQ(first.owner, third.owner);
}

TEST_F(CoreTest, AnUnknownModelNamesTheNearest) {
  auto heard = house.chat("alhpa");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::NotFound);
  EXPECT_NE(heard->error().find("did you mean 'alpha'"), std::string::npos) << heard->error();
  EXPECT_EQ(heard->ended->receipt.outcome, "not_found");
}

TEST_F(CoreTest, SeveralAnswersAreSeveralPartsWithSeedsOfTheirOwn) {
  load("alpha");
  api::Work work;
  work.choices = 3;
  work.body = {{"messages", Json::array()}, {"seed", 7}};
  auto heard = house.chat("alpha", std::move(work));
  const auto frames = House::frames(*house.worker("alpha"), Type::Generate);
  ASSERT_EQ(frames.size(), 4u);
  std::vector<int> seeds;
  for (size_t i = 1; i < 4; i++)
    seeds.push_back(wire::from_frame<wire::Generate>(frames[i])->body["seed"]);
  EXPECT_EQ(seeds, (std::vector<int>{7, 8, 9}));
  complete("alpha", frames[2].id, "two");
  complete("alpha", frames[1].id, "one");
  EXPECT_FALSE(heard->ended);
  complete("alpha", frames[3].id, "three");
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->texts, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(heard->ended->completion_tokens, 9u);
  EXPECT_EQ(heard->ended->prompt_tokens, 10u);
  EXPECT_EQ(heard->ended->prefill_ms, 6);
  EXPECT_EQ(heard->ended->decode_ms, 30) << "side by side";
  EXPECT_EQ(heard->ended->receipt.decode_tokens_per_s, 0) << "it is no one answer's";
  EXPECT_EQ(heard->choices_done, 3);
  EXPECT_EQ(heard->starts, 1);
}

TEST_F(CoreTest, OneAnswerThatGoesWrongEndsThemAll) {
  load("alpha");
  api::Work work;
  work.choices = 2;
  auto heard = house.chat("alpha", std::move(work));
  const auto ids = asked("alpha");
  house.worker("alpha")->answer(wire::Failed{{Code::Invalid, "too long", "messages"}}, ids[1]);
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->error(), "too long");
  EXPECT_EQ(heard->ended->result.error().param, "messages");
  const auto cancels = asked("alpha", Type::Cancel);
  EXPECT_EQ(cancels, std::vector<uint64_t>{ids[2]});
  complete("alpha", ids[2]);
  EXPECT_FALSE(heard->twice);
}

TEST_F(CoreTest, NoMoreThanTheSlotsAreComputedAtOnce) {
  load("alpha");
  std::vector<std::shared_ptr<Heard>> all;
  for (int i = 0; i < 12; i++) all.push_back(house.chat("alpha"));
  EXPECT_EQ(asked("alpha").size(), 1u + 8u);
  EXPECT_EQ(house.core->waiting(), 4u);
  complete("alpha", asked("alpha")[1]);
  EXPECT_EQ(asked("alpha").size(), 1u + 9u);
  house.clock.advance(milliseconds(12));
  for (size_t i = 2; i < 13; i++) complete("alpha", asked("alpha")[i]);
  for (const auto& heard : all) ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(all.back()->ended->receipt.why[2], "queue: waited 12 ms behind 3 requests");
}

TEST_F(CoreTest, PeopleGoBeforeBackgroundWork) {
  load("alpha");
  for (int i = 0; i < 8; i++) house.chat("alpha");
  api::Work background;
  background.lane = "background";
  auto later = house.chat("alpha", std::move(background));
  auto person = house.chat("alpha");
  complete("alpha", asked("alpha")[1]);
  complete("alpha", asked("alpha").back());
  EXPECT_TRUE(person->ended);
  EXPECT_FALSE(later->ended);
}

TEST_F(CoreTest, BackgroundWorkThatFillsAModelsSlotsKeepsNobodyWaiting) {
  load("alpha");
  const auto ask = [&](const std::string& lane) {
    api::Work work;
    work.lane = lane;
    return house.chat("alpha", std::move(work));
  };
  for (int i = 0; i < 12; i++) ask("background");
  EXPECT_EQ(asked("alpha").size(), 1u + 8u);
  for (int i = 0; i < 12; i++) ask("interactive");
  EXPECT_EQ(asked("alpha").size(), 1u + 8u + 8u) << "the worker knows whom to let wait";
  ask("agent");
  EXPECT_EQ(asked("alpha").size(), 1u + 8u + 8u);
  EXPECT_EQ(house.core->waiting(), 4u + 4u + 1u);
}

TEST_F(CoreTest, AnAppThatFillsAModelsSlotsLeavesAnotherItsPart) {
  load("alpha");
  const auto ask = [&](const std::string& who) {
    api::Work work;
    work.who.id = who;
    return house.chat("alpha", std::move(work));
  };
  for (int i = 0; i < 12; i++) ask("app:many");
  EXPECT_EQ(asked("alpha").size(), 1u + 8u);
  for (int i = 0; i < 6; i++) ask("app:few");
  EXPECT_EQ(asked("alpha").size(), 1u + 8u + 4u)
      << "half of them; the worker knows whose they were";
  EXPECT_EQ(house.core->waiting(), 4u + 2u);
}

TEST_F(CoreTest, AnUnknownPriorityIsRefused) {
  api::Work work;
  work.lane = "urgent";
  EXPECT_EQ(house.chat("alpha", std::move(work))->error(),
            "priority is 'urgent'; choose interactive, agent or background");
}

TEST_F(CoreTest, AFullQueueIsBusy) {
  std::vector<std::shared_ptr<Heard>> all;
  for (size_t i = 0; i < sched::Queue::kWaitingPerModelMax; i++) all.push_back(house.chat("alpha"));
  auto refused = house.chat("alpha");
  ASSERT_TRUE(refused->ended);
  EXPECT_EQ(refused->ended->result.error().code, Code::Busy);
  EXPECT_FALSE(all.back()->ended);
}

// The value of a sample of GET /metrics; -1: there is none.
double sample(House& house, const std::string& name) {
  const std::string text = "\n" + (*house.ask("metrics"))["text"].get<std::string>();
  const size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

TEST_F(CoreTest, TokensAreCountedWhileTheyAreComputed) {
  load("alpha");
  api::Work work;
  work.lane = "agent";
  auto heard = house.chat("alpha", std::move(work));
  const uint64_t id = asked("alpha").back();
  const auto count = [&](const char* kind) {
    return sample(house,
                  cat("lares_tokens_total{model=\"alpha\",lane=\"agent\",kind=\"", kind, "\"}"));
  };
  FakeWorker& worker = *house.worker("alpha");
  EXPECT_EQ(count("prompt"), 0);
  worker.answer(wire::Started{100, 40}, id);
  EXPECT_EQ(count("prompt_reused"), 40);
  EXPECT_EQ(count("prompt"), 40);
  worker.answer(wire::Progress{"prefill", 0.7}, id);
  EXPECT_EQ(count("prompt"), 70);
  worker.answer(wire::Progress{"prefill", 0.5}, id);
  EXPECT_EQ(count("prompt"), 70) << "it never goes back";
  EXPECT_EQ(count("completion"), 0);
  worker.answer(wire::Delta{"a", nullptr, 1}, id);
  EXPECT_EQ(count("prompt"), 100);
  EXPECT_EQ(count("completion"), 1);
  worker.answer(wire::Delta{"b", nullptr, 2}, id);
  EXPECT_EQ(count("completion"), 3);
  wire::Done done;
  done.reason = "stop";
  done.prompt_tokens = 100;
  done.reused_tokens = 40;
  done.completion_tokens = 5;  // two of them had no text
  worker.answer(done, id);
  house.settle();
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(count("completion"), 5);
  EXPECT_EQ(count("prompt"), 100);
  EXPECT_EQ(count("prompt_reused"), 40);
}

TEST_F(CoreTest, WhatWasCancelledCountsAsFarAsItWasComputed) {
  load("alpha");
  const std::string prompt =
      R"(lares_tokens_total{model="alpha",lane="interactive",kind="prompt"})";
  const double before = sample(house, prompt);
  auto heard = house.chat("alpha");
  const uint64_t id = asked("alpha").back();
  house.worker("alpha")->answer(wire::Started{100, 0}, id);
  house.worker("alpha")->answer(wire::Progress{"prefill", 0.25}, id);
  house.settle();
  house.core->cancel(house.last_work);
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(sample(house, prompt) - before, 25);
}

TEST_F(CoreTest, MetricsSayWhoComputesAndWhoHasWaitedForHowLong) {
  load("alpha");
  const auto ask = [&](const char* lane) {
    api::Work work;
    work.lane = lane;
    house.chat("alpha", std::move(work));
  };
  for (int i = 0; i < 8; i++) ask("agent");
  const auto ids = asked("alpha");  // of which the first is load()'s
  for (size_t i = 1; i < 8; i++) house.worker("alpha")->answer(wire::Started{10, 0}, ids.at(i));
  ask("background");
  house.advance(milliseconds(1500));
  ask("background");
  house.advance(milliseconds(500));
  const auto of = [&](const char* family, const char* lane) {
    return sample(house, cat(family, "{model=\"alpha\",lane=\"", lane, "\"}"));
  };
  EXPECT_EQ(of("lares_requests_computing", "agent"), 7);
  EXPECT_EQ(of("lares_requests_waiting", "agent"), 1) << "in its worker";
  EXPECT_EQ(of("lares_requests_computing", "background"), 0);
  EXPECT_EQ(of("lares_requests_waiting", "background"), 2);
  EXPECT_EQ(of("lares_waiting_seconds", "background"), 2);
  EXPECT_EQ(of("lares_waiting_seconds", "agent"), 2);
  const Json model = (*house.ask("ps"))[0];
  EXPECT_EQ(model["lane"], "agent");
  EXPECT_EQ(model["requests"], 7);
  EXPECT_EQ(model["waiting"], 3);
  EXPECT_EQ(model["waiting_ms"], 2000);
}

TEST_F(CoreTest, BackgroundsShareOfThePlacesIsTheSettings) {
  // how many of persons' requests are computed before the background request that waits
  const auto before_background = [](double share) {
    House other({{"alpha", MiB(300)}}, MiB(600), /*preload=*/false, /*sequences=*/1, {},
                House::Engine::Chosen, {}, share);
    const auto ask = [&](const char* lane) {
      api::Work work;
      work.lane = lane;
      return other.chat("alpha", std::move(work));
    };
    ask("interactive");
    other.load("alpha");
    ask("background");
    for (int i = 0; i < 60; i++) ask("interactive");
    // one computes at a time: each is answered when it is asked for
    for (size_t asked = 0; asked < 60; asked++) {
      const auto frames = House::frames(*other.worker("alpha"), Type::Generate);
      if (asked >= frames.size()) break;
      if (wire::from_frame<wire::Generate>(frames[asked])->lane == Lane::Background) return asked;
      wire::Done done;
      done.reason = "stop";
      other.worker("alpha")->answer(done, frames[asked].id);
      other.settle();
    }
    return size_t{0};
  };
  EXPECT_EQ(before_background(0.05), 20u) << "the first came before it";
  EXPECT_EQ(before_background(0.25), 4u);
}

TEST_F(CoreTest, CancellingStopsTheWorkerAndFreesTheSlotWhenItHasStopped) {
  load("alpha");
  auto heard = house.chat("alpha");
  const uint64_t id = asked("alpha").back();
  say("alpha", id, "once");
  house.core->cancel(house.last_work);
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Cancelled);
  EXPECT_EQ(asked("alpha", Type::Cancel), std::vector<uint64_t>{id});
  say("alpha", id, "still talking");
  EXPECT_EQ(heard->texts, std::vector<std::string>{"once"});
  EXPECT_EQ((*house.ask("ps"))[0]["requests"], 1);
  house.worker("alpha")->answer(wire::Failed{{Code::Cancelled, "cancelled"}}, id);
  house.settle();
  EXPECT_EQ((*house.ask("ps"))[0]["requests"], 0);
}

TEST_F(CoreTest, CancellingWhatWaitsOrHasEndedIsQuiet) {
  auto heard = house.chat("alpha");
  const api::WorkId work = house.last_work;
  house.core->cancel(work);
  house.settle();
  ASSERT_TRUE(heard->ended);
  house.core->cancel(work);
  house.core->cancel(999);
  house.settle();
  EXPECT_FALSE(heard->twice);
  EXPECT_EQ(house.core->waiting(), 0u);
}

TEST_F(CoreTest, ADeadlineEndsTheWorkWhereverItIs) {
  api::Work work;
  work.deadline_ms = 500;
  auto waiting = house.chat("alpha", work);
  house.advance(milliseconds(499));
  EXPECT_FALSE(waiting->ended);
  house.advance(milliseconds(1));
  ASSERT_TRUE(waiting->ended);
  EXPECT_EQ(waiting->ended->result.error().code, Code::Timeout);
  house.load("alpha");
  auto computing = house.chat("alpha", work);
  house.advance(milliseconds(500));
  ASSERT_TRUE(computing->ended);
  EXPECT_EQ(asked("alpha", Type::Cancel).size(), 1u);
}

TEST_F(CoreTest, AReceiptSaysHowLongTheModelMayThink) {
  const auto thinking_lines = [&](int64_t thinking_max) {
    auto heard = house.chat("alpha");
    const uint64_t id = asked("alpha").back();
    house.worker("alpha")->answer(wire::Started{10, 4, 77, thinking_max}, id);
    complete("alpha", id);
    std::vector<std::string> lines = heard->ended->receipt.why;
    std::erase_if(lines, [](const std::string& line) { return !line.starts_with("thinking"); });
    return lines;
  };
  load("alpha");
  EXPECT_EQ(thinking_lines(1'234), std::vector<std::string>{"thinking: at most 1,234 tokens"});
  EXPECT_EQ(thinking_lines(wire::kThinkFreely), std::vector<std::string>{});
}

TEST_F(CoreTest, AChatModelMakesNoEmbeddingsAndAnEmbedderDoesNotChat) {
  auto one = house.chat("alpha", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a"}}}});
  EXPECT_EQ(one->error(),
            "model 'alpha' is a chat model without pooling and makes no embeddings; name an "
            "embedding model; 'vectors' is one");
  auto two = house.chat("vectors");
  EXPECT_EQ(
      two->error(),
      "model 'vectors' makes embeddings and does not chat; name a chat model; 'alpha' is one");
  EXPECT_EQ(two->ended->result.error().code, Code::Invalid);
}

TEST_F(CoreTest, ARerankerScoresAndDoesNothingElse) {
  House ranks{{{"alpha", MiB(300)}, {"ranker", MiB(100), false, true}}, MiB(600)};
  const auto rank = [&](const std::string& model) {
    return ranks.chat(model, {.kind = api::Work::Kind::Rerank,
                              .body = {{"query", "q"}, {"documents", {"a", "b"}}}});
  };
  auto heard = rank("");
  ranks.load("ranker");
  const auto frames = ranks.worker("ranker")->sent;
  const auto asked = std::find_if(frames.begin(), frames.end(), [](const wire::Frame& frame) {
    return frame.type == static_cast<uint8_t>(Type::Rank);
  });
  ASSERT_NE(asked, frames.end());
  const auto message = wire::from_frame<wire::Rank>(*asked);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->query, "q");
  EXPECT_EQ(message->documents, Json::array({"a", "b"}));
  wire::Done done;
  done.reason = "ranked";
  done.vectors = std::string(2 * sizeof(float), '\0');
  done.input_tokens = {2, 3};
  ranks.worker("ranker")->answer(done, asked->id);
  ranks.settle();
  ASSERT_TRUE(heard->ended && heard->ended->result) << heard->error();
  EXPECT_EQ(heard->vector_length, 1u);
  EXPECT_EQ(heard->ended->receipt.outcome, "ranked");

  EXPECT_EQ(rank("alpha")->error(),
            "model 'alpha' is a chat model without pooling and does not rank; name a reranker; "
            "'ranker' is one");
  EXPECT_EQ(ranks.chat("ranker")->error(),
            "model 'ranker' ranks documents and does not chat; name a chat model; 'alpha' is one");

  heard = rank("ranker");  // four floats for two documents are no scores
  done.vectors = std::string(4 * sizeof(float), '\0');
  ranks.worker("ranker")->answer(done, ranks.worker("ranker")->sent.back().id);
  ranks.settle();
  EXPECT_EQ(heard->ended->result.error().code, Code::Corrupt);
}

api::Work with_picture() {
  return {.body = {{"messages",
                    Json::array(
                        {{{"role", "user"},
                          {"content", Json::array({{{"type", "image"}, {"data", "Zg=="}}})}}})}}};
}

TEST_F(CoreTest, PicturesAreForModelsWithAProjector) {
  House both{{{"alpha", MiB(300)}, {"beta", MiB(200)}}, MiB(900)};
  ASSERT_TRUE(write_file(both.folder.path() / "mmproj-beta.gguf", "GGUF????"));
  ASSERT_TRUE(both.ask("models.list"));  // looks at the folder again
  auto blind = both.chat("alpha", with_picture());
  ASSERT_TRUE(blind->ended);
  EXPECT_EQ(blind->ended->result.error().code, Code::Invalid);
  EXPECT_EQ(blind->ended->result.error().param, "messages");
  EXPECT_NE(blind->error().find("model 'alpha' takes text only"), std::string::npos)
      << blind->error();
  auto seeing = both.chat("beta", with_picture());
  both.load("beta");
  EXPECT_FALSE(seeing->ended) << seeing->error();
  EXPECT_EQ(House::frames(*both.worker("beta"), Type::Generate).size(), 1U);
}

TEST_F(CoreTest, WithoutAnEmbedderItSaysHowToGetTheDefaultOne) {
  House chats{{{"alpha", MiB(300)}}, MiB(600)};
  api::Work work;
  work.kind = api::Work::Kind::Embedding;
  work.body = {{"inputs", {"text"}}};
  auto heard = chats.chat("", std::move(work));
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->error(),
            "there is no embedding model yet; `lares models pull hf:OWNER/REPOSITORY` gets one of "
            "Hugging Face, `lares models add FILE` takes a GGUF file, "
            "`'/clone/lares' models embedder` fetches a small one");
}

TEST_F(CoreTest, ThoughtsAreStoppedByWhoseAnswerItIs) {
  load("alpha");
  api::Work work;
  work.who.id = "app:mine";
  auto heard = house.chat("alpha", work);
  say("alpha", asked("alpha").back(), "");
  ASSERT_FALSE(heard->id.empty());
  const std::string id = "chatcmpl-" + heard->id.substr(2);
  const auto stop = [&](const std::string& of, const char* who) {
    return house.ask("answers.stop_thinking", {{"id", of}, {"who", who}});
  };
  EXPECT_EQ(stop(id, "app:other").error().code, Code::NotFound);
  EXPECT_EQ(stop("", "app:mine").error().code, Code::NotFound);
  EXPECT_TRUE(asked("alpha", Type::StopThinking).empty());
  EXPECT_TRUE(stop(id, "app:mine"));
  EXPECT_TRUE(stop(heard->id, "app:mine"));
  EXPECT_EQ(asked("alpha", Type::StopThinking).size(), 2u);
  EXPECT_EQ(asked("alpha", Type::StopThinking)[0], asked("alpha").back());
}

TEST_F(CoreTest, AnAnswerThatWasCutShortCountsWhatItHadWritten) {
  load("alpha");
  api::Work work;
  work.choices = 2;
  auto heard = house.chat("alpha", work);
  std::vector<uint64_t> ids = asked("alpha");
  ids.erase(ids.begin());  // of load()
  ASSERT_EQ(ids.size(), 2u);
  FakeWorker& worker = *house.worker("alpha");
  for (const uint64_t id : ids) worker.answer(wire::Started{5, 0}, id);
  worker.answer(wire::Delta{"once", nullptr, 1}, ids[0]);
  worker.answer(wire::Delta{" upon a", nullptr, 2}, ids[0]);
  worker.answer(wire::Delta{"twice", nullptr, 4}, ids[1]);
  wire::Done done;
  done.reason = "stop";
  done.prompt_tokens = 5;
  done.completion_tokens = 6;  // with one that has no text; this is what counts in the end
  worker.answer(done, ids[1]);
  house.settle();
  house.core->cancel(house.last_work);
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->receipt.completion_tokens, 9u);
  EXPECT_EQ(heard->ended->completion_tokens, 9u);
}

TEST_F(CoreTest, ShuttingDownEndsEverythingOnce) {
  load("alpha");
  auto computing = house.chat("alpha");
  auto waiting = house.chat("beta");
  bool done = false;
  house.core->shut_down([&] { done = true; });
  house.settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(computing->ended->result.error().code, Code::Offline);
  EXPECT_EQ(waiting->ended->result.error().code, Code::Offline);
  auto late = house.chat("alpha");
  EXPECT_EQ(late->ended->result.error().code, Code::Offline);
  EXPECT_TRUE(house.workers.empty());
  EXPECT_FALSE(computing->twice || waiting->twice);
}

TEST_F(CoreTest, QuestionsAreAnswered) {
  load("alpha");
  EXPECT_EQ((*house.ask("ps"))[0]["state"], "ready");
  EXPECT_EQ((*house.ask("status"))["resident"], 1);
  EXPECT_EQ((*house.ask("doctor"))["models"], 3);
  EXPECT_TRUE(house.ask("models.find"));
  EXPECT_EQ(house.ask("models.shwo").error().code, Code::NotFound);
  ASSERT_TRUE(house.ask("stop"));
  EXPECT_TRUE(house.asked_to_stop);
}

TEST_F(CoreTest, NobodyEndsTwiceWhenTheLoopIsFull) {
  FakeClock clock;
  Loop narrow(clock, 2);
  ASSERT_TRUE(narrow.post([] {}));
  ASSERT_TRUE(narrow.post([] {}));
  Log log = Log::silent();
  testing::Folder folder;
  Background slow;
  auto models = inventory::Models::open(folder.path(), log);
  auto receipts = route::Receipts::open(folder.path(), [](Task) { return true; }, log);
  Core core(narrow, log, *std::move(models), *std::move(receipts), slow, {},
            {{MiB(1), MiB(1), {}, 0}, "", false}, {});
  auto heard = std::make_shared<Heard>();
  core.submit({}, heard);
  while (narrow.run_one()) {
  }
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Busy);
}

}  // namespace
}  // namespace lares::app
