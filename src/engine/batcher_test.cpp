#include "engine/batcher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "base/text.h"
#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

using testing::Heard;
using testing::Talk;

wire::Load small(Tokens context, uint32_t sequences = 4, Tokens batch = 512) {
  wire::Load load;
  load.context = context;
  load.sequences = sequences;
  load.batch = batch;
  return load;
}

std::string letters(size_t count, char letter = 'x') { return std::string(count, letter); }

// --- answers
// -----------------------------------------------------------------------------------------

TEST(Batcher, AnswersAndEndsOnce) {
  Talk talk;
  talk.complete(1, "repeat: Hello, house!");
  ASSERT_TRUE(talk.run());
  const Heard& heard = talk[1];
  EXPECT_EQ(heard.text, "Hello, house!");
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.ends, 1);
  EXPECT_EQ(heard.done->reason, "stop");
  EXPECT_EQ(heard.done->prompt_tokens, heard.started->prompt_tokens);
  EXPECT_EQ(heard.done->completion_tokens, heard.tokens);
  EXPECT_FALSE(talk.batcher.has(1));
}

TEST(Batcher, SharesTheCpuTimeOfItsStepsOut) {
  const double before = process_cpu_ms();
  Talk talk;
  talk.complete(1, "count: 200");
  talk.complete(2, cat(letters(300), "\nrepeat: a"));
  ASSERT_TRUE(talk.run());
  const double all = process_cpu_ms() - before;
  ASSERT_TRUE(talk[1].done && talk[2].done);
  EXPECT_GT(talk[1].done->cpu_ms, 0);
  EXPECT_GT(talk[2].done->cpu_ms, 0);
  EXPECT_LE(talk[1].done->cpu_ms + talk[2].done->cpu_ms, all);
}

TEST(Batcher, AnswersSeveralAtOnce) {
  Talk talk({}, small(2048, 3));
  for (uint64_t id = 1; id <= 10; id++) talk.complete(id, cat("count: ", id * 7));
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 10; id++) {
    ASSERT_TRUE(talk[id].done) << talk[id].failed->message;
    EXPECT_TRUE(talk[id].text.ends_with(std::to_string(id * 7))) << talk[id].text;
  }
}

TEST(Batcher, SendsOnlyWholeCharactersThoughTokensAreBytes) {
  Talk talk;
  talk.complete(1, "repeat: \u20ac\u00e9\U0001F600!");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "\u20ac\u00e9\U0001F600!");
  for (const auto& piece : talk[1].pieces) {
    EXPECT_TRUE(is_utf8(piece));
    EXPECT_FALSE(piece.empty());
  }
}

TEST(Batcher, ReplacesWhatTheModelSaysThatIsNoUtf8) {
  Talk talk;
  talk.complete(1, "bytes: 41ff42e282");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text,
            "A\uFFFD"
            "B");
  EXPECT_EQ(talk[1].done->completion_tokens, 5U);
}

