#include "app/core.h"

#include <gtest/gtest.h>

#include "app/testing/fake_house.h"
#include "base/text.h"

namespace lares::app {
namespace {

using testing::FakeWorker;
using testing::Heard;
using testing::House;
using wire::Type;

// Two models of 300 MiB and an embedder in a budget for two.
struct CoreTest : ::testing::Test {
  House house{{{"alpha", MiB(300)}, {"beta", MiB(300)}, {"vectors", MiB(100), true}}, MiB(600)};

  // The ids of the frames that ask for an answer.
  std::vector<uint64_t> asked(const std::string& model, Type type = Type::Generate) {
    std::vector<uint64_t> ids;
    for (const wire::Frame& frame : House::frames(*house.worker(model), type))
      ids.push_back(frame.id);
    return ids;
  }
  void say(const std::string& model, uint64_t id, const std::string& text) {
    house.worker(model)->answer(wire::Started{10, 4}, id);
    house.worker(model)->answer(wire::Delta{text, nullptr, 1}, id);
    house.settle();
  }
  // A piece of an answer, with the ids that stand behind it.
  static wire::Delta piece(const std::string& text, std::vector<Tokens> ids) {
    wire::Delta delta{text, nullptr, static_cast<Tokens>(ids.size())};
    delta.ids = std::move(ids);
    return delta;
  }
  void die(const std::string& model, Error error = {Code::WorkerDied, "signal 9"}) {
    house.worker(model)->die(std::move(error));
    house.settle();
  }
  wire::Resume resumed(const std::string& model, size_t which = 0) {
    const auto frames = House::frames(*house.worker(model), Type::Resume);
    EXPECT_GT(frames.size(), which);
    return *wire::from_frame<wire::Resume>(frames.at(which));
  }
  void complete(const std::string& model, uint64_t id, const std::string& text = "yes") {
    say(model, id, text);
    wire::Done done;
    done.reason = "stop";
    done.prompt_tokens = 10;
    done.completion_tokens = 3;
    done.reused_tokens = 4;
    done.prefill_ms = 6;
    done.decode_ms = 30;
    done.cpu_ms = 70.4;
    house.worker(model)->answer(done, id);
    house.settle();
  }
  void load(const std::string& model) {
    auto first = house.chat(model);
    house.load(model);
    complete(model, asked(model).back());
    ASSERT_TRUE(first->ended && first->ended->result);
  }
};

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

TEST_F(CoreTest, AWorkerThatSaysImpossibleTimesIsEnded) {
  load("alpha");
  auto heard = house.chat("alpha");
  wire::Done done;
  done.reason = "stop";
  done.cpu_ms = 1e12;
  house.worker("alpha")->answer(done, asked("alpha").back());
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Corrupt);
  EXPECT_NE(heard->error().find("of CPU time"), std::string::npos) << heard->error();
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
  EXPECT_EQ(asked("alpha").size(), 1u + 8u + 4u) << "half of them; the worker knows whose they were";
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
  ask("background");
  house.advance(milliseconds(1500));
  ask("background");
  house.advance(milliseconds(500));
  const auto of = [&](const char* family, const char* lane) {
    return sample(house, cat(family, "{model=\"alpha\",lane=\"", lane, "\"}"));
  };
  EXPECT_EQ(of("lares_requests_computing", "agent"), 8);
  EXPECT_EQ(of("lares_requests_computing", "background"), 0);
  EXPECT_EQ(of("lares_requests_waiting", "background"), 2);
  EXPECT_EQ(of("lares_waiting_seconds", "background"), 2);
  EXPECT_EQ(of("lares_waiting_seconds", "agent"), 0);
  const Json model = (*house.ask("ps"))[0];
  EXPECT_EQ(model["lane"], "agent");
  EXPECT_EQ(model["requests"], 8);
  EXPECT_EQ(model["waiting"], 2);
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

TEST_F(CoreTest, AWorkerThatIgnoresCancellingIsEnded) {
  load("alpha");
  auto cancelled = house.chat("alpha");
  house.core->cancel(house.last_work);
  auto other = house.chat("alpha");
  house.advance(Core::kCancelMax);
  EXPECT_FALSE(other->ended) << "it can do nothing for that";
  house.load("alpha");
  EXPECT_EQ(asked("alpha").size(), 1u);
  complete("alpha", asked("alpha").back());
  EXPECT_TRUE(other->ended && other->ended->result);
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

TEST_F(CoreTest, AnAnswerGoesOnWithTheNextWorkerWhereItWas) {
  load("alpha");
  load("beta");
  auto heard = house.chat("alpha");
  auto elsewhere = house.chat("beta");
  const uint64_t id = asked("alpha").back();
  const auto frame = House::frames(*house.worker("alpha"), Type::Generate).back();
  house.worker("alpha")->answer(wire::Started{10, 4, 77}, id);
  house.worker("alpha")->answer(piece("once", {5, 6}), id);
  house.worker("alpha")->answer(piece(" upon", {7}), id);
  wire::Delta held = piece(" a", {8});
  held.last = true;
  house.worker("alpha")->answer(held, id);
  die("alpha");
  EXPECT_FALSE(heard->ended || elsewhere->ended);
  EXPECT_EQ(heard->texts, std::vector<std::string>{"once upon"}) << "the end waits for its Done";

  house.load("alpha");
  EXPECT_TRUE(asked("alpha").empty());
  const wire::Resume resume = resumed("alpha");
  EXPECT_EQ(resume.generate, frame.payload);
  EXPECT_EQ(resume.chance, 77u);
  EXPECT_EQ(resume.ids, std::string("\x05\0\0\0\x06\0\0\x80\x07\0\0\x80", 12));
  const uint64_t again = asked("alpha", Type::Resume)[0];
  house.worker("alpha")->answer(wire::Started{10, 0, 77}, again);
  house.worker("alpha")->answer(piece(" a", {8}), again);
  held = piece(" time", {9});
  held.last = true;
  house.worker("alpha")->answer(held, again);
  wire::Done done;
  done.reason = "stop";
  done.prompt_tokens = 10;
  done.completion_tokens = 5;
  house.worker("alpha")->answer(done, again);
  house.settle();
  ASSERT_TRUE(heard->ended && heard->ended->result) << heard->error();
  EXPECT_EQ(heard->texts, std::vector<std::string>{"once upon a time"});
  EXPECT_EQ(heard->starts, 1);
  EXPECT_EQ(heard->ended->completion_tokens, 5u);
  const auto& why = heard->ended->receipt.why;
  EXPECT_NE(std::find(why.begin(), why.end(),
                      "worker: it died, and the answer goes on with the next one after 3 tokens"),
            why.end());
  EXPECT_FALSE(elsewhere->ended);
}

TEST_F(CoreTest, WhatHadSaidNothingYetIsAskedAnew) {
  load("alpha");
  auto heard = house.chat("alpha");
  const auto frame = House::frames(*house.worker("alpha"), Type::Generate).back();
  house.worker("alpha")->answer(wire::Started{10, 4, 77}, frame.id);
  die("alpha", {Code::Timeout, "it stood still"});
  auto vectors = std::make_shared<Heard>();
  api::Work work;
  work.kind = api::Work::Kind::Embedding;
  work.model = "vectors";
  work.body = {{"inputs", {"a"}}};
  house.core->submit(std::move(work), vectors);
  house.load("alpha");
  EXPECT_EQ(House::frames(*house.worker("alpha"), Type::Generate).back().payload, frame.payload);
  complete("alpha", asked("alpha").back());
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->starts, 1);

  house.load("vectors");
  ASSERT_EQ(asked("vectors", Type::Embed).size(), 1u);
  die("vectors");
  house.load("vectors");
  wire::Done done;
  done.reason = "embedded";
  done.vectors = std::string(16, 'v');
  done.input_tokens = {1};
  house.worker("vectors")->answer(done, asked("vectors", Type::Embed).at(0));
  house.settle();
  EXPECT_TRUE(vectors->ended && vectors->ended->result);
}

TEST_F(CoreTest, OfSeveralAnswersThoseThatAreNotDoneGoOn) {
  load("alpha");
  api::Work work;
  work.choices = 3;
  work.body = {{"messages", Json::array()}, {"seed", 7}};
  auto heard = house.chat("alpha", work);
  std::vector<uint64_t> ids = asked("alpha");
  ids.erase(ids.begin());  // of load()
  for (const uint64_t id : ids) house.worker("alpha")->answer(wire::Started{10, 4, 70}, id);
  house.worker("alpha")->answer(piece("two", {2}), ids[1]);
  complete("alpha", ids[0], "one");
  die("alpha");
  house.load("alpha");
  ASSERT_EQ(asked("alpha").size(), 1u);
  ASSERT_EQ(asked("alpha", Type::Resume).size(), 1u);
  const auto third =
      wire::from_frame<wire::Generate>(House::frames(*house.worker("alpha"), Type::Generate)[0]);
  EXPECT_EQ(third->body["seed"], 9);
  house.worker("alpha")->answer(piece("!", {3}), asked("alpha", Type::Resume)[0]);
  wire::Done done;
  done.reason = "stop";
  done.completion_tokens = 2;
  house.worker("alpha")->answer(done, asked("alpha", Type::Resume)[0]);
  complete("alpha", asked("alpha")[0], "three");
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->texts, (std::vector<std::string>{"one", "two!", "three"}));
  EXPECT_EQ(heard->choices_done, 3);
  EXPECT_EQ(heard->ended->completion_tokens, 3u + 2u + 3u);
}

TEST_F(CoreTest, ARequestThatItsWorkersDieOfIsGivenUpAndSaysSo) {
  load("alpha");
  auto heard = house.chat("alpha");
  for (unsigned i = 0; i <= Core::kResumesMax; i++) {
    ASSERT_FALSE(heard->ended);
    if (i > 0) house.load("alpha");
    die("alpha", {Code::WorkerDied, "signal 11; its last lines: " + std::string(5000, 'x')});
    house.advance(Residents::kBackoff);
  }
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::WorkerDied);
  EXPECT_TRUE(heard->error().starts_with(
      "model 'alpha': 3 of its workers died one after another while they computed this request, "
      "which is not tried again; change it, or choose another model; the last one: signal 11"))
      << heard->error();
  EXPECT_LE(heard->error().size(), kWorkerErrorMax + 200);
  auto next = house.chat("alpha");  // one bad request makes no bad model
  house.load("alpha");
  complete("alpha", asked("alpha").back());
  EXPECT_TRUE(next->ended && next->ended->result);
}

