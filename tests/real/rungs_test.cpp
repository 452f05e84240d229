// A model that leaves memory and comes back: what it computes is the same to the bit, its
// conversations go on where they were, and its weights take no memory meanwhile.
#include <fstream>

#include "engine/testing/talk.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

// Of this process, as the kernel counts it: bytes mapped from files, and its own.
struct Resident {
  uint64_t file = 0;
  uint64_t own = 0;
};
Resident resident() {
  Resident out;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "RssFile:" && status >> kib) out.file = kib << 10;
    if (word == "RssAnon:" && status >> kib) out.own = kib << 10;
  }
  return out;
}

class Rungs : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override {
    auto file = model_file(GetParam());
    if (!file) GTEST_SKIP() << file.error().message;
    if (!variant()) GTEST_SKIP() << variant().error().message;
    file_ = *file;
  }
  Talk talk() const {
    return Talk([&](Pulse& pulse) {
      auto loaded = load_file(file_, {.name = "m", .context = 2048, .sequences = 4}, pulse);
      EXPECT_TRUE(loaded) << loaded.error().message;
      return *std::move(loaded);
    });
  }
  // With a seed the bytes are the same each time; without, all that is known is built upon.
  static Json told(Talk& t, uint64_t id, const std::string& prompt, bool seeded = true) {
    Json options = {{"temperature", 0},
                    {"max_tokens", 12},
                    {"ignore_eos", true},
                    {"logprobs", true},
                    {"top_logprobs", 20}};
    if (seeded) options["seed"] = 1;
    t.complete(id, prompt, std::move(options));
    EXPECT_TRUE(t.run());
    EXPECT_TRUE(t[id].done) << t[id].failed->message;
    return t[id].logprobs;
  }
  fs::path file_;
};

TEST_P(Rungs, WhatIsComputedAfterwardsIsTheSameToTheBit) {
  const auto prompt = [](int n) { return cat("The capital number ", n, " of the world is"); };
  std::vector<Json> expected;
  {
    Talk stays = talk();
    for (int n = 0; n < 6; n++)
      expected.push_back(told(stays, static_cast<uint64_t>(n) + 1, prompt(n)));
  }
  Talk moves = talk();
  const std::vector<std::vector<Rung>> ways = {{},
                                               {Rung::Warm},
                                               {Rung::Parked},
                                               {Rung::Warm, Rung::Parked},
                                               {Rung::Parked, Rung::Warm},
                                               {Rung::Parked, Rung::Warm, Rung::Parked}};
  for (size_t n = 0; n < ways.size(); n++) {
    for (const Rung rung : ways[n]) ASSERT_TRUE(moves.batcher.stand(rung, n % 2 == 1));
    ASSERT_TRUE(moves.batcher.stand(Rung::Hot, false));
    EXPECT_EQ(told(moves, n + 1, prompt(static_cast<int>(n))), expected[n]) << n;
  }
}

TEST_P(Rungs, AConversationGoesOnWhereItWas) {
  std::string prompt = "Once upon a time";
  for (int i = 0; i < 60; i++) prompt += cat(", and then there were ", i, " houses");
  Talk t = talk();
  told(t, 1, prompt, false);
  ASSERT_TRUE(t.batcher.stand(Rung::Parked, false));
  ASSERT_TRUE(t.batcher.stand(Rung::Hot, false));
  const std::string longer = cat(prompt, t[1].text, " And so");
  told(t, 2, longer, false);
  EXPECT_GE(t[2].done->reused_tokens + 4, t[1].done->prompt_tokens);
}

TEST_P(Rungs, WeightsTakeNoMemoryWhereItIsParked) {
  Talk t = talk();
  told(t, 1, "One two three");
  const uint64_t weights = t.model->memory_on(Rung::Warm) - t.model->memory_on(Rung::Parked);
  ASSERT_GT(weights, 10U << 20);
  ASSERT_TRUE(t.batcher.stand(Rung::Warm, false));
  const Resident warm = resident();
  ASSERT_TRUE(t.batcher.stand(Rung::Parked, false));
  const Resident parked = resident();
  EXPECT_LT(parked.file + weights / 10 * 9, warm.file) << "of " << weights;
  ASSERT_TRUE(t.batcher.stand(Rung::Warm, false));
  EXPECT_GE(resident().file + weights / 20, warm.file);
}

// The worker's file became shorter under it: that is said, and no signal ends it.
TEST_P(Rungs, OfAFileThatWasCutItDoesNotComeBack) {
  const TempFile copy(*read_file(file_, GiB(2)));
  Pulse pulse;
  auto model = load_file(copy.path, {.name = "m", .context = 512, .sequences = 2}, pulse);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE((*model)->stand(Rung::Parked, true));
  fs::resize_file(copy.path, fs::file_size(copy.path) / 2);
  const auto stood = (*model)->stand(Rung::Warm, false);
  ASSERT_FALSE(stood);
  EXPECT_EQ(stood.error().code, Code::Corrupt);
  EXPECT_NE(stood.error().message.find("shorter than when it was loaded"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Models, Rungs, ::testing::Values(kSmolLm, kGemma),
                         [](const auto& name) { return name.index == 0 ? "SmolLm" : "Gemma"; });

}  // namespace
}  // namespace lares::engine::testing