TEST(Batcher, StopsAtEachOfTheStopStringsAndNamesIt) {
  Talk talk;
  talk.complete(1, "repeat: one two three", {{"stop", {"nothing", " tw"}}});
  talk.complete(2, "repeat: one two three", {{"stop", "two three"}});
  talk.complete(3, "repeat: one two three", {{"stop", {"two four", "seven"}}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "one");
  EXPECT_EQ(talk[1].done->stop, " tw");
  EXPECT_EQ(talk[1].done->reason, "stop");
  EXPECT_EQ(talk[2].text, "one ");
  EXPECT_EQ(talk[3].text, "one two three");
  EXPECT_EQ(talk[3].done->stop, "");
}

TEST(Batcher, EndsAtMaxTokens) {
  Talk talk;
  talk.complete(1, "repeat: abcdef", {{"max_tokens", 3}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "abc");
  EXPECT_EQ(talk[1].done->reason, "length");
  EXPECT_EQ(talk[1].done->completion_tokens, 3U);
}

TEST(Batcher, MaxTokensZeroComputesThePromptAndSaysNothing) {
  Talk talk;
  talk.complete(1, "repeat: abc", {{"max_tokens", 0}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "");
  EXPECT_EQ(talk[1].done->reason, "length");
  EXPECT_EQ(talk[1].done->completion_tokens, 0U);
}

TEST(Batcher, AnAnswerThatHitsMaxTokensInACharacterEndsBeforeIt) {
  Talk talk;
  talk.complete(1, "repeat: a\u20ac", {{"max_tokens", 2}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "a");
}

TEST(Batcher, EchoesAPromptGivenAsTextAndAsTokens) {
  Talk talk;
  talk.complete(1, "repeat: ab", {{"echo", true}});
  talk.complete(2, {256, 'r', 'x'}, {{"echo", true}, {"max_tokens", 0}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "repeat: abab");
  EXPECT_EQ(talk[2].text, "rx");
}

TEST(Batcher, RefusesLogprobsOfAnEchoedPrompt) {
  Talk talk;
  talk.complete(1, "x", {{"echo", true}, {"logprobs", true}});
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Unsupported);
  EXPECT_EQ(talk[1].failed->param, "logprobs");
}

TEST(Batcher, GivesLogprobsOfEveryTokenWithTextBytesAndCandidates) {
  Talk talk;
  talk.complete(1, "repeat: a\u20ac", {{"logprobs", true}, {"top_logprobs", 3}});
  ASSERT_TRUE(talk.run());
  const Json& all = talk[1].logprobs;
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0]["token"], "a");
  EXPECT_EQ(all[0]["bytes"], Json::array({97}));
  EXPECT_EQ(all[1]["bytes"], Json::array({0xe2}));
  EXPECT_EQ(all[1]["token"], "\uFFFD");
  for (const Json& one : all) {
    ASSERT_EQ(one["top_logprobs"].size(), 3U);
    EXPECT_LE(one["logprob"].get<double>(), 0);
    EXPECT_GE(one["top_logprobs"][0]["logprob"], one["top_logprobs"][1]["logprob"]);
    EXPECT_EQ(one["top_logprobs"][0]["bytes"], one["bytes"]);
  }
  EXPECT_EQ(talk[1].tokens, 4U);
}

TEST(Batcher, LogprobsCoverTheWholeVocabularyBeforeTruncation) {
  Talk talk;
  talk.complete(1, "random: 1",
                {{"logprobs", true}, {"top_logprobs", 20}, {"top_k", 1}, {"max_tokens", 1}});
  ASSERT_TRUE(talk.run());
  double sum = 0;
  for (const Json& one : talk[1].logprobs[0]["top_logprobs"]) {
    sum += std::exp(one["logprob"].get<double>());
  }
  EXPECT_GT(sum, 0.5);  // twenty of twenty-six letters that are about as likely
  EXPECT_LT(sum, 0.95);
}

TEST(Batcher, LeavesTheTokensOfAStopStringOutOfLogprobs) {
  Talk talk;
  talk.complete(1, "repeat: abXYc", {{"stop", "XY"}, {"logprobs", true}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "ab");
  ASSERT_EQ(talk[1].logprobs.size(), 2U);
  EXPECT_EQ(talk[1].logprobs[1]["token"], "b");
}

TEST(Batcher, TheSameSeedSaysTheSameAndAnotherSomethingElse) {
  Talk talk;
  const auto say = [&](uint64_t id, Json more) {
    more["temperature"] = 1;
    talk.complete(id, "random: 40", std::move(more));
    EXPECT_TRUE(talk.run());
    return talk[id].text;
  };
  const std::string first = say(1, {{"seed", 5}});
  EXPECT_EQ(first.size(), 40U);
  EXPECT_EQ(say(2, {{"seed", 5}}), first);
  EXPECT_NE(say(3, {{"seed", 6}}), first);
  EXPECT_NE(say(4, Json::object()), say(5, Json::object()));
}

TEST(Batcher, TemperatureZeroIsTheSameForEverySeed) {
  Talk talk;
  for (uint64_t id = 1; id <= 3; id++) {
    talk.complete(id, "random: 20", {{"temperature", 0}, {"seed", id}});
  }
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, talk[2].text);
  EXPECT_EQ(talk[1].text, talk[3].text);
}

TEST(Batcher, ABiasForbidsAndForcesTokens) {
  Talk talk;
  Json only_b = {{std::to_string('b'), 100}};
  talk.complete(1, "random: 5", {{"logit_bias", only_b}, {"max_tokens", 5}});
  Json no_a = {{std::to_string('a'), -100}};
  talk.complete(2, "repeat: a", {{"logit_bias", no_a}, {"max_tokens", 1}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "bbbbb");
  EXPECT_NE(talk[2].text, "a");
}

TEST(Batcher, IgnoringTheEndGoesOnToTheLimit) {
  Talk talk;
  talk.complete(1, "repeat: a", {{"ignore_eos", true}, {"max_tokens", 9}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].done->completion_tokens, 9U);
  EXPECT_EQ(talk[1].done->reason, "length");
}

TEST(Batcher, LogitsThatAreNoNumbersAreAnErrorOfThisRequestOnly) {
  Talk talk(Options{{"nan-after", "30"}});
  talk.complete(1, "repeat: abcdefghijklmnopqrstuvwxyz");
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Corrupt);
}

TEST(Batcher, AnErrorOfTheEngineEndsItsRequests) {
  Talk talk(Options{{"break-after", "30"}});
  talk.complete(1, "repeat: abcdefghijklmnopqrstuvwxyz");
  talk.complete(2, "count: 50");
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Io);
  EXPECT_TRUE(talk[2].failed);
}

// --- chats
// -------------------------------------------------------------------------------------------

TEST(Batcher, RendersAChatWithTheModelsTemplate) {
  Talk talk;
  talk.chat(1, "repeat: yes");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "yes");
}

TEST(Batcher, AModelWithoutATemplateRefusesChatsAndSaysWhatToDo) {
  Talk talk(Options{{"no-template", ""}});
  talk.chat(1, "hello");
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Invalid);
  EXPECT_NE(talk[1].failed->message.find("/v1/completions"), std::string::npos);
}

TEST(Batcher, RefusesAnUnknownRole) {
  Talk talk;
  talk.batcher.generate(1, {"chat", {{"messages", {{{"role", "king"}, {"content", "x"}}}}}});
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->param, "messages");
  EXPECT_NE(talk[1].failed->message.find("king"), std::string::npos);
}

// --- the context
// -------------------------------------------------------------------------------------

TEST(Batcher, APromptLongerThanTheContextIsRefusedWithBothNumbers) {
  Talk talk({}, small(1024));
  talk.complete(1, letters(9119));
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::TooLong);
  EXPECT_EQ(talk[1].failed->param, "prompt");
  EXPECT_NE(talk[1].failed->message.find("1,024"), std::string::npos) << talk[1].failed->message;
  talk.complete(2, letters(1024));  // and a begin
  ASSERT_TRUE(talk[2].failed);
  EXPECT_NE(talk[2].failed->message.find("1,025 tokens"), std::string::npos);
  EXPECT_NE(talk[2].failed->message.find("1,024"), std::string::npos);
  talk.chat(3, letters(2000));
  EXPECT_EQ(talk[3].failed->param, "messages");
}

TEST(Batcher, ALargerContextIsAdvisedOnlyWhereTheModelWasTrainedWithOne) {
  Talk smaller({}, small(1024));
  smaller.complete(1, letters(1024));
  ASSERT_TRUE(smaller[1].failed);
  EXPECT_EQ(smaller[1].failed->message,
            "the prompt has 1,025 tokens, but this model's context is 1,024; shorten it, or set "
            "models.context to more (it was trained with 8,192; see `lares config`)");
  Talk whole({}, small(8192));
  whole.complete(1, letters(8192));
  ASSERT_TRUE(whole[1].failed);
  EXPECT_EQ(whole[1].failed->message,
            "the prompt has 8,193 tokens, but this model's context is 8,192; shorten it, or choose "
            "another model: this one was trained with no more");
}

TEST(Batcher, APromptThatFillsTheContextGetsItsOneToken) {
  Talk talk({}, small(64));
  talk.complete(1, letters(63), {{"ignore_eos", true}});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].done) << talk[1].failed->message;
  EXPECT_EQ(talk[1].done->reason, "length");
  EXPECT_EQ(talk[1].done->completion_tokens, 1U);
}