TEST_F(CoreTest, WhoHadTheSameBadLuckGoesOnWithoutTheOneThatItCameFrom) {
  load("alpha");
  auto bad = house.chat("alpha");
  auto good = house.chat("alpha");
  for (unsigned i = 0; i < Core::kResumesMax; i++) {
    if (i > 0) house.load("alpha");
    die("alpha");
    house.advance(Residents::kBackoff);
  }
  house.load("alpha");
  EXPECT_EQ(asked("alpha").size(), 1u) << "each alone";
  auto fresh = house.chat("alpha");
  EXPECT_EQ(asked("alpha").size(), 2u) << "others are not kept waiting";
  die("alpha");
  EXPECT_TRUE(bad->ended);
  EXPECT_FALSE(good->ended || fresh->ended);
  house.advance(Residents::kBackoff);
  house.load("alpha");
  ASSERT_EQ(asked("alpha").size(), 2u);
  for (const uint64_t id : asked("alpha")) complete("alpha", id);
  EXPECT_TRUE(good->ended && good->ended->result);
  EXPECT_TRUE(fresh->ended && fresh->ended->result);
}

TEST_F(CoreTest, WhatWaitsToGoOnEndsLikeAnyOther) {
  load("alpha");
  auto cancelled = house.chat("alpha");
  const api::WorkId work = house.last_work;
  api::Work in_time;
  in_time.deadline_ms = 500;
  auto late = house.chat("alpha", in_time);
  die("alpha");
  house.core->cancel(work);
  house.settle();
  EXPECT_EQ(cancelled->ended->result.error().code, Code::Cancelled);
  house.advance(milliseconds(500));
  EXPECT_EQ(late->ended->result.error().code, Code::Timeout) << late->error();
  EXPECT_EQ(house.core->waiting(), 0u);
  EXPECT_FALSE(cancelled->twice || late->twice);
}

