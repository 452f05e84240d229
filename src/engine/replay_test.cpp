// Answers whose worker dies: at every moment at which it can, and the next one goes on. What the
// client has at the end is what it would have without.
#include "engine/replay.h"

#include <gtest/gtest.h>

#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

// Time goes by with every look at it, so that answers are read now and then only.
class Ticking final : public Clock {
 public:
  explicit Ticking(milliseconds tick) : tick_(tick) {}
  SteadyTime now() const override { return now_ += tick_; }
  WallTime wall() const override { return {}; }

 private:
  const milliseconds tick_;
  mutable SteadyTime now_{};
};

struct Question {
  std::string name;
  wire::Generate message;
  milliseconds tick{0};
  int stop_thinking_at = -1;  // after so many steps; with a resumed one at once
};

// The daemon's end: what its client is told, and what the next worker needs.
struct Client {
  std::string text, reasoning;
  Json calls = Json::array(), logprobs = Json::array();
  Tokens told = 0;
  std::optional<wire::Done> done;
  std::string failed;

  uint32_t chance = 0;
  int64_t thinking_max = wire::kThinkFreely;
  std::string ids;
  bool begun = false;
  std::vector<wire::Delta> held;

  void take(const Batcher::Event& event) {
    ASSERT_FALSE(done);
    if (const auto* started = std::get_if<wire::Started>(&event)) {
      ASSERT_TRUE(chance == 0 || chance == started->chance);
      chance = started->chance;
      thinking_max = started->thinking_max;
    } else if (const auto* delta = std::get_if<wire::Delta>(&event)) {
      if (delta->last) return held.push_back(*delta);
      ASSERT_TRUE(held.empty()) << "the last pieces are the last";
      keep(*delta);
      begun = true;
    } else if (const auto* end = std::get_if<wire::Done>(&event)) {
      for (const wire::Delta& last : held) keep(last);
      done = *end;
    } else if (const auto* error = std::get_if<wire::Failed>(&event)) {
      failed = error->error.message;
    }
  }
  void died() {
    held.clear();
    if (!begun) chance = 0;
  }

 private:
  void keep(const wire::Delta& delta) {
    text += delta.text;
    reasoning += delta.reasoning;
    told += delta.tokens;
    for (const Json& one : delta.logprobs) logprobs.push_back(one);
    for (const Json& one : delta.tool_calls) {
      if (one["name"] != "") {
        ASSERT_EQ(one["index"], calls.size());
        calls.push_back(one);
      } else {
        ASSERT_LT(one["index"], calls.size());
        calls[one["index"].get<size_t>()]["arguments"].get_ref<std::string&>() +=
            one["arguments"].get<std::string>();
      }
    }
    const bool says =
        !delta.text.empty() || !delta.reasoning.empty() || !delta.tool_calls.is_null();
    for (size_t i = 0; i < delta.ids.size(); i++) {
      uint32_t id = delta.ids[i];
      if (says && i + 1 == delta.ids.size()) id |= wire::kToldHere;
      for (int byte = 0; byte < 4; byte++) ids += static_cast<char>(id >> (8 * byte));
    }
  }
};

// One worker's life: what it says of one question, begun anew or where `client` is. Everything but
// the progress of its prompt.
std::vector<Batcher::Event> live(const Question& question, const Client& client, uint32_t random) {
  std::vector<Batcher::Event> events;
  Pulse pulse;
  const Ticking clock(question.tick);
  Lease lease;
  const auto model = testing::fake_model({}, {}, pulse);
  testing::OwnMaker batcher(
      *model, pulse, clock, lease,
      [&](uint64_t, Batcher::Event event) {
        if (!std::holds_alternative<wire::Progress>(event)) events.push_back(std::move(event));
      },
      [&] { return random++; });
  if (client.begun)
    batcher.generate(1, question.message, Begun{client.chance, client.thinking_max, client.ids});
  else
    batcher.generate(1, question.message);
  for (int step = 0; batcher.has(1); step++) {
    if (step == (client.begun ? 0 : question.stop_thinking_at) && question.stop_thinking_at >= 0)
      batcher.stop_thinking(1);
    batcher.step();
  }
  return events;
}

