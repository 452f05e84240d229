// Each sampler over the logits of a real model: what it is said to change is changed, and nothing
// is while it is off.
#include <cmath>
#include <map>

#include "real_models.h"

namespace lares::engine::testing {
namespace {

// Draws again and again what may come after one prompt.
class Samplers : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loaded = load(kSmolLm, {.context = 256, .sequences = 1}, pulse_);
    if (!loaded && loaded.error().code == Code::NotFound) GTEST_SKIP() << loaded.error().message;
    ASSERT_TRUE(loaded) << loaded.error().message;
    model_ = *std::move(loaded);
  }

  void read(std::string_view text) {
    prompt_ = *model_->tokenize(text, Special::Parsed);
    std::vector<Row> rows;
    for (const Token token : prompt_)
      rows.push_back({token, static_cast<Position>(rows.size()), 0, false});
    rows.back().wants_logits = true;
    row_ = static_cast<int>(rows.size()) - 1;
    model_->cut(0, 0);
    ASSERT_EQ(model_->decode(rows), Decoded::Ok);
    likeliest_ = draw({.temperature = 0}, 1).begin()->first;
  }

  // How often each token was drawn.
  std::map<Token, int> draw(const Sampling& sampling, int times) {
    std::map<Token, int> drawn;
    surprise_ = 0;
    auto sampler = model_->sampler(sampling, prompt_);
    EXPECT_TRUE(sampler) << sampler.error().message;
    for (int i = 0; sampler && i < times; i++) {
      const auto chosen = (*sampler)->choose(row_, 0);
      EXPECT_TRUE(chosen) << chosen.error().message;
      if (!chosen) break;
      drawn[chosen->token]++;
      surprise_ -= static_cast<double>(chosen->logprob) / std::log(2.0) / times;
    }
    return drawn;
  }
  // Everything the model holds possible, as likely as it says.
  static Sampling plain() {
    return {.temperature = 1, .top_p = 1, .top_k = 0, .min_p = 0, .seed = 11};
  }
  Token greedy_with(const Sampling& sampling) { return draw(sampling, 1).begin()->first; }

  Pulse pulse_;
  std::unique_ptr<Model> model_;
  std::vector<Token> prompt_;
  int row_ = 0;
  Token likeliest_ = 0;
  double surprise_ = 0;  // of what was drawn last, in bits, on average
};

constexpr std::string_view kOpen = "My favourite colour is";
constexpr std::string_view kRepeats =
    " one two three four five one two three four five one two three";

TEST_F(Samplers, XtcLeavesTheLikeliestOut) {
  read(kOpen);
  Sampling sampling = plain();
  EXPECT_GT(draw(sampling, 200)[likeliest_], 0);
  sampling.xtc_probability = 1;
  sampling.xtc_threshold = 0.02F;
  EXPECT_EQ(draw(sampling, 200)[likeliest_], 0);
  sampling.temperature = 0;
  EXPECT_NE(greedy_with(sampling), likeliest_);
  sampling.xtc_threshold = 0.51F;
  EXPECT_EQ(greedy_with(sampling), likeliest_);
}

TEST_F(Samplers, TopNSigmaKeepsWhatIsNearTheLargest) {
  read(kOpen);
  Sampling sampling = plain();
  sampling.temperature = 2;
  const size_t all = draw(sampling, 200).size();
  sampling.top_n_sigma = 1;
  const size_t near = draw(sampling, 200).size();
  EXPECT_LT(near, all);
  sampling.top_n_sigma = 0.001F;
  EXPECT_EQ(draw(sampling, 200).size(), 1U);
  sampling.top_n_sigma = 0;
  EXPECT_EQ(draw(sampling, 200).size(), all);
}

TEST_F(Samplers, TheTemperatureGoesByTheEntropy) {
  read(kOpen);
  Sampling sampling = plain();
  const int at_one = draw(sampling, 400)[likeliest_];
  sampling.dynatemp_range = 1;
  sampling.dynatemp_exponent = 0;  // always the upper end: 2
  EXPECT_LT(draw(sampling, 400)[likeliest_] * 2, at_one);
  sampling.dynatemp_exponent = 100;  // always the lower end: 0
  EXPECT_EQ(draw(sampling, 100)[likeliest_], 100);
}

TEST_F(Samplers, MirostatSteersTheSurprise) {
  read(kOpen);
  for (const int version : {1, 2}) {
    Sampling sampling = plain();
    sampling.mirostat = version;
    sampling.mirostat_tau = 1;
    draw(sampling, 250);
    const double calm = surprise_;
    sampling.mirostat_tau = 4;
    draw(sampling, 250);
    EXPECT_LT(calm + 1, surprise_) << version;
    // it counts over what it has not cut off, so the model's own figure is a little higher
    EXPECT_NEAR(surprise_, 4.7, 1) << version;
    sampling.mirostat_eta = 0;  // learns nothing: stays at twice the surprise wanted
    const double learned = surprise_;
    draw(sampling, 250);
    EXPECT_NE(surprise_, learned) << version;
    sampling.temperature = 0;
    EXPECT_EQ(draw(sampling, 20).size(), 1U) << version;
  }
}

// Whatever the model thinks, " four" is the likeliest here, and it goes on with a repetition.
TEST_F(Samplers, DryEndsARepetition) {
  read(kRepeats);
  const Token four = (*model_->tokenize(" four", Special::Parsed)).back();
  Sampling sampling{.temperature = 0, .logit_bias = {{four, 30.0F}}};
  EXPECT_EQ(greedy_with(sampling), four);
  sampling.dry_multiplier = 5;
  EXPECT_NE(greedy_with(sampling), four);
  Sampling other = sampling;
  other.dry_penalty_last_n = 0;
  EXPECT_EQ(greedy_with(other), four);
  other = sampling;
  other.dry_allowed_length = 60;
  EXPECT_EQ(greedy_with(other), four);
  other = sampling;
  other.dry_sequence_breakers = {" three"};
  EXPECT_EQ(greedy_with(other), four);
  other = sampling;
  other.dry_multiplier = 0.01F;
  other.dry_base = 1;
  EXPECT_EQ(greedy_with(other), four);
  other.dry_base = 10;
  EXPECT_NE(greedy_with(other), four);
}

TEST_F(Samplers, DryLooksBackOverTheWholeContextWhenAsked) {
  std::string far = " one two three four five";
  for (int i = 0; i < 90; i++) far += " and";
  read(far + " one two three");
  const Token four = (*model_->tokenize(" four", Special::Parsed)).back();
  Sampling sampling{.temperature = 0, .logit_bias = {{four, 30.0F}}};
  sampling.dry_multiplier = 50;
  EXPECT_EQ(greedy_with(sampling), four);  // 64 tokens back are not enough
  sampling.dry_penalty_last_n = -1;
  EXPECT_NE(greedy_with(sampling), four);
}

}  // namespace
}  // namespace lares::engine::testing