TEST_F(CoreTest, AWorkerThatDiesWhileItLoadsCostsThoseThatWaitToGoOnOneOfTheirTries) {
  load("alpha");
  auto heard = house.chat("alpha");
  die("alpha");
  auto fresh = house.chat("alpha");
  die("alpha");
  EXPECT_TRUE(fresh->ended);
  EXPECT_FALSE(heard->ended);
  house.advance(Residents::kBackoff);
  die("alpha");
  ASSERT_TRUE(heard->ended);
  EXPECT_NE(heard->error().find("3 of its workers died"), std::string::npos) << heard->error();
}

TEST_F(CoreTest, AnAnswerOfWhoseTokensNothingIsKnownEndsWithItsWorker) {
  load("alpha");
  auto heard = house.chat("alpha");
  say("alpha", asked("alpha").back(), "once");
  die("alpha");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->error(), "signal 9");
}

TEST_F(CoreTest, WhoWaitsBehindADeadWorkerIsServedByTheNext) {
  load("alpha");
  std::vector<std::shared_ptr<Heard>> all;
  for (int i = 0; i < 9; i++) all.push_back(house.chat("alpha"));
  house.worker("alpha")->die({Code::WorkerDied, "gone"});
  house.settle();
  house.load("alpha");
  EXPECT_EQ(asked("alpha").size(), 8u) << "who was in it goes first";
  for (size_t i = 0; i < 9; i++) complete("alpha", asked("alpha").at(i));
  for (const auto& one : all) EXPECT_TRUE(one->ended && one->ended->result);
}

