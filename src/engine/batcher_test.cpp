#include "engine/batcher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "base/text.h"
#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

using testing::Heard;
using testing::letters;
using testing::small;
using testing::Talk;

// --- answers
// -------------------------------------------------------------------------------------

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
// ---------------------------------------------------------------------------------------

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
// ---------------------------------------------------------------------------------

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

// --- drafts
// --------------------------------------------------------------------------------------

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

// --- embeddings
// ----------------------------------------------------------------------------------

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
// -----------------------------------------------------------------------------------

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