TEST(Batcher, AnAnswerEndsWhereTheContextEnds) {
  Talk talk({}, small(64));
  talk.complete(1, "count: 1000", {{"max_tokens", 5000}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].done->reason, "length");
  EXPECT_EQ(talk[1].done->prompt_tokens + talk[1].done->completion_tokens, 65U);
}

TEST(Batcher, TenMillionCharactersAreRefusedWithoutReadingThemAsTokens) {
  Talk talk;
  talk.complete(1, letters(10'000'000));
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::TooLong);
  EXPECT_NE(talk[1].failed->message.find("at least"), std::string::npos);
}

TEST(Batcher, AnEmptyPromptIsOneTokenWhereTheModelBeginsWithOne) {
  Talk talk;
  talk.complete(1, "", {{"max_tokens", 1}});
  talk.complete(2, Json::array());
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].done);
  ASSERT_TRUE(talk[2].failed);
  EXPECT_EQ(talk[2].failed->param, "prompt");
}

TEST(Batcher, RefusesAPromptThatIsNotUtf8) {
  Talk talk;
  talk.complete(1, "a\xff");
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Invalid);
}

// --- prefixes
// ----------------------------------------------------------------------------------------

TEST(Batcher, AFollowUpReusesTheConversation) {
  Talk talk;
  Json messages = {{{"role", "user"}, {"content", "repeat: first"}}};
  talk.batcher.generate(1, {"chat", {{"messages", messages}}});
  ASSERT_TRUE(talk.run());
  messages.push_back({{"role", "assistant"}, {"content", talk[1].text}});
  messages.push_back({{"role", "user"}, {"content", "repeat: second"}});
  talk.batcher.generate(2, {"chat", {{"messages", messages}}});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].text, "second");
  // the prompt and the answer, but for the token that ended it
  EXPECT_EQ(talk[2].started->reused_tokens,
            talk[1].done->prompt_tokens + talk[1].done->completion_tokens);
  EXPECT_EQ(talk[2].done->reused_tokens, talk[2].started->reused_tokens);
}

TEST(Batcher, TheSamePromptAgainComputesOneToken) {
  Talk talk;
  talk.complete(1, "repeat: abc");
  ASSERT_TRUE(talk.run());
  talk.complete(2, "repeat: abc");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].started->reused_tokens, talk[2].started->prompt_tokens - 1);
  EXPECT_EQ(talk[2].text, "abc");
}

TEST(Batcher, SeveralAnswersToOnePromptPayForItOnce) {
  Talk talk({}, small(4096, 4, 64));
  const std::string prompt = letters(1000) + "\nrandom: 5";
  for (uint64_t id = 1; id <= 4; id++) talk.complete(id, prompt);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].started->reused_tokens, 0U);
  for (uint64_t id = 2; id <= 4; id++) {
    ASSERT_TRUE(talk[id].done);
    EXPECT_GE(talk[id].started->reused_tokens, 1000U) << id;
  }
}

TEST(Batcher, AnotherConversationWithTheSameBeginningLeavesTheFirstWhole) {
  Talk talk;
  const std::string system = letters(200) + "\n";
  talk.complete(1, system + "repeat: " + letters(100, 'a'));
  ASSERT_TRUE(talk.run());
  talk.complete(2, system + "repeat: b");
  ASSERT_TRUE(talk.run());
  EXPECT_GE(talk[2].started->reused_tokens, 200U);
  talk.complete(3, system + "repeat: " + letters(100, 'a') + letters(100, 'a') + "\nrepeat: c");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "c");
  EXPECT_GE(talk[3].started->reused_tokens, 400U);
}

TEST(Batcher, WhatRestsLeavesTheCellsAndWhatWasUsedLongestAgoIsForgotten) {
  Talk talk({}, small(256, 4));
  const auto reused = [&](uint64_t id, char letter) {
    talk.complete(id, letters(80, letter), {{"max_tokens", 1}});
    EXPECT_TRUE(talk.run());
    return talk[id].started->reused_tokens;
  };
  for (uint64_t id = 1; id <= 8; id++) {  // six fit into what the fake keeps parked
    EXPECT_LE(reused(id, static_cast<char>('a' + id)), 1U);
    EXPECT_LE(talk.batcher.slots().cells_total() - talk.batcher.slots().cells_free(), 82U);
  }
  EXPECT_EQ(reused(9, 'i'), 80U);
  EXPECT_EQ(reused(10, 'd'), 80U);
  EXPECT_LE(reused(11, 'b'), 1U);
}

TEST(Batcher, WhatRestsLeavesTheCellsWhileOthersCompute) {
  Talk talk({}, small(4096, 2));
  const std::string prompt = cat(letters(300), "\nrepeat: Hello.");
  talk.complete(1, prompt);
  talk.complete(2, "count: 900");
  while (!talk[1].ended()) ASSERT_TRUE(talk.batcher.step());
  EXPECT_GT(talk.batcher.slots().cells_total() - talk.batcher.slots().cells_free(), 300U);
  for (uint64_t i = 0; i <= kRestMax; i++) talk.batcher.step();
  ASSERT_FALSE(talk[2].ended());
  EXPECT_EQ(talk.batcher.parked().count(), 1U);
  EXPECT_LT(talk.batcher.slots().cells_total() - talk.batcher.slots().cells_free(), 300U);
  talk.complete(3, cat(prompt, "Hello.\nrepeat: Again."));
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "Again.");
  EXPECT_GE(talk[3].done->reused_tokens, 300U);
  EXPECT_TRUE(talk[2].text.ends_with(" 900"));
}

TEST(Batcher, RestComesThoughNotAllThatRestsCanBeParked) {
  Talk talk(Options{{"parked", "1000"}}, small(1024, 8));  // for two of these six
  for (uint64_t id = 1; id <= 6; id++)
    talk.complete(id, letters(100, static_cast<char>('a' + id)), {{"max_tokens", 1}});
  ASSERT_TRUE(talk.run(1000));
  // nor does it keep a request from beginning that wants the cells empty
  talk.complete(7, "repeat: hello", {{"seed", 7}});
  ASSERT_TRUE(talk.run(1000));
  EXPECT_EQ(talk[7].text, "hello");
}

