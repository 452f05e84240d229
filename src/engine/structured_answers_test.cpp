// Answers that are taken apart, with the fake engine: its format is a real one's in small.
#include <gtest/gtest.h>

#include "base/text.h"
#include "engine/testing/talk.h"
#include "engine/thinking_budget.h"

namespace lares::engine {
namespace {

using testing::Heard;
using testing::Talk;

const Json kTools =
    Json::array({{{"name", "f"}, {"description", ""}, {"parameters", R"({"type":"object"})"}}});

Heard& say(Talk& talk, const std::string& what, Json more = Json::object()) {
  static uint64_t id = 0;
  talk.chat(++id, what, std::move(more));
  EXPECT_TRUE(talk.run());
  return talk[id];
}

TEST(StructuredAnswers, ThoughtsTextAndCallsComeApart) {
  Talk talk;
  const Heard& heard = say(talk,
                           "repeat: <think>hm, so</think>Look: <tool_call>{\"name\": \"f\", "
                           "\"arguments\": {\"a\": 1}}</tool_call>",
                           {{"tools", kTools}});
  ASSERT_TRUE(heard.done) << heard.failed->message;
  EXPECT_EQ(heard.reasoning, "hm, so");
  EXPECT_EQ(heard.text, "Look: ");
  EXPECT_EQ(heard.calls, Json::array({{{"name", "f"}, {"arguments", "{\"a\":1}"}}}));
  EXPECT_EQ(heard.done->reason, "tool_calls");
  EXPECT_GT(heard.done->reasoning_tokens, 0U);
  EXPECT_LT(heard.done->reasoning_tokens, heard.done->completion_tokens);
}

TEST(StructuredAnswers, WhereCallsAreNotParallelTheFirstIsTheOnlyOne) {
  Talk talk;
  std::string calls;
  for (const char* a : {"1", "2", "3"})
    calls += cat(R"(<tool_call>{"name": "f", "arguments": {"a": )", a, "}}</tool_call>");
  EXPECT_EQ(say(talk, cat("repeat: ", calls), {{"tools", kTools}}).calls.size(), 3U);
  const Heard& heard =
      say(talk, cat("repeat: ", calls), {{"tools", kTools}, {"parallel_tool_calls", false}});
  EXPECT_EQ(heard.calls, Json::array({{{"name", "f"}, {"arguments", "{\"a\":1}"}}}));
  EXPECT_EQ(heard.done->reason, "tool_calls");
}

TEST(StructuredAnswers, ACallThatIsNoneIsText) {
  Talk talk;
  const Heard& heard = say(talk, "repeat: a<tool_call>{broken</tool_call>b", {{"tools", kTools}});
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.text, "a<tool_call>{broken</tool_call>b");
  EXPECT_EQ(heard.done->reason, "stop");
}

TEST(StructuredAnswers, WithoutToolsTheirSignsAreText) {
  Talk talk;
  const Heard& heard = say(talk, "repeat: <tool_call>{\"name\": \"f\"}</tool_call>");
  EXPECT_EQ(heard.text, "<tool_call>{\"name\": \"f\"}</tool_call>");
  EXPECT_EQ(heard.done->reason, "stop");
}

TEST(StructuredAnswers, AnAnswerThatWasCutIsNotCalledACall) {
  Talk talk;
  const Heard& heard = say(
      talk, "repeat: <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> and a lot more",
      {{"tools", kTools}, {"max_tokens", 55}});
  EXPECT_EQ(heard.done->reason, "length");
}

TEST(StructuredAnswers, LogprobsOfAllTokensCome) {
  Talk talk;
  const Heard& heard =
      say(talk, "repeat: <think>a</think>b", {{"logprobs", true}, {"temperature", 0}});
  ASSERT_TRUE(heard.done) << heard.failed->message;
  EXPECT_EQ(heard.logprobs.size(), heard.done->completion_tokens);
  EXPECT_EQ(heard.tokens, heard.done->completion_tokens);
}

TEST(StructuredAnswers, ABudgetEndsTheThoughtsAndTheAnswerComes) {
  Talk talk;
  const std::string question = "repeat: <think>abcdefghijklmnopq</think>answer";
  EXPECT_EQ(say(talk, question).reasoning, "abcdefghijklmnopq");
  const Heard& heard = say(talk, question, {{"reasoning_budget", 4}});
  EXPECT_LT(heard.reasoning.size(), 8U);
  EXPECT_EQ(heard.text, "answer");
  EXPECT_EQ(heard.done->reason, "stop");
  const Heard& none = say(talk, question, {{"reasoning_budget", 0}});
  EXPECT_EQ(none.reasoning, "");
  EXPECT_EQ(none.text, "answer");
  EXPECT_EQ(say(talk, question, {{"reasoning_effort", "none"}}).reasoning, "");
  EXPECT_EQ(say(talk, question, {{"reasoning_effort", "high"}}).reasoning, "abcdefghijklmnopq");
  EXPECT_LE(heard.done->reasoning_tokens, 4U);
  const Heard& endless = say(talk, "repeat: <think>abcdefghijklmnopq", {{"reasoning_budget", 4}});
  EXPECT_LT(endless.reasoning.size(), 8U);
  EXPECT_FALSE(endless.text.empty());
}

constexpr size_t kTags = 15;  // letters of the fake's <think> and </think>

TEST(StructuredAnswers, ThoughtsLeaveRoomForTheAnswerWhateverTheBudget) {
  const std::string thought(300, 'x');
  for (const bool ends : {true, false}) {
    const std::string question = cat("repeat: <think>", thought, ends ? "</think>answer" : "");
    for (const int max_tokens : {16, 17, 24, 31, 32, 50, 100, 200}) {
      for (const Json& budget : {Json(), Json(0), Json(20), Json(250), Json(5'000)}) {
        Talk talk;
        const Heard& heard =
            say(talk, question, {{"max_tokens", max_tokens}, {"reasoning_budget", budget}});
        ASSERT_TRUE(heard.done) << heard.failed->message;
        const Tokens room = thinking_room(static_cast<size_t>(max_tokens), kTags);
        const Tokens most = budget.is_null() ? room : std::min(room, budget.get<Tokens>());
        const auto where = cat(max_tokens, " tokens, budget ", dump(budget), ", ends: ", ends);
        EXPECT_FALSE(heard.text.empty()) << where;
        EXPECT_EQ(heard.done->reasoning_tokens, most) << where;
        EXPECT_EQ(heard.started->thinking_max, budget.is_null() || budget.get<Tokens>() > room
                                                   ? int64_t{room}
                                                   : wire::kThinkFreely)
            << where;
      }
    }
  }
}

TEST(StructuredAnswers, ThoughtsLeaveRoomForTheAnswerInTheContext) {
  for (const Tokens context : {Tokens{116}, Tokens{128}, Tokens{200}}) {
    wire::Load load;
    load.context = context;
    Talk talk({}, load);
    const Heard& heard = say(talk, cat("repeat: <think>", std::string(60, 'x'), "</think>answer"));
    ASSERT_TRUE(heard.done) << heard.failed->message;
    EXPECT_FALSE(heard.text.empty()) << context;
    const size_t left = context + 1 - heard.done->prompt_tokens;
    EXPECT_EQ(heard.started->thinking_max, thinking_room(left, kTags)) << context;
    EXPECT_LE(heard.done->reasoning_tokens, thinking_room(left, kTags)) << context;
    EXPECT_LE(heard.done->completion_tokens, left);
  }
}

TEST(StructuredAnswers, WhatDoesNotThinkIsToldOfNoThoughts) {
  Talk talk;
  EXPECT_EQ(say(talk, "count: 40", {{"max_tokens", 20}}).started->thinking_max, wire::kThinkFreely);
  EXPECT_EQ(say(talk, "count: 40", {{"max_tokens", 4}}).started->thinking_max, wire::kThinkFreely);
}

TEST(StructuredAnswers, ThoughtsThatRepeatThemselvesEndInAnAnswer) {
  Talk talk;
  const Heard& heard = say(talk, cat("repeat: <think>", std::string(900, 'x'), "</think>answer"),
                           {{"stop_repeating", true}});
  ASSERT_TRUE(heard.done);
  EXPECT_LT(heard.reasoning.size(), 400U);
  EXPECT_EQ(heard.text, "answer");
  EXPECT_EQ(heard.done->reason, "stop");
}

TEST(StructuredAnswers, AThoughtIsNotTheEndOfAnAnswer) {
  Talk talk;
  const Heard& open = say(talk, "repeat: <think>abc", {{"reasoning_budget", 9}});
  ASSERT_TRUE(open.done);
  EXPECT_TRUE(open.reasoning.starts_with("abc."));
  EXPECT_EQ(open.done->reasoning_tokens, 9U);
  EXPECT_EQ(open.text, ".");
  EXPECT_EQ(open.done->reason, "stop");
  const Heard& closed = say(talk, "repeat: <think>abc</think>  ");
  EXPECT_EQ(closed.reasoning, "abc");
  EXPECT_EQ(trimmed(closed.text), ".");
}

TEST(StructuredAnswers, ABudgetThatCannotBeIsRefused) {
  Talk talk;
  for (const Json& wrong : {Json(-1), Json(1.5), Json("5"), Json(9'000), Json(1ULL << 40)}) {
    const Heard& heard = say(talk, "hi", {{"reasoning_budget", wrong}});
    ASSERT_TRUE(heard.failed) << dump(wrong);
    EXPECT_EQ(heard.failed->code, Code::Invalid);
    EXPECT_EQ(heard.failed->param, "reasoning_budget");
  }
  EXPECT_EQ(say(talk, "hi", {{"reasoning_effort", "very"}}).failed->param, "reasoning_effort");
}

TEST(StructuredAnswers, ThoughtsCanBeStoppedOnTheWay) {
  Talk talk;
  talk.batcher.stop_thinking(7);  // unknown: no effect
  talk.chat(7'000, "repeat: <think>abcdefghijklmnopqrstuvwxyz</think>answer");
  for (int i = 0; i < 14; i++) talk.batcher.step();
  talk.batcher.stop_thinking(7'000);
  ASSERT_TRUE(talk.run());
  const Heard& heard = talk[7'000];
  EXPECT_LT(heard.reasoning.size(), 20U);
  EXPECT_FALSE(heard.reasoning.empty());
  EXPECT_EQ(heard.text, "answer");
}

TEST(StructuredAnswers, TheWorkersOwnBudgetIsForThoseThatNameNone) {
  Pulse pulse;
  FakeClock clock;
  auto model = testing::fake_model({}, {}, pulse);
  std::string thought;
  Lease lease;
  testing::OwnMaker batcher(
      *model, pulse, clock, lease,
      [&](uint64_t, const Batcher::Event& event) {
        if (const auto* delta = std::get_if<wire::Delta>(&event)) thought += delta->reasoning;
      },
      [] { return 1U; }, {3});
  const Json messages =
      Json::array({{{"role", "user"}, {"content", "repeat: <think>abcdefghijk</think>x"}}});
  batcher.generate(1, {"chat", {{"messages", messages}}});
  while (batcher.step()) {
  }
  EXPECT_LT(thought.size(), 6U);
  thought.clear();
  batcher.generate(2, {"chat", {{"messages", messages}, {"reasoning_budget", 100}}});
  while (batcher.step()) {
  }
  EXPECT_EQ(thought, "abcdefghijk");
}

TEST(StructuredAnswers, HowLongItThinksMayBeLeftToTheQuestion) {
  const std::string thought(200, 'x');
  const auto thinks = [&](const std::string& question, Json more, ThinkingMax max) {
    Pulse pulse;
    FakeClock clock;
    auto model = testing::fake_model({}, {}, pulse);
    size_t thought_of = 0;
    std::optional<wire::Started> started;
    Lease lease;
    testing::OwnMaker batcher(
        *model, pulse, clock, lease,
        [&](uint64_t, const Batcher::Event& event) {
          if (const auto* begun = std::get_if<wire::Started>(&event)) started = *begun;
          if (const auto* delta = std::get_if<wire::Delta>(&event))
            thought_of += delta->reasoning.size();
        },
        [] { return 1U; }, max);
    more["messages"] = Json::array(
        {{{"role", "user"}, {"content", cat("repeat: <think>", thought, "</think>", question)}}});
    batcher.generate(1, {"chat", std::move(more)});
    while (batcher.step()) {
    }
    EXPECT_LE(thought_of, thought.size());
    return std::pair(thought_of, *started);
  };
  const Json automatic = {{"reasoning_effort", "auto"}};
  constexpr ThinkingMax kByQuestion{wire::kThinkByQuestion, 10};
  const auto chosen = [&](const std::string& question, Json more, ThinkingMax max) {
    return thinks(question, std::move(more), max).second.thinking_max;
  };
  EXPECT_EQ(chosen("hi", automatic, {}), 60) << "a fifth of 30 s at 10 tokens/s";
  EXPECT_LT(thinks("hi", automatic, {}).first, 62U);
  EXPECT_EQ(chosen("hi", Json::object(), kByQuestion), 32) << "the least";
  const auto freely = thinks("hi", Json::object(), {}).second;
  EXPECT_EQ(freely.thinking_max, thinking_room(8'193 - freely.prompt_tokens, kTags));
  EXPECT_EQ(chosen("hi", {{"reasoning_budget", 5}}, kByQuestion), wire::kThinkFreely);
  EXPECT_EQ(thinks("hi", {{"reasoning_effort", "high"}}, kByQuestion).first, thought.size());
  EXPECT_GT(chosen("12 + 34 * 56 = ? and why?", automatic, {}), 60);
  EXPECT_EQ(chosen("hi", {{"reasoning_effort", "auto"}, {"max_tokens", 60}}, {}),
            thinking_room(60, kTags));
  EXPECT_EQ(chosen("hi", {{"reasoning_effort", "auto"}, {"deadline_ms", 10'000}}, {}), 50)
      << "half of the time";
  EXPECT_EQ(chosen("hi", {{"reasoning_effort", "auto"}, {"deadline_ms", 1'000}}, {}), 0);
  EXPECT_EQ(chosen("hi", {{"reasoning_budget", 70}, {"deadline_ms", 1'000}}, {}),
            wire::kThinkFreely)
      << "what was asked for is not the worker's choice";
}

TEST(StructuredAnswers, BadShapesAreRefusedByTheirField) {
  Talk talk;
  const auto param = [&](Json more) {
    const Heard& heard = say(talk, "hi", std::move(more));
    EXPECT_TRUE(heard.failed);
    return heard.failed ? heard.failed->param : "";
  };
  EXPECT_EQ(param({{"must", 7}}), "must");
  EXPECT_EQ(param({{"must", {{"param", "grammar"}}}}), "grammar");
  EXPECT_EQ(param({{"must", {{"schema", "{}"}, {"regex", "a"}, {"param", "p"}}}}), "p");
  EXPECT_EQ(param({{"must", {{"schema", 7}, {"param", "p"}}}}), "p");
  EXPECT_EQ(param({{"must", {{"choice", Json::array({""})}, {"param", "p"}}}}), "p");
  EXPECT_EQ(param({{"must", {{"grammar", "x"}, {"param", "p"}}}}), "p");
  EXPECT_EQ(param({{"must", {{"schema", std::string(300 << 10, ' ')}, {"param", "p"}}}}), "p");
  EXPECT_EQ(param({{"deadline_ms", 0}}), "deadline_ms");
  EXPECT_EQ(param({{"tools", 7}}), "tools");
  EXPECT_EQ(param({{"tools", Json::array({Json::object()})}}), "tools");
  EXPECT_EQ(param({{"tools", kTools}, {"tool_choice", "any"}}), "tool_choice");
  EXPECT_EQ(param({{"tools", kTools}, {"must", {{"schema", "{}"}, {"param", "p"}}}}), "p");
  EXPECT_EQ(param({{"tools", kTools}, {"parallel_tool_calls", 1}}), "parallel_tool_calls");
}

}  // namespace
}  // namespace lares::engine