TEST_F(CoreTest, AModelWhoseWorkerKeepsDyingIsQuarantinedForAWhile) {
  for (size_t i = 0; i < Residents::kDeathsMax; i++) {
    auto heard = house.chat("alpha");
    house.advance(Residents::kBackoff);
    ASSERT_TRUE(house.worker("alpha")) << i;
    house.worker("alpha")->die({Code::WorkerDied, "signal 11"});
    house.settle();
    ASSERT_TRUE(heard->ended);
    EXPECT_EQ(heard->error(), "signal 11");
  }
  auto refused = house.chat("alpha");
  ASSERT_TRUE(refused->ended);
  EXPECT_EQ(refused->ended->result.error().code, Code::WorkerDied);
  for (const char* part : {"for 600 s; the last time: signal 11; ", "at once after `lares stop`; ",
                           "`lares models rm alpha`, which deletes that file"})
    EXPECT_NE(refused->error().find(part), std::string::npos) << refused->error();
  EXPECT_EQ((*house.ask("doctor"))["quarantined"], (Json{"alpha"}));
  EXPECT_EQ((*house.ask("models.show", {{"name", "alpha"}}))["state"], "quarantined");
  EXPECT_FALSE(house.chat("beta")->ended);  // others are not touched

  house.advance(Residents::kQuarantine);
  EXPECT_FALSE(house.chat("alpha")->ended);
  EXPECT_TRUE(house.worker("alpha"));
}

TEST_F(CoreTest, WhatComesWithLaresIsFetchedAnewAndNotRemoved) {
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

TEST_F(CoreTest, ASecondDeathIsFollowedByABreath) {
  load("alpha");
  for (int i = 0; i < 2; i++) {
    std::vector<std::shared_ptr<Heard>> all;
    for (int k = 0; k < 9; k++) all.push_back(house.chat("alpha"));
    if (i == 1) house.load("alpha");
    house.worker("alpha")->die({Code::WorkerDied, "gone"});
    house.settle();
  }
  EXPECT_FALSE(house.worker("alpha"));
  house.advance(Residents::kBackoff);
  EXPECT_TRUE(house.worker("alpha"));
}

TEST_F(CoreTest, AModelThatCannotBeLoadedSaysWhyToEveryoneWhoWaits) {
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

TEST_F(CoreTest, WithoutSeccompNoModelIsOpened) {
  auto heard = house.chat("alpha");
  house.worker("alpha")->hello({"landlock:7"});
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Unsupported);
  EXPECT_NE(heard->error().find("no seccomp sandbox"), std::string::npos);
}

TEST_F(CoreTest, AnIdleModelMakesRoomForAnother) {
  load("alpha");
  load("beta");
  auto heard =
      house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a", "b"}}}});
  EXPECT_FALSE(house.worker("alpha"));
  EXPECT_TRUE(house.worker("beta"));
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

TEST_F(CoreTest, VectorsThatMakeNoSenseAreRefused) {
  auto heard =
      house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a", "b"}}}});
  house.load("vectors");
  wire::Done done;
  done.reason = "embedded";
  done.vectors = std::string(7, '\0');
  done.input_tokens = {2, 3};
  house.worker("vectors")->answer(done, asked("vectors", Type::Embed)[0]);
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Corrupt);
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
  const Bytes before = house.core->residency().used();
  complete();
  for (int i = 0; i < 2; i++) {  // once, however often it is used
    auto heard = house.chat("alpha", with_adapters({"style"}));
    EXPECT_EQ(house.core->residency().used().n, before.n + 8);
    complete();
  }
  auto both = house.chat("alpha", with_adapters({"style", "voice"}));
  EXPECT_EQ(house.core->residency().used().n, before.n + 16);
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
            "there is no embedding model yet; `lares models search` names some for this machine, "
            "`lares models pull NAME` gets one, `lares models add FILE` takes a file, "
            "`'/clone/lares' models embedder` fetches a small one");
}