TEST(Batcher, AParkedConversationWithoutRoomLeavesWhatTheCellsHoldToBuildUpon) {
  Talk talk({}, small(256, 4));
  talk.complete(1, letters(150), {{"max_tokens", 1}});
  ASSERT_TRUE(talk.run());  // parked now
  talk.complete(2, letters(80) + "\ncount: 90");
  for (int i = 0; i < 3; i++) ASSERT_TRUE(talk.batcher.step());
  ASSERT_FALSE(talk[2].ended());
  // 150 tokens of the parked one would be its beginning, but beside the second there are no cells
  // for all of it; of the second's first 80 it needs none of its own
  talk.complete(3, letters(160) + "\nrepeat: c");
  ASSERT_TRUE(talk.batcher.step());
  ASSERT_TRUE(talk[3].started);
  EXPECT_GE(talk[3].started->reused_tokens, 80U);
  EXPECT_LT(talk[3].started->reused_tokens, 150U);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "c");
}

TEST(Batcher, WithAWindowOnlyAWholeOneIsBuiltUpon) {
  Talk talk(Options{{"window", "32"}}, small(1024));
  talk.complete(1, letters(100), {{"max_tokens", 1}});
  ASSERT_TRUE(talk.run());
  // goes on where the first ended: its window is there
  talk.complete(2, letters(100) + "\nrepeat: a");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].text, "a");
  EXPECT_GE(talk[2].started->reused_tokens, 100U);
  // begins in the middle: what lies before it has been forgotten
  talk.complete(3, letters(50) + "\nrepeat: b");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "b");
  EXPECT_EQ(talk[3].started->reused_tokens, 0U);
}

// --- several
// -----------------------------------------------------------------------------------------

TEST(Batcher, RequestsThatDoNotFitTogetherWaitAndAllEndWell) {
  Talk talk({}, small(256, 4));
  for (uint64_t id = 1; id <= 6; id++) {
    talk.complete(id, letters(120, static_cast<char>('a' + id)) +
                          "\nrepeat: " + letters(60, static_cast<char>('A' + id)));
  }
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 6; id++) {
    ASSERT_TRUE(talk[id].done) << id << ": " << talk[id].failed->message;
    EXPECT_EQ(talk[id].text, letters(60, static_cast<char>('A' + id)));
  }
}

TEST(Batcher, AnswersThatOutgrowTheCellsAreComputedAgainAndGoOnAsIfNothingWas) {
  Talk talk({}, small(256, 4));
  for (uint64_t id = 1; id <= 3; id++) {
    talk.complete(id, letters(10, static_cast<char>('a' + id)) + "\ncount: 90");
  }
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 3; id++) {
    ASSERT_TRUE(talk[id].done) << id << ": " << talk[id].failed->message;
    EXPECT_TRUE(talk[id].text.starts_with("1 2 3 "));
    EXPECT_EQ(talk[id].text, talk[1].text);
    EXPECT_EQ(talk[id].done->completion_tokens, talk[1].done->completion_tokens);
  }
}

TEST(Batcher, AShortPromptNeedNotWaitForALongOneToBeAnswered) {
  Talk talk({}, small(4096, 4, 64));
  talk.complete(1, letters(3000) + "\nrepeat: long");
  ASSERT_TRUE(talk.batcher.step());
  talk.complete(2, "repeat: short");
  for (int i = 0; i < 60 && !talk[2].ended(); i++) talk.batcher.step();
  EXPECT_TRUE(talk[2].done);
  EXPECT_FALSE(talk[1].ended());
  EXPECT_FALSE(talk[1].progress.empty());
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "long");
}

TEST(Batcher, TooManyWaitingAreTurnedAwayAsBusy) {
  Talk talk;
  for (uint64_t id = 1; id <= kWaitingMax + 1; id++) talk.complete(id, "repeat: a");
  ASSERT_TRUE(talk[kWaitingMax + 1].failed);
  EXPECT_EQ(talk[kWaitingMax + 1].failed->code, Code::Busy);
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[kWaitingMax].done);
}

// --- cancelling
// --------------------------------------------------------------------------------------

TEST(Batcher, CancelEndsARequestInEveryState) {
  Talk talk({}, small(4096, 1, 64));
  talk.complete(1, letters(500) + "\ncount: 100");
  talk.complete(2, "count: 100");
  talk.batcher.cancel(2);  // waiting
  ASSERT_TRUE(talk[2].failed);
  EXPECT_EQ(talk[2].failed->code, Code::Cancelled);
  talk.batcher.step();
  talk.batcher.cancel(1);  // in its prompt
  EXPECT_EQ(talk[1].failed->code, Code::Cancelled);
  talk.complete(3, "count: 100");
  while (talk[3].text.size() < 10) ASSERT_TRUE(talk.batcher.step());
  talk.batcher.cancel(3);  // in its answer
  EXPECT_EQ(talk[3].failed->code, Code::Cancelled);
  talk.batcher.cancel(3);   // again
  talk.batcher.cancel(99);  // unknown
  EXPECT_FALSE(talk.batcher.step());
  for (uint64_t id = 1; id <= 3; id++) EXPECT_EQ(talk[id].ends, 1);
}