void expect_same(const Client& client, const Client& undisturbed, const std::string& where) {
  EXPECT_EQ(client.text, undisturbed.text) << where;
  EXPECT_EQ(client.reasoning, undisturbed.reasoning) << where;
  EXPECT_EQ(client.calls, undisturbed.calls) << where;
  EXPECT_EQ(client.logprobs, undisturbed.logprobs) << where;
  EXPECT_EQ(client.told, undisturbed.told) << where;
  EXPECT_EQ(client.ids.size(), undisturbed.ids.size()) << where;
  ASSERT_TRUE(client.done) << where << ": " << client.failed;
  EXPECT_EQ(client.done->reason, undisturbed.done->reason) << where;
  EXPECT_EQ(client.done->stop, undisturbed.done->stop) << where;
  EXPECT_EQ(client.done->prompt_tokens, undisturbed.done->prompt_tokens) << where;
  EXPECT_EQ(client.done->completion_tokens, undisturbed.done->completion_tokens) << where;
  EXPECT_EQ(client.done->reasoning_tokens, undisturbed.done->reasoning_tokens) << where;
}

const Json kTools =
    Json::array({{{"name", "f"}, {"description", ""}, {"parameters", R"({"type":"object"})"}}});

Question chat(std::string name, const std::string& content, Json more = Json::object(),
              milliseconds tick = {}) {
  more["messages"] = Json::array({{{"role", "user"}, {"content", content}}});
  return {std::move(name), {"chat", std::move(more)}, tick};
}
Question text(std::string name, const std::string& prompt, Json more = Json::object()) {
  more["prompt"] = prompt;
  return {std::move(name), {"completion", std::move(more)}};
}

std::vector<Question> questions() {
  const std::string thought =
      "repeat: <think>so, what is it? hm</think>It is this: <tool_call>{\"name\": \"f\", "
      "\"arguments\": {\"a\": \"\u20ac\"}}</tool_call><tool_call>{\"name\": \"f\", "
      "\"arguments\": {}}</tool_call>";
  std::vector<Question> all = {
      text("plain", "repeat: forty letters that are said one by one, all"),
      text("by chance", "random: 40", {{"temperature", 1}}),
      text("by a seed", "random: 40", {{"temperature", 1}, {"seed", 5}}),
      text("penalties", "random: 40",
           {{"temperature", 0.9}, {"seed", 7}, {"repeat_penalty", 1.3}, {"top_k", 8}}),
      text("logprobs", "random: 40", {{"temperature", 1}, {"logprobs", true}, {"top_logprobs", 2}}),
      text("logprobs of bytes", "repeat: \u20ac\u00e9\U0001F600 a", {{"logprobs", true}}),
      text("characters of several bytes", "repeat: \u20ac\u00e9\U0001F600!\u20ac\u20ac \U0001F600"),
      text("bytes that are none", "bytes: 41ff42e28243f09f98"),
      text("cut in a character", "repeat: abc\u20ac", {{"max_tokens", 4}}),
      text("cut", "repeat: forty letters that are said one by one", {{"max_tokens", 11}}),
      text("a stop string", "repeat: one two three four", {{"stop", {"thirty", " four"}}}),
      text("a stop string that never comes", "repeat: one tw", {{"stop", "two"}}),
      text("a stop string and logprobs", "repeat: abXcXYd", {{"stop", "XY"}, {"logprobs", true}}),
      text("an echo", "repeat: abcdef", {{"echo", true}}),
      text("what was there before", "abcdefghijklmnop qrstuv\nrepeat: abcdefghijklmnop qrstuv",
           {{"seed", 1}}),
      text("over and over", "repeat: " + std::string(300, 'x'), {{"stop_repeating", true}}),
      chat("thoughts", "repeat: <think>hm, so it is</think>It is so."),
      chat("a budget of thoughts", "repeat: <think>hm, so it is</think>It is so.",
           {{"reasoning_budget", 5}}),
      chat("thoughts that leave room", "repeat: <think>" + std::string(80, 'h') + "</think>So.",
           {{"max_tokens", 60}}),
      chat("thoughts over and over", "repeat: <think>" + std::string(300, 'x') + "</think>So.",
           {{"stop_repeating", true}}),
      chat("thoughts that do not end", "repeat: <think>hm", {{"max_tokens", 60}}),
      chat("thoughts by the question", "repeat: <think>" + std::string(80, 'h') + "</think>So.",
           {{"reasoning_effort", "auto"}}, milliseconds(1)),
      chat("calls", thought, {{"tools", kTools}}),
      chat("calls and logprobs", thought, {{"tools", kTools}, {"logprobs", true}}),
      chat("a call that is none", "repeat: a<tool_call>{broken</tool_call>b", {{"tools", kTools}}),
      chat("calls, read now and then", thought, {{"tools", kTools}}, milliseconds(1)),
      chat("all of it, read now and then", thought,
           {{"tools", kTools}, {"logprobs", true}, {"seed", 3}}, milliseconds(3)),
      chat("stopped thoughts", "repeat: <think>abcdefghijklmnopqrst</think>answer"),
  };
  all.back().stop_thinking_at = 12;
  return all;
}