TEST_F(CoreTest, AModelInUseIsNeverEvictedAndTheOtherWaits) {
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
  EXPECT_FALSE(house.worker("beta"));
  EXPECT_TRUE(house.worker("vectors"));
}

TEST_F(CoreTest, WhoWaitsForRoomIsNotShutOutByAStreamOfOthers) {
  load("alpha");
  load("beta");
  auto a = house.chat("alpha");
  auto b = house.chat("beta");
  auto v = house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a"}}}});
  house.advance(Core::kDrainAfter);
  auto more = house.chat("alpha");  // begins not: alpha must come to rest
  const uint64_t running = asked("alpha").back();
  complete("alpha", running);
  EXPECT_FALSE(house.worker("alpha"));
  EXPECT_TRUE(house.worker("vectors"));
  EXPECT_FALSE(more->ended);
}

// Two models that people ask take each other's room again and again.
TEST_F(CoreTest, BackgroundWorkForAThirdModelHasItsTurnBesideTwoThatChangePlaces) {
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
    small.load(other);
    here = other;
  }
  EXPECT_TRUE(small.worker("third"));
  EXPECT_GE(small.clock.now(), asked + Core::kRoomTurnAfter);
  EXPECT_FALSE(work->ended);
}

TEST_F(CoreTest, WaitingForRoomEndsWithWhoHoldsIt) {
  load("alpha");
  load("beta");
  auto a = house.chat("alpha");
  auto b = house.chat("beta");
  auto v = house.chat("vectors", {.kind = api::Work::Kind::Embedding, .body = {{"inputs", {"a"}}}});
  house.advance(Core::kDrainAfter);
  house.advance(Core::kRoomWaitMax - Core::kDrainAfter);
  ASSERT_TRUE(v->ended);
  EXPECT_EQ(v->error(),
            "loading 'vectors': needs 100 MiB, but 600 MiB of 600 MiB is held by answers in "
            "progress; retry when one finishes");
}

TEST_F(CoreTest, AModelThatCanNeverFitSaysWhatItNeeds) {
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

TEST_F(CoreTest, AModelThatTookMoreThanEstimatedIsLoadedAgainWithItsRealSize) {
  load("beta");
  auto heard = house.chat("alpha");
  house.worker("alpha")->hello();
  house.worker("alpha")->loaded(MiB(450));
  house.settle();
  EXPECT_FALSE(heard->ended);
  EXPECT_FALSE(house.worker("beta"));  // it has to go after all
  house.memory["alpha"] = MiB(450);
  house.load("alpha");
  complete("alpha", asked("alpha").back());
  EXPECT_TRUE(heard->ended && heard->ended->result) << heard->error();
}

TEST_F(CoreTest, AModelThatClaimsMoreThanTheBudgetIsRefused) {
  auto heard = house.chat("alpha");
  house.worker("alpha")->hello();
  house.worker("alpha")->loaded(Bytes{UINT64_MAX});
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::NoRoom);
}

TEST_F(CoreTest, AWorkerThatBreaksTheProtocolIsEnded) {
  load("alpha");
  auto heard = house.chat("alpha");
  auto other = house.chat("alpha");
  house.worker("alpha")->say(
      wire::Frame{static_cast<uint8_t>(Type::Delta), asked("alpha")[1], "junk"});
  house.settle();
  ASSERT_TRUE(heard->ended && other->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Corrupt);
  EXPECT_NE(heard->error().find("broke the protocol"), std::string::npos);
  EXPECT_FALSE(house.worker("alpha"));
}