// Beside an answer that must come out as it would alone.
struct Beside {
  explicit Beside(Options options = {}, const wire::Load& load = small(4096, 4, 64))
      : talk(std::move(options), load) {
    talk.complete(kOther, "count: 60");
  }
  void step_until(const std::function<bool()>& there) {
    for (int i = 0; i < 1'000 && !there(); i++) ASSERT_TRUE(talk.batcher.step());
    ASSERT_TRUE(there());
  }
  void cancel(uint64_t id) {
    ASSERT_FALSE(talk[id].ended());
    ASSERT_FALSE(talk[kOther].ended());
    talk.batcher.cancel(id);
    ASSERT_TRUE(talk[id].failed);
    EXPECT_EQ(talk[id].failed->code, Code::Cancelled);
    EXPECT_FALSE(talk.batcher.has(id));
  }
  ~Beside() {
    EXPECT_TRUE(talk.run());
    std::string numbers;
    for (int i = 1; i <= 60; i++) numbers += cat(i == 1 ? "" : " ", i);
    EXPECT_EQ(talk[kOther].text, numbers);
    EXPECT_EQ(talk.batcher.slots().cells_busy(-1), 0U);
    for (const auto& [id, heard] : talk.heard) EXPECT_EQ(heard.ends, 1) << id;
  }
  static constexpr uint64_t kOther = 99;
  Talk talk;
};

TEST(Batcher, CancelsAThought) {
  Beside beside;
  beside.talk.chat(1, cat("repeat: <think>", letters(200), "</think>answer"));
  beside.step_until([&] { return beside.talk[1].reasoning.size() > 9; });
  beside.cancel(1);
  beside.talk.batcher.stop_thinking(1);  // too late
  beside.talk.chat(2, cat("repeat: <think>", letters(200), "</think>another"));
  ASSERT_TRUE(beside.talk.run());
  EXPECT_EQ(beside.talk[2].text, "another");
  EXPECT_TRUE(beside.talk[1].text.empty());
}

TEST(Batcher, CancelsAnAnswerThatIsComputedAgain) {
  const std::string said = "zyxwvutsrqponmlkjihgfedcbazyxwvutsrqponmlkjihgfedcba";
  Beside beside;
  const auto tokens = beside.talk.model->tokenize(said, Special::AsText);
  std::string ids;
  for (size_t i = 1; i < tokens->size(); i++) {
    ids += static_cast<char>((*tokens)[i]);
    ids += std::string("\0\0\x80", 3);  // told here
  }
  const auto resume = [&](uint64_t id, const std::string& more) {
    beside.talk.batcher.generate(id, {"completion", {{"prompt", cat("bytes: ", more)}}},
                                 Begun{7, wire::kThinkFreely, ids});
  };
  std::string hex;
  for (const char c : said + "!") {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<size_t>(c) / 16];
    hex += kDigits[static_cast<size_t>(c) % 16];
  }
  resume(1, hex);
  for (int i = 0; i < 12; i++) ASSERT_TRUE(beside.talk.batcher.step());
  ASSERT_TRUE(beside.talk[1].started);
  EXPECT_EQ(beside.talk[1].text, "") << "it is being computed again";
  beside.cancel(1);
  resume(2, hex);
  ASSERT_TRUE(beside.talk.run());
  EXPECT_EQ(beside.talk[2].text, "!");
  EXPECT_EQ(beside.talk[1].text, "");
}

TEST(Batcher, CancelsAnEmbeddingBetweenItsSteps) {
  const auto vectors = [](Talk& talk, uint64_t id) { return talk[id].done->vectors; };
  Talk alone({{"pooling", "mean"}}, small(4096, 4, 64));
  alone.batcher.embed(1, {Json::array({"b", "ab"})});
  ASSERT_TRUE(alone.run());

  Beside beside(Options{{"pooling", "mean"}});
  Json many = Json::array();
  for (int i = 0; i < 40; i++) many.push_back(letters(30));
  beside.talk.batcher.embed(1, {many});
  beside.talk.batcher.embed(2, {Json::array({"b", "ab"})});
  beside.step_until([&] { return beside.talk[1].started.has_value(); });
  ASSERT_TRUE(beside.talk.batcher.step());
  beside.talk.batcher.interrupt(1);
  ASSERT_TRUE(beside.talk.batcher.step());
  beside.cancel(1);
  ASSERT_TRUE(beside.talk.run());
  ASSERT_TRUE(beside.talk[2].done);
  EXPECT_EQ(vectors(beside.talk, 2), vectors(alone, 1));
}

TEST(Batcher, CancelsARankingBetweenItsSteps) {
  Talk alone({{"pooling", "rank"}}, small(4096, 4, 64));
  alone.batcher.rank(1, {"ab", Json::array({"xy", "ab", "ax"})});
  ASSERT_TRUE(alone.run());

  Beside beside(Options{{"pooling", "rank"}});
  Json many = Json::array();
  for (int i = 0; i < 40; i++) many.push_back(letters(30));
  beside.talk.batcher.rank(1, {"x", many});
  beside.step_until([&] { return beside.talk[1].started.has_value(); });
  ASSERT_TRUE(beside.talk.batcher.step());
  beside.cancel(1);
  beside.talk.batcher.rank(2, {"ab", Json::array({"xy", "ab", "ax"})});
  ASSERT_TRUE(beside.talk.run());
  ASSERT_TRUE(beside.talk[2].done);
  EXPECT_EQ(beside.talk[2].done->vectors, alone[1].done->vectors);
}

TEST(Batcher, WhatACancelledPromptComputedIsReused) {
  Talk talk({}, small(4096, 2, 64));
  talk.complete(1, letters(500) + "\nrepeat: a");
  talk.batcher.step();
  talk.batcher.step();
  talk.batcher.cancel(1);
  talk.complete(2, letters(500) + "\nrepeat: b");
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[2].text, "b");
  EXPECT_GE(talk[2].started->reused_tokens, 64U);
}

TEST(Batcher, InterruptEndsAStepThatIsMostlyForThatRequest) {
  Talk talk(Options{{"prompt-tokens-per-s", "100"}}, small(4096, 2, 512));
  talk.complete(1, letters(500));  // five seconds
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      talk.batcher.interrupt(1);
      std::this_thread::yield();
    }
  });
  const auto from = std::chrono::steady_clock::now();
  talk.batcher.step();
  EXPECT_LT(std::chrono::steady_clock::now() - from, std::chrono::seconds(2));
  other.request_stop();
  other.join();
  EXPECT_FALSE(talk[1].ended());
  talk.batcher.cancel(1);
  EXPECT_EQ(talk[1].failed->code, Code::Cancelled);
}

TEST(Batcher, AnInterruptedStepIsComputedAgainForTheOthers) {
  Talk talk(Options{{"prompt-tokens-per-s", "20000"}}, small(4096, 2, 512));
  talk.complete(1, letters(400) + "\nrepeat: good");
  talk.pulse.abort();  // as if it came at the very beginning: a new step forgets it
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "good");
}

TEST(Batcher, InterruptOfAnotherRequestChangesNothing) {
  Talk talk;
  talk.complete(1, "repeat: good");
  talk.batcher.interrupt(2);
  EXPECT_FALSE(talk.pulse.aborting());
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "good");
}

