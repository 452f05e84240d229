// Cancelling and interrupting, in every state, beside others who go on.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "base/text.h"
#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

using testing::letters;
using testing::small;
using testing::Talk;

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

}  // namespace
}  // namespace lares::engine