class Replays : public ::testing::TestWithParam<Question> {};

TEST_P(Replays, AnAnswerGoesOnWhereverItsWorkerDied) {
  const Question& question = GetParam();
  Client undisturbed;
  const auto events = live(question, {}, 100);
  for (const auto& event : events) undisturbed.take(event);
  ASSERT_TRUE(undisturbed.done) << undisturbed.failed;
  ASSERT_GT(undisturbed.done->completion_tokens, 3U);
  size_t resumed = 0;
  for (size_t heard = 0; heard < events.size(); heard++) {
    Client client;
    for (size_t i = 0; i < heard; i++) client.take(events[i]);
    client.died();
    // stopped earlier than there, they would be fewer
    if (question.stop_thinking_at >= 0 && client.reasoning != undisturbed.reasoning) continue;
    resumed += client.begun ? 1 : 0;
    // what is asked anew begins with the same chance here only so that it can be compared
    const uint32_t random = client.begun ? 999 : 100;
    const auto second = live(question, client, random);
    Client twice = client;
    for (const auto& event : second) client.take(event);
    expect_same(client, undisturbed, question.name + " after " + std::to_string(heard));
    // and that one dies too, halfway
    for (size_t i = 0; i < second.size() / 2; i++) twice.take(second[i]);
    twice.died();
    for (const auto& event : live(question, twice, twice.begun ? 998 : 100)) twice.take(event);
    expect_same(twice, undisturbed, question.name + " twice, after " + std::to_string(heard));
    if (HasFailure()) return;
  }
  EXPECT_GT(resumed, 1U);
}

INSTANTIATE_TEST_SUITE_P(All, Replays, ::testing::ValuesIn(questions()), [](const auto& which) {
  std::string name = which.param.name;
  for (char& c : name) c = c == ' ' || c == ',' ? '_' : c;
  return name;
});

TEST(Replay, NothingIsChosenThatTheModelDoesNotHave) {
  EXPECT_TRUE(Replay::from(std::string("\x05\0\0\x80", 4), 6));
  const auto wrong = Replay::from(std::string("\x05\0\0\x80", 4), 5);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::Corrupt);
  EXPECT_EQ(wrong.error().message,
            "going on with an answer: its token 0 is 5, but this model has 5");
}

TEST(Replay, TellsWhereSomethingWasTold) {
  auto replay = Replay::from(std::string("\x05\0\0\0\x06\0\0\x80", 8), 100);
  ASSERT_TRUE(replay);
  EXPECT_FALSE(replay->over());
  EXPECT_EQ(replay->next(), 5);
  EXPECT_FALSE(replay->told_here());
  EXPECT_EQ(replay->next(), 6);
  EXPECT_TRUE(replay->told_here());
  EXPECT_TRUE(replay->over());
  EXPECT_TRUE(Replay().over());
}

}  // namespace
}  // namespace lares::engine