TEST(Batcher, AnInterruptBetweenTwoStepsEndsTheNext) {
  Talk talk(Options{{"prompt-tokens-per-s", "1"}}, small(4096, 2, 512));
  talk.complete(1, letters(500));  // minutes
  talk.batcher.interrupt(1);
  talk.batcher.step();
  EXPECT_EQ(talk[1].progress.size(), 0U);
  talk.batcher.cancel(1);
  EXPECT_EQ(talk[1].failed->code, Code::Cancelled);
  EXPECT_FALSE(talk.batcher.step());  // forgotten with its request
}

// --- drafts
// -----------------------------------------------------------------------------------------------

// Seeded requests draft by what their tokens have shown, others by what steps take, which stands
// still here.
TEST(Batcher, WhatAnAnswerRepeatsComesInFewerSteps) {
  const auto steps = [](const Json& more) {
    Talk talk({}, small(2048, 2));
    talk.complete(1, "repeat: the cat sat on the mat, the cat sat on the mat, the cat sat there",
                  more);
    int count = 0;
    while (talk.batcher.step()) count++;
    EXPECT_EQ(talk[1].text, "the cat sat on the mat, the cat sat on the mat, the cat sat there");
    EXPECT_EQ(talk[1].done->completion_tokens, talk[1].tokens);
    return count;
  };
  const int plain = steps({{"temperature", 0}});
  EXPECT_LE(steps({{"temperature", 0}, {"seed", 1}}) * 2, plain);
}

TEST(Batcher, DraftsChangeNothingOfAnAnswer) {
  const std::string long_text = "one two three one two three four one two three four five one two";
  for (const char* window : {"0", "16", "40"}) {
    for (const Json& more : std::vector<Json>{
             Json::object(),
             {{"max_tokens", 7}},
             {{"max_tokens", 23}},
             {{"max_tokens", 24}},
             {{"stop", "four one"}},
             {{"stop", "e f"}},
             {{"logprobs", true}, {"top_logprobs", 2}},
             {{"temperature", 1.5}},
             {{"repeat_penalty", 1.3}, {"frequency_penalty", 0.5}},
             {{"stop_repeating", true}},
         }) {
      const auto said = [&](bool drafts) {
        Talk talk({{"window", window}}, small(256, 2));
        talk.seed = 7;  // as is given below
        Json body = more;
        if (drafts) body["seed"] = 7;
        talk.complete(1, "repeat: " + long_text, body);
        EXPECT_TRUE(talk.run());
        EXPECT_TRUE(talk[1].done) << talk[1].failed->message;
        return std::tuple(talk[1].text, talk[1].tokens, talk[1].logprobs, talk[1].done->reason,
                          talk[1].done->completion_tokens);
      };
      EXPECT_EQ(said(true), said(false)) << window << " " << dump(more);
    }
  }
}

TEST(Batcher, ADraftDoesNotGoBeyondTheContext) {
  Talk talk({}, small(48, 1));
  talk.complete(1, "repeat: abcabcabcabcabcabcabcabcabcabcabcabcabc", {{"seed", 1}});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].done) << talk[1].failed->message;
  EXPECT_EQ(talk[1].done->reason, "length");
  EXPECT_EQ(talk[1].done->prompt_tokens + talk[1].done->completion_tokens, 49U);
}

// --- lanes
// ------------------------------------------------------------------------------------------------

TEST(Batcher, AnUrgentRequestTakesThePlaceOfOneThatNobodyWaitsFor) {
  Talk talk({}, small(2048, 2));
  talk.lane = Lane::Background;
  talk.complete(1, cat(letters(100), "\ncount: 60"));
  talk.complete(2, cat(letters(100, 'y'), "\ncount: 50"));
  for (int i = 0; i < 12; i++) talk.batcher.step();
  ASSERT_TRUE(talk[1].started && talk[2].started);
  talk.lane = Lane::Interactive;
  talk.complete(3, "repeat: now");
  for (int i = 0; i < 6 && !talk[3].ended(); i++) talk.batcher.step();
  EXPECT_EQ(talk[3].text, "now");
  EXPECT_FALSE(talk[1].ended() || talk[2].ended());
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].text.ends_with(" 59 60")) << talk[1].text;
  EXPECT_TRUE(talk[2].text.ends_with(" 49 50")) << talk[2].text;
}

TEST(Batcher, WhoAsksForLittleHasAPlaceBesideOneWhoWouldFillThemAll) {
  Talk talk({}, small(2048, 2));
  talk.owner = 1;
  for (uint64_t id = 1; id <= 3; id++)
    talk.complete(id, cat(letters(100, static_cast<char>('a' + id)), "\ncount: 6", id));
  for (int i = 0; i < 12; i++) talk.batcher.step();
  talk.owner = 2;
  talk.complete(4, "repeat: now");
  talk.complete(5, "repeat: then");
  for (int i = 0; i < 20 && !talk[5].ended(); i++) talk.batcher.step();
  EXPECT_EQ(talk[4].text, "now");
  EXPECT_EQ(talk[5].text, "then");
  EXPECT_FALSE(talk[1].ended() || talk[2].ended() || talk[3].ended());
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 3; id++)
    EXPECT_TRUE(talk[id].text.ends_with(cat(" 6", id))) << talk[id].text;
}

TEST(Batcher, RequestsOfOneOwnerDoNotTakeEachOthersPlaces) {
  Talk talk({}, small(2048, 1));
  talk.complete(1, "count: 20");
  talk.batcher.step();
  talk.complete(2, "repeat: later");
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].text.ends_with(" 20"));
  EXPECT_EQ(talk[2].text, "later");
  EXPECT_EQ(talk[1].progress.size(), 0U) << "its prompt was read once";
}