TEST_F(CoreTest, AWorkersWordsAreMadeHarmless) {
  load("alpha");
  auto heard = house.chat("alpha");
  const uint64_t id = asked("alpha").back();
  house.worker("alpha")->answer(wire::Started{1, 0}, id);
  house.worker("alpha")->answer(wire::Failed{{Code::Denied, std::string(10'000, 'x')}}, id);
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code,
            Code::Io);  // it cannot say who is allowed what
  EXPECT_EQ(heard->error().size(), kWorkerErrorMax);
}

TEST_F(CoreTest, AnErrorOfTheEngineIsNoDeathOfItsWorker) {
  load("alpha");
  auto heard = house.chat("alpha");
  house.worker("alpha")->answer(wire::Failed{{Code::Io, "computing: the engine gave an error"}},
                                asked("alpha").back());
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Io);
  EXPECT_TRUE(house.worker("alpha"));
}

TEST_F(CoreTest, ACallOfAToolThatWasNotOfferedEndsTheWorker) {
  load("alpha");
  const auto call = [](const char* name) {
    return wire::Delta{
        "", nullptr, 1, "",
        Json::array({{{"index", 0}, {"id", "c"}, {"name", name}, {"arguments", "{}"}}})};
  };
  api::Work work;
  work.body = {{"messages", Json::array()}, {"tools", Json::array({{{"name", "f"}}})}};
  auto heard = house.chat("alpha", work);
  house.worker("alpha")->answer(wire::Delta{"", nullptr, 1, "hm"}, asked("alpha").back());
  house.worker("alpha")->answer(call("f"), asked("alpha").back());
  wire::Done done;
  done.reason = "tool_calls";
  done.completion_tokens = 3;
  done.reasoning_tokens = 7;  // more than there are
  house.worker("alpha")->answer(done, asked("alpha").back());
  house.settle();
  ASSERT_TRUE(heard->ended && heard->ended->result);
  EXPECT_EQ(heard->ended->receipt.outcome, "tool_calls");
  EXPECT_EQ(heard->ended->reasoning_tokens, 3u);

  heard = house.chat("alpha", work);
  house.worker("alpha")->answer(call("rm"), asked("alpha").back());
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Corrupt);
  EXPECT_NE(heard->error().find("a tool that was not offered"), std::string::npos)
      << heard->error();
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

TEST_F(CoreTest, ThoughtsThatWereStoppedStayStoppedInTheNextWorker) {
  load("alpha");
  api::Work work;
  work.who.id = "app:mine";
  auto heard = house.chat("alpha", work);
  house.worker("alpha")->answer(wire::Started{10, 4, 77}, asked("alpha").back());
  house.worker("alpha")->answer(piece("a", {1}), asked("alpha").back());
  house.settle();
  die("alpha");
  const auto stopped = house.ask("answers.stop_thinking", {{"id", heard->id}, {"who", "app:mine"}});
  EXPECT_TRUE(stopped) << stopped.error().message;
  house.load("alpha");
  EXPECT_EQ(asked("alpha", Type::StopThinking), asked("alpha", Type::Resume));
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

TEST_F(CoreTest, AWorkerThatDoesNotReadMakesTheRequestBusy) {
  load("alpha");
  house.worker("alpha")->deaf = true;
  auto heard = house.chat("alpha");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Busy);
}

TEST_F(CoreTest, TheDefaultModelIsLoadedBeforeAnyoneAsks) {
  House early{{{"alpha", MiB(300)}}, MiB(600), /*preload=*/true};
  early.settle();
  EXPECT_TRUE(early.worker("alpha"));
  early.load("alpha");
  auto heard = early.chat("");
  EXPECT_EQ(House::frames(*early.worker("alpha"), Type::Generate).size(), 1u);
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

TEST_F(CoreTest, AddingAModelLooksInsideFirst) {
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

TEST_F(CoreTest, AddingWhatIsNoModelSaysWhatItIs) {
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

TEST_F(CoreTest, FilesThatWerePutIntoTheFolderAreLookedIntoLater) {
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

TEST_F(CoreTest, RemovingAModelStopsItAndNeedsItsWholeName) {
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

TEST_F(CoreTest, AModelThatCannotBeRemovedGoesOnAnswering) {
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
