// Workers that die, hang or speak nonsense, and what becomes of the requests they had.
#include <gtest/gtest.h>

#include "app/testing/core_house.h"

namespace lares::app {
namespace {

using testing::Heard;
using testing::House;
using wire::Type;
using CoreDeaths = testing::CoreHouse;

TEST_F(CoreDeaths, AnAnswerGoesOnWithTheNextWorkerWhereItWas) {
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

TEST_F(CoreDeaths, WhatHadSaidNothingYetIsAskedAnew) {
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

TEST_F(CoreDeaths, OfSeveralAnswersThoseThatAreNotDoneGoOn) {
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

TEST_F(CoreDeaths, ARequestThatItsWorkersDieOfIsGivenUpAndSaysSo) {
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

TEST_F(CoreDeaths, WhoHadTheSameBadLuckGoesOnWithoutTheOneThatItCameFrom) {
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

TEST_F(CoreDeaths, WhatWaitsToGoOnEndsLikeAnyOther) {
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

TEST_F(CoreDeaths, AWorkerThatDiesWhileItLoadsCostsThoseThatWaitToGoOnOneOfTheirTries) {
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

TEST_F(CoreDeaths, AnAnswerOfWhoseTokensNothingIsKnownEndsWithItsWorker) {
  load("alpha");
  auto heard = house.chat("alpha");
  say("alpha", asked("alpha").back(), "once");
  die("alpha");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->error(), "signal 9");
}

TEST_F(CoreDeaths, WhoWaitsBehindADeadWorkerIsServedByTheNext) {
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

TEST_F(CoreDeaths, AModelWhoseWorkerKeepsDyingIsQuarantinedForAWhile) {
  for (size_t i = 0; i < Residents::kDeathsMax; i++) {
    auto heard = house.chat("alpha");
    house.advance(Residents::kBackoff);
    ASSERT_TRUE(house.worker("alpha")) << i;
    house.worker("alpha")->die({Code::WorkerDied, "signal 11"});
    house.settle();
    ASSERT_TRUE(heard->ended);
    EXPECT_EQ(heard->error(), "signal 11");
    if (i != 1) continue;
    EXPECT_EQ((*house.ask("doctor"))["died"]["alpha"],
              "its worker died 2 times since Lares began; the last time: signal 11");
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

TEST_F(CoreDeaths, ASecondDeathIsFollowedByABreath) {
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

TEST_F(CoreDeaths, ThoughtsThatWereStoppedStayStoppedInTheNextWorker) {
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

TEST_F(CoreDeaths, AnErrorOfTheEngineIsNoDeathOfItsWorker) {
  load("alpha");
  auto heard = house.chat("alpha");
  house.worker("alpha")->answer(wire::Failed{{Code::Io, "computing: the engine gave an error"}},
                                asked("alpha").back());
  house.settle();
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Io);
  EXPECT_TRUE(house.worker("alpha"));
}

TEST_F(CoreDeaths, AWorkerThatBreaksTheProtocolIsEnded) {
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

TEST_F(CoreDeaths, AWorkersWordsAreMadeHarmless) {
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

TEST_F(CoreDeaths, AWorkerThatSaysImpossibleTimesIsEnded) {
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

TEST_F(CoreDeaths, ACallOfAToolThatWasNotOfferedEndsTheWorker) {
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

TEST_F(CoreDeaths, VectorsThatMakeNoSenseAreRefused) {
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

TEST_F(CoreDeaths, AWorkerThatIgnoresCancellingIsEnded) {
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

TEST_F(CoreDeaths, AWorkerThatDoesNotReadMakesTheRequestBusy) {
  load("alpha");
  house.worker("alpha")->deaf = true;
  auto heard = house.chat("alpha");
  ASSERT_TRUE(heard->ended);
  EXPECT_EQ(heard->ended->result.error().code, Code::Busy);
}

}  // namespace
}  // namespace lares::app