TEST(Batcher, AHurryGivesUpALessUrgentStepWhichIsComputedAgain) {
  Talk talk(Options{{"prompt-tokens-per-s", "20000"}}, small(4096, 2, 512));
  talk.lane = Lane::Background;
  talk.complete(1, letters(1'000) + "\nrepeat: good");
  talk.batcher.hurry(Lane::Interactive);  // read, but not yet obeyed
  talk.batcher.step();
  EXPECT_TRUE(talk[1].progress.empty()) << "nothing was kept of that step";
  talk.lane = Lane::Interactive;
  talk.complete(2, "repeat: first");
  talk.batcher.step();
  EXPECT_FALSE(talk.pulse.aborting()) << "it has come";
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "good");
  EXPECT_EQ(talk[2].text, "first");
}

TEST(Batcher, AHurryOfOneLaneDoesNotDisturbThatLane) {
  Talk talk({}, small(4096, 2, 512));
  talk.lane = Lane::Agent;
  talk.complete(1, letters(400) + "\nrepeat: good");
  talk.batcher.hurry(Lane::Agent);
  talk.batcher.hurry(Lane::Background);
  talk.batcher.step();
  EXPECT_EQ(talk[1].progress.size(), 0U);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "good");
}

TEST(Batcher, WhileOthersWaitItsStepsAreShort) {
  const auto steps = [](bool others_wait) {
    Pulse pulse;
    const SystemClock clock;
    auto model = testing::fake_model({{"prompt-tokens-per-s", "4000"}}, small(4096, 2, 512), pulse);
    bool done = false;
    const auto page = std::make_unique<wire::LeasePage>();
    page->state = wire::LeasePage::Holding;
    page->until_ns = wire::kUntilNever;
    page->pressed = others_wait ? 1 : 0;
    Lease lease(page.get(), -1, {});
    testing::OwnMaker batcher(
        *model, pulse, clock, lease,
        [&](uint64_t, const Batcher::Event& event) {
          done = std::holds_alternative<wire::Done>(event);
        },
        [] { return 1U; });
    batcher.generate(1, {"completion", {{"prompt", letters(2'000)}, {"max_tokens", 1}}});
    int count = 0;
    while (!done && batcher.step()) count++;
    return count;
  };
  EXPECT_LE(steps(false), 6);
  EXPECT_GE(steps(true), 7);  // of 60 ms, after a first of which nothing was known
}

TEST(Batcher, WhereTheMachineIsSparedOnlyBetterLanesCompute) {
  const auto page = std::make_unique<wire::LeasePage>();
  page->state = wire::LeasePage::Holding;
  page->until_ns = wire::kUntilNever;
  page->worst = static_cast<uint32_t>(Lane::Agent);
  Lease lease(page.get(), -1, {});
  Pulse pulse;
  const SystemClock clock;
  auto model = testing::fake_model({}, small(512, 4, 64), pulse);
  std::map<uint64_t, size_t> told;
  std::vector<uint64_t> ended;
  testing::OwnMaker batcher(
      *model, pulse, clock, lease,
      [&](uint64_t id, const Batcher::Event& event) {
        if (std::holds_alternative<wire::Delta>(event)) told[id]++;
        if (std::holds_alternative<wire::Done>(event)) ended.push_back(id);
      },
      [] { return 1U; });
  const auto ask = [&](uint64_t id, Lane lane) {
    wire::Generate request{"completion", {{"prompt", "count: 20"}}};
    request.lane = lane;
    batcher.generate(id, request);
  };
  ask(1, Lane::Background);
  ask(2, Lane::Agent);
  while (ended.empty()) ASSERT_TRUE(batcher.step());
  EXPECT_EQ(ended, std::vector<uint64_t>{2});
  EXPECT_EQ(told[1], 0U);
  page->worst = static_cast<uint32_t>(Lane::Background);
  while (ended.size() < 2) ASSERT_TRUE(batcher.step());
  EXPECT_GE(told[1], 20U);
}

// Whatever is cancelled when: everybody ends once, and the others say what they would say alone.
TEST(Batcher, CancellingInAnyStateHarmsNobodyElse) {
  for (unsigned seed = 0; seed < 30; seed++) {
    std::mt19937 random(seed);
    Talk talk({}, small(512, 3, 64));
    std::set<uint64_t> cancelled;
    for (uint64_t id = 1; id <= 24; id++) {
      talk.lane = static_cast<Lane>(random() % 3);
      talk.owner = static_cast<uint32_t>(random() % 3);
      talk.complete(
          id,
          cat(letters(random() % 200, static_cast<char>('a' + random() % 3)), "\ncount: ", 5 + id),
          id % 2 == 0 ? Json{{"seed", id}, {"temperature", 0}} : Json::object());
      for (auto steps = random() % 4; steps > 0; steps--) talk.batcher.step();
      const uint64_t victim = 1 + random() % id;
      if (random() % 3 != 0 || !talk.batcher.has(victim)) continue;
      if (random() % 2 == 0) talk.batcher.interrupt(victim);
      if (random() % 2 == 0) talk.batcher.step();
      if (talk.batcher.has(victim)) cancelled.insert(victim);
      talk.batcher.cancel(victim);
    }
    ASSERT_TRUE(talk.run());
    for (uint64_t id = 1; id <= 24; id++) {
      ASSERT_EQ(talk[id].ends, 1) << seed << " " << id;
      if (cancelled.contains(id)) {
        EXPECT_EQ(talk[id].failed->code, Code::Cancelled);
      } else {
        ASSERT_TRUE(talk[id].done) << talk[id].failed->message;
        EXPECT_TRUE(talk[id].text.ends_with(cat(" ", 5 + id))) << talk[id].text;
      }
    }
  }
}

TEST(Batcher, OfAThousandRequestsAtOnceAsManyAsItKeepsAreAnswered) {
  Talk talk({}, small(2048, 4));
  for (uint64_t id = 1; id <= 1000; id++) {
    talk.owner = static_cast<uint32_t>(id % 7);
    talk.complete(id, cat("count: ", id % 9 + 2));
  }
  ASSERT_TRUE(talk.run());
  size_t answered = 0;
  for (uint64_t id = 1; id <= 1000; id++) {
    ASSERT_EQ(talk[id].ends, 1) << id;
    if (talk[id].failed) {
      EXPECT_EQ(talk[id].failed->code, Code::Busy);
      continue;
    }
    answered++;
    EXPECT_TRUE(talk[id].text.ends_with(cat(" ", id % 9 + 2))) << talk[id].text;
  }
  EXPECT_EQ(answered, kWaitingMax);
}

// --- embeddings
// --------------------------------------------------------------------------------------

wire::Load embedder(Tokens context = 128) {
  wire::Load load = small(context, 4, context);
  load.embeddings = true;
  return load;
}

std::vector<float> vector_at(const std::string& bytes, size_t number, size_t length) {
  std::vector<float> out(length);
  for (size_t i = 0; i < length; i++) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 4; k++) {
      bits |= uint32_t{static_cast<unsigned char>(bytes[(number * length + i) * 4 + k])} << (8 * k);
    }
    out[i] = std::bit_cast<float>(bits);
  }
  return out;
}

TEST(Batcher, GivesOneNormalisedVectorForEachInput) {
  Talk talk({}, embedder());
  Json inputs = Json::array();
  for (int i = 0; i < 30; i++) inputs.push_back(letters(static_cast<size_t>(i) + 1, 'a'));
  inputs.push_back(Json::array({'x', 'y'}));
  talk.batcher.embed(1, {inputs});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].done) << talk[1].failed->message;
  EXPECT_EQ(talk[1].done->reason, "embedded");
  ASSERT_EQ(talk[1].done->input_tokens.size(), 31U);
  EXPECT_EQ(talk[1].done->input_tokens[0], 2U);
  const auto length = talk.model->facts().info["embedding_length"].get<size_t>();
  ASSERT_EQ(talk[1].done->vectors.size(), 31 * length * 4);
  for (size_t i = 0; i < 31; i++) {
    double squares = 0;
    for (const float x : vector_at(talk[1].done->vectors, i, length)) {
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    EXPECT_NEAR(squares, 1, 1e-5);
  }
}

TEST(Batcher, RefusesAnInputLongerThanTheModelTakes) {
  Talk talk({}, embedder(128));
  talk.batcher.embed(1, {{"short", letters(128)}});
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Invalid);
  EXPECT_EQ(talk[1].failed->param, "input");
  EXPECT_NE(talk[1].failed->message.find("129"), std::string::npos) << talk[1].failed->message;
  EXPECT_NE(talk[1].failed->message.find("128"), std::string::npos);
}

TEST(Batcher, RefusesInputsThatAreNone) {
  Talk talk({}, embedder());
  const Json bad[] = {"text",         Json::array(), {5},
                      {{1, 999'999}}, {nullptr},     {{}},
                      {"a\xff"},      {{"x"}},       std::vector<std::string>(kInputsMax + 1, "x")};
  uint64_t id = 1;
  for (const Json& inputs : bad) {
    talk.batcher.embed(id, {inputs});
    ASSERT_TRUE(talk[id].failed) << dump(inputs).substr(0, 80);
    EXPECT_EQ(talk[id].failed->code, Code::Invalid);
    EXPECT_EQ(talk[id].failed->param, "input");
    id++;
  }
}

TEST(Batcher, AChatModelRefusesEmbeddingsAndAnEmbedderChats) {
  Talk chat;
  chat.batcher.embed(1, {{"x"}});
  ASSERT_TRUE(chat[1].failed);
  EXPECT_EQ(chat[1].failed->code, Code::Invalid);
  EXPECT_NE(chat[1].failed->message.find("all-minilm-l6-v2"), std::string::npos);
  Talk embeds({}, embedder());
  embeds.chat(1, "hello");
  EXPECT_EQ(embeds[1].failed->code, Code::Invalid);
}

TEST(Batcher, CancelsAnEmbedding) {
  Talk talk({}, embedder());
  talk.batcher.embed(1, {{"a", "b"}});
  talk.batcher.cancel(1);
  EXPECT_EQ(talk[1].failed->code, Code::Cancelled);
  EXPECT_FALSE(talk.batcher.step());
}

// --- at random
// ---------------------------------------------------------------------------------------

// Whatever comes in whatever order: every request ends once, its cells are its own (the fake
// compares them at each token), and afterwards nothing is busy.
TEST(Batcher, SurvivesAnyOrderOfRequestsAndCancels) {
  for (uint32_t seed = 1; seed <= 20; seed++) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    Options options;
    if (below(2) == 0) options["window"] = std::to_string(16 + below(64));
    Talk talk(options, small(200 + below(300), 1 + below(5), 32 + below(64)));
    std::set<uint64_t> open;
    uint64_t next = 1;
    for (int i = 0; i < 300; i++) {
      const uint32_t what = below(10);
      if (what < 2) {
        const std::string prompt =
            letters(size_t{40} * below(3), static_cast<char>('a' + below(3)));
        talk.complete(next, cat(prompt, "\ncount: ", below(60)), {{"max_tokens", below(80)}});
        open.insert(next++);
      } else if (what == 2 && !open.empty()) {
        talk.batcher.cancel(*open.begin());
        open.erase(open.begin());
      } else {
        talk.batcher.step();
      }
    }
    ASSERT_TRUE(talk.run()) << "seed " << seed;
    for (uint64_t id = 1; id < next; id++) {
      ASSERT_EQ(talk[id].ends, 1) << "seed " << seed << ", request " << id;
      if (talk[id].failed) {
        EXPECT_EQ(talk[id].failed->code, Code::Cancelled)
            << "seed " << seed << ": " << talk[id].failed->message;
      }
    }
    EXPECT_EQ(talk.batcher.slots().cells_busy(-1), 0U);
  }
}

TEST(Batcher, UrgentTextsAreEmbeddedBeforeTheRestOfALongJob) {
  Talk talk({}, embedder());
  Json many = Json::array();
  for (int i = 0; i < 60; i++) many.push_back(letters(100));
  talk.batcher.embed(1, {many, Lane::Background, 1});
  talk.batcher.step();
  talk.batcher.embed(2, {Json::array({"now"}), Lane::Interactive, 2});
  talk.batcher.step();
  EXPECT_TRUE(talk[2].done);
  EXPECT_FALSE(talk[1].ended());
  talk.batcher.hurry(Lane::Interactive);
  talk.batcher.step();
  talk.batcher.embed(3, {Json::array({"and now"}), Lane::Interactive, 2});
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].done && talk[3].done);
  EXPECT_EQ(talk[1].done->input_tokens.size(), 60U);
}

}  // namespace
}  // namespace lares::engine
