// What every backend keeps, whatever it computes with: load, stream, cancel, overflow, reuse,
// unload. The tests of a backend include this and say how to make its models
// (INSTANTIATE_TEST_SUITE_P of BackendContract).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <thread>

#include "base/text.h"
#include "engine/testing/talk.h"

namespace lares::engine::testing {

struct ContractCase {
  std::string name;
  // Fails with the reason why it cannot be tried here.
  std::function<Result<std::unique_ptr<Model>>(const wire::Load&, Pulse&)> load;
};
// In the names of tests, where GoogleTest would print bytes.
inline void PrintTo(const ContractCase& each, std::ostream* out) { *out << each.name; }

class BackendContract : public ::testing::TestWithParam<ContractCase> {
 protected:
  void SetUp() override {
    Pulse pulse;
    auto model = GetParam().load(shape(), pulse);
    if (!model && model.error().code == Code::NotFound) GTEST_SKIP() << model.error().message;
    ASSERT_TRUE(model) << model.error().message;
  }
  static wire::Load shape(Tokens context = 512) {
    wire::Load load;
    load.name = "contract";
    load.context = context;
    load.sequences = 4;
    load.threads = 2;
    load.batch = 64;
    return load;
  }
  std::unique_ptr<Talk> talk(Tokens context = 512) const {
    return std::make_unique<Talk>([&](Pulse& pulse) {
      auto model = GetParam().load(shape(context), pulse);
      EXPECT_TRUE(model);
      return *std::move(model);
    });
  }
  static Json greedy(Tokens tokens) {
    return {{"temperature", 0}, {"max_tokens", tokens}, {"ignore_eos", true}};
  }
  static std::string words(size_t count) {
    std::string text;
    for (size_t i = 0; i < count; i++)
      text += cat(i % 7 == 3 ? " house" : " the", i % 5 == 0 ? "." : "");
    return text;
  }
};

TEST_P(BackendContract, DescribesItself) {
  Pulse pulse;
  const auto model = GetParam().load(shape(), pulse);
  const Facts& facts = (*model)->facts();
  for (const char* name :
       {"architecture", "name", "quantization", "pooling", "template_sha256", "licence"}) {
    EXPECT_TRUE(facts.info[name].is_string()) << name;
  }
  for (const char* name : {"parameters", "size_bytes", "context_train", "context", "vocabulary",
                           "embedding_length", "layers", "sliding_window"}) {
    EXPECT_TRUE(facts.info[name].is_number_integer()) << name;
  }
  EXPECT_TRUE(facts.info["has_template"].is_boolean());
  EXPECT_EQ(facts.context, 512U);
  EXPECT_GE(facts.cells, facts.context);
  EXPECT_EQ(facts.sequences, 4U);
  EXPECT_GT(facts.memory_bytes, 0U);
}

TEST_P(BackendContract, StreamsWholeCharactersAndCountsThem) {
  auto t = talk();
  t->complete(1, "Once upon a time", greedy(12));
  ASSERT_TRUE(t->run());
  ASSERT_TRUE((*t)[1].done) << (*t)[1].failed->message;
  EXPECT_EQ((*t)[1].done->reason, "length");
  EXPECT_EQ((*t)[1].done->completion_tokens, 12U);
  EXPECT_FALSE((*t)[1].text.empty());
  for (const auto& piece : (*t)[1].pieces) EXPECT_TRUE(is_utf8(piece) && !piece.empty());
}

TEST_P(BackendContract, TheSameSeedSaysTheSameWhenAlone) {
  auto t = talk();
  const auto say = [&](uint64_t id) {
    t->complete(id, "The house",
                {{"max_tokens", 24},
                 {"seed", 7},
                 {"temperature", 1.5},
                 {"logprobs", true},
                 {"ignore_eos", true}});
    EXPECT_TRUE(t->run());
    return (*t)[id].logprobs;
  };
  const Json first = say(1);
  ASSERT_EQ(first.size(), 24U);
  for (uint64_t id = 2; id < 16; id += 2) {  // whatever rests in the cells and wherever they begin
    EXPECT_EQ(say(id), first);
    EXPECT_EQ((*t)[id].started->reused_tokens, 0U);
    std::string other = cat("It is ", id, " o'clock");
    for (uint64_t i = 0; i < id; i++) other += ", and the sun shines";
    t->complete(id + 1, other, greedy(4));
    ASSERT_TRUE(t->run());
  }
}

TEST_P(BackendContract, ALongPromptsSeedSaysTheSameAndIsNotComputedTwice) {
  const Json more = {{"max_tokens", 24},
                     {"seed", 7},
                     {"temperature", 1.5},
                     {"logprobs", true},
                     {"ignore_eos", true}};
  const auto say = [&](Talk& t, uint64_t id, const std::string& prompt) {
    t.complete(id, prompt, more);
    EXPECT_TRUE(t.run());
    EXPECT_EQ(t[id].logprobs.size(), 24U);
    return t[id].logprobs;
  };
  std::string house = "The house";
  for (int i = 0; i < 24; i++) house += i % 3 == 0 ? ", and a garden" : ", the old tree";
  auto t = talk();
  const Json first = say(*t, 1, house);
  const std::string longer = cat(house, (*t)[1].text, " And then?");
  const Json after = say(*t, 2, longer);
  const size_t whole = (*t)[1].started->prompt_tokens / kExactPiece * kExactPiece;
  ASSERT_GE(whole, kParkMin);
  // what of the prompt stands there is gone on with, but nothing of the answer
  const Facts& facts = t->model->facts();
  EXPECT_EQ((*t)[2].started->reused_tokens, facts.cuts && facts.window == 0 ? whole : 0U);
  t->complete(3, cat(house, " in other words"), greedy(8));  // upon it, in its own way
  ASSERT_TRUE(t->run());
  EXPECT_EQ(say(*t, 4, house), first);
  EXPECT_EQ(say(*t, 5, longer), after);
  EXPECT_EQ(say(*talk(), 1, longer), after) << "by another worker";
}

TEST_P(BackendContract, TemperatureZeroTakesTheLikeliest) {
  auto t = talk();
  Json more = greedy(6);
  more["logprobs"] = true;
  more["top_logprobs"] = 4;
  t->complete(1, "One two three", more);
  ASSERT_TRUE(t->run());
  const Json& all = (*t)[1].logprobs;
  ASSERT_EQ(all.size(), 6U);
  for (const Json& one : all) {
    EXPECT_EQ(one["bytes"], one["top_logprobs"][0]["bytes"]);
    EXPECT_EQ(one["logprob"], one["top_logprobs"][0]["logprob"]);
    double sum = 0;
    for (const Json& candidate : one["top_logprobs"])
      sum += std::exp(candidate["logprob"].get<double>());
    EXPECT_LE(sum, 1.0001);
    EXPECT_GT(sum, 0);
  }
}

TEST_P(BackendContract, EverySamplingOptionIsTaken) {
  auto t = talk();
  const Json options[] = {{{"top_k", 1}},
                          {{"top_k", 0}, {"top_p", 0}},
                          {{"top_p", 1}, {"min_p", 0}, {"typical_p", 1}},
                          {{"min_p", 1}},
                          {{"typical_p", 0.1}},
                          {{"presence_penalty", 2}, {"frequency_penalty", -2}},
                          {{"repeat_penalty", 10}, {"repeat_last_n", -1}},
                          {{"repeat_penalty", 0.1}, {"repeat_last_n", 0}},
                          {{"temperature", 2}, {"seed", UINT32_MAX}},
                          {{"temperature", 0}, {"presence_penalty", 1}},
                          {{"xtc_probability", 1}, {"xtc_threshold", 0}},
                          {{"dry_multiplier", 100}, {"dry_base", 100}, {"dry_allowed_length", 0}},
                          {{"dry_multiplier", 1}, {"dry_sequence_breakers", Json::array()}},
                          {{"mirostat", 1}, {"mirostat_tau", 0}, {"mirostat_eta", 1}},
                          {{"mirostat", 2}, {"mirostat_tau", 100}, {"mirostat_eta", 0}},
                          {{"top_n_sigma", 0.001}},
                          {{"dynatemp_range", 2}, {"dynatemp_exponent", 100}},
                          {{"logit_bias", {{"5", -100}, {"6", 100}}}}};
  uint64_t id = 1;
  for (Json one : options) {
    one["max_tokens"] = 3;
    t->complete(id, "One two", one);
    ASSERT_TRUE(t->run());
    EXPECT_TRUE((*t)[id].done) << dump(one) << ": " << (*t)[id].failed->message;
    id++;
  }
}

TEST_P(BackendContract, ABiasOfAHundredForcesAToken) {
  auto t = talk();
  Json more = greedy(3);
  more["logprobs"] = true;
  more["logit_bias"] = {{"65", 100}};
  t->complete(1, "One two", more);
  ASSERT_TRUE(t->run());
  for (const Json& one : (*t)[1].logprobs) EXPECT_EQ(one["token"], (*t)[1].logprobs[0]["token"]);
}

TEST_P(BackendContract, AForbiddenTokenMakesWayForTheNextLikeliestAndKeepsItsLogprob) {
  auto t = talk();
  Json more = greedy(1);
  more["logprobs"] = true;
  more["top_logprobs"] = 2;
  t->complete(1, "One two three", more);
  ASSERT_TRUE(t->run());
  const Json free = (*t)[1].logprobs[0]["top_logprobs"];
  std::string likeliest;
  for (const Json& byte : free[0]["bytes"]) likeliest += static_cast<char>(byte.get<int>());
  more["logit_bias"] = Json::object();
  for (Token token = 0; token < static_cast<Token>(t->model->facts().vocabulary); token++) {
    if (t->model->piece(token, Special::AsText) == likeliest) more["logit_bias"][cat(token)] = -100;
  }
  auto again = talk();  // a fresh state, so that the same is computed in the same way
  again->complete(1, "One two three", more);
  ASSERT_TRUE(again->run());
  const Json forced = (*again)[1].logprobs[0];
  EXPECT_EQ(forced["bytes"], free[1]["bytes"]);
  EXPECT_EQ(forced["logprob"], free[1]["logprob"]);
  EXPECT_EQ(forced["top_logprobs"], free);
}

TEST_P(BackendContract, MaxTokensZeroComputesThePromptOnly) {
  auto t = talk();
  t->complete(1, "One two", {{"max_tokens", 0}});
  ASSERT_TRUE(t->run());
  EXPECT_EQ((*t)[1].text, "");
  EXPECT_EQ((*t)[1].done->reason, "length");
}

TEST_P(BackendContract, AStopStringEndsTheAnswerBeforeIt) {
  auto t = talk();
  t->complete(1, "One two three", greedy(16));
  ASSERT_TRUE(t->run());
  const std::string whole = (*t)[1].text;
  ASSERT_GE(whole.size(), 8U);
  t->complete(2, "One two three four five",
              greedy(16));  // another prompt, so that nothing is reused
  Json more = greedy(16);
  more["stop"] = {whole.substr(3, 4)};
  t->complete(3, "One two three", more);
  ASSERT_TRUE(t->run());
  EXPECT_EQ((*t)[3].text.find(whole.substr(3, 4)), std::string::npos);
}

TEST_P(BackendContract, TheSamePromptAgainIsReusedButForOneToken) {
  auto t = talk();
  t->complete(1, words(100), greedy(2));
  ASSERT_TRUE(t->run());
  t->complete(2, words(100), greedy(2));
  ASSERT_TRUE(t->run());
  const auto& started = *(*t)[2].started;
  EXPECT_EQ((*t)[1].started->reused_tokens, 0U);
  if (t->model->facts().cuts && t->model->facts().window == 0) {
    EXPECT_EQ(started.reused_tokens, started.prompt_tokens - 1);
  }
  EXPECT_EQ((*t)[2].tokens, 2U);
}

TEST_P(BackendContract, ALongerPromptBuildsOnAShorterOne) {
  auto t = talk();
  t->complete(1, words(100), greedy(1));
  ASSERT_TRUE(t->run());
  t->complete(2, words(150), greedy(1));
  ASSERT_TRUE(t->run());
  EXPECT_GE((*t)[2].started->reused_tokens, 90U);
  EXPECT_LT((*t)[2].started->reused_tokens, (*t)[2].started->prompt_tokens);
}

TEST_P(BackendContract, SeveralAnswersToOnePromptShareIt) {
  auto t = talk(2048);
  for (uint64_t id = 1; id <= 3; id++) t->complete(id, words(200), greedy(4));
  ASSERT_TRUE(t->run());
  for (uint64_t id = 1; id <= 3; id++) ASSERT_TRUE((*t)[id].done);
  if (t->model->facts().cuts && t->model->facts().window == 0) {
    EXPECT_GE((*t)[2].started->reused_tokens, 150U);
    EXPECT_GE((*t)[3].started->reused_tokens, 150U);
  }
}

TEST_P(BackendContract, ConversationsSideBySideAllEnd) {
  auto t = talk();
  for (uint64_t id = 1; id <= 9; id++) t->complete(id, cat(id, words(20 * id)), greedy(20));
  ASSERT_TRUE(t->run());
  for (uint64_t id = 1; id <= 9; id++) {
    ASSERT_TRUE((*t)[id].done) << id << ": " << (*t)[id].failed->message;
    EXPECT_EQ((*t)[id].done->completion_tokens, 20U);
  }
}

TEST_P(BackendContract, APromptThatIsTooLongIsRefusedWithBothNumbers) {
  auto t = talk();
  t->complete(1, words(3000));
  ASSERT_TRUE((*t)[1].failed);
  EXPECT_EQ((*t)[1].failed->code, Code::TooLong);
  EXPECT_EQ((*t)[1].failed->param, "prompt");
  EXPECT_NE((*t)[1].failed->message.find("512"), std::string::npos);
  t->complete(2, std::string(10'000'000, 'a'));
  EXPECT_EQ((*t)[2].failed->code, Code::TooLong);
}

TEST_P(BackendContract, AnAnswerEndsWhereTheContextEnds) {
  auto t = talk();
  t->complete(1, words(300), greedy(100'000));
  ASSERT_TRUE(t->run());
  ASSERT_TRUE((*t)[1].done) << (*t)[1].failed->message;
  EXPECT_EQ((*t)[1].done->reason, "length");
  EXPECT_EQ((*t)[1].done->prompt_tokens + (*t)[1].done->completion_tokens, 513U);
}

TEST_P(BackendContract, CancelInThePromptAndInTheAnswerLeavesTheRestWell) {
  auto t = talk(2048);
  t->complete(1, words(400), greedy(4));
  t->complete(2, cat("Other", words(40)), greedy(24));
  t->batcher.step();
  t->batcher.cancel(1);
  for (int i = 0; i < 6; i++) t->batcher.step();
  t->complete(3, words(400), greedy(4));
  t->batcher.step();
  t->batcher.cancel(2);
  ASSERT_TRUE(t->run());
  EXPECT_EQ((*t)[1].failed->code, Code::Cancelled);
  EXPECT_EQ((*t)[2].failed->code, Code::Cancelled);
  ASSERT_TRUE((*t)[3].done);
}

TEST_P(BackendContract, AnInterruptedStepIsTakenBackWhole) {
  auto t = talk(2048);
  t->complete(1, words(300), greedy(8));
  ASSERT_TRUE(t->run());
  const std::string undisturbed = (*t)[1].text;

  auto again = talk(2048);
  again->complete(1, words(300), greedy(8));
  {
    const std::jthread other([&](const std::stop_token& stop) {
      for (int i = 0; i < 8 && !stop.stop_requested(); i++) {
        again->pulse.abort();
        std::this_thread::sleep_for(std::chrono::milliseconds(7));
      }
    });
    ASSERT_TRUE(again->run());
  }
  ASSERT_TRUE((*again)[1].done);
  // the same chunks in the same cells: the same bits
  EXPECT_EQ((*again)[1].text, undisturbed);
}

TEST_P(BackendContract, AConversationThatRestsLeavesTheCellsAndComesBackWhole) {
  const auto follow_up = [&](bool disturbed) {
    auto t = talk(1024);
    t->complete(1, words(300), greedy(8));
    EXPECT_TRUE(t->run());
    EXPECT_EQ(t->batcher.parked().count(), 1U);
    const Tokens before = (*t)[1].done->prompt_tokens;
    if (disturbed) {
      t->complete(2, " one two" + words(200), greedy(4));
      EXPECT_TRUE(t->run());
      const auto& slots = t->batcher.slots();
      EXPECT_LT(slots.cells_total() - slots.cells_free(), before) << "the first is still there";
    }
    t->complete(3, words(300) + " one two three", greedy(8));
    EXPECT_TRUE(t->run());
    // a short window has a hole where the answer's end is cut off, and is computed again
    const Tokens window = t->model->facts().window;
    if (window == 0 || window > before + 8) {
      EXPECT_GE((*t)[3].started->reused_tokens, before - 1);
    }
    return (*t)[3].text;
  };
  const std::string undisturbed = follow_up(false);
  EXPECT_EQ(follow_up(true), undisturbed);
}

TEST_P(BackendContract, EveryStringOfBytesIsReadOrRefused) {
  auto t = talk();
  std::mt19937 random(3);
  for (uint64_t id = 1; id <= 30; id++) {
    std::string text;
    for (auto n = random() % 60; n > 0; n--) text += static_cast<char>(random() % 256);
    t->complete(id, id % 2 == 0 ? utf8_repaired(text) : text, greedy(1));
    ASSERT_TRUE(t->run());
    EXPECT_EQ((*t)[id].ends, 1);
    if ((*t)[id].failed) {
      EXPECT_EQ((*t)[id].failed->code, Code::Invalid);
    }
  }
}

TEST_P(BackendContract, ChatsAreCheckedMessageByMessage) {
  auto t = talk();
  const Json bad[] = {Json::array({5}),
                      {{{"content", "x"}}},
                      {{{"role", 5}, {"content", "x"}}},
                      {{{"role", "king"}, {"content", "x"}}},
                      {{{"role", "user"}, {"content", 5}}},
                      {{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}};
  uint64_t id = 1;
  for (const Json& messages : bad) {
    t->batcher.generate(id, {"chat", {{"messages", messages}, {"max_tokens", 1}}});
    ASSERT_TRUE((*t)[id].failed) << dump(messages);
    EXPECT_TRUE((*t)[id].failed->code == Code::Invalid ||
                (*t)[id].failed->code == Code::Unsupported);
    EXPECT_EQ((*t)[id].failed->param, "messages");
    id++;
  }
}

TEST_P(BackendContract, AChatModelHasNoEmbeddings) {
  auto t = talk();
  t->batcher.embed(1, {{"x"}});
  ASSERT_TRUE((*t)[1].failed);
  EXPECT_EQ((*t)[1].failed->code, Code::Invalid);
}

TEST_P(BackendContract, CanBeLoadedAgainAfterItWasUnloaded) {
  for (int i = 0; i < 3; i++) {
    auto t = talk();
    t->complete(1, "One", greedy(1));
    ASSERT_TRUE(t->run());
    EXPECT_TRUE((*t)[1].done);
  }
}

inline std::string contract_name(const ::testing::TestParamInfo<ContractCase>& info) {
  return info.param.name;
}

}  // namespace lares::engine::testing
