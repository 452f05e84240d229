// Each sampler over the logits of a model: what it is said to change is changed, and nothing is
// while it is off.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "generated_vision.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

// Draws again and again what may come after one prompt.
class Draws : public ::testing::Test {
 protected:
  virtual Result<std::unique_ptr<Model>> load_model() {
    return load(kSmolLm, {.context = 256, .sequences = 1}, pulse_);
  }
  void SetUp() override {
    auto loaded = load_model();
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
using Samplers = Draws;

// With a generated model too, which is always there: what is asked goes by the model's own figures.
class Truncation : public Draws, public ::testing::WithParamInterface<const char*> {
 protected:
  Result<std::unique_ptr<Model>> load_model() override {
    if (GetParam() != std::string("Generated")) return Draws::load_model();
    static const TempFile file(text_model("llama"));
    return load_file(file.path, {.context = 256, .sequences = 1}, pulse_);
  }
  // Nothing but a high temperature.
  static Sampling hot() {
    Sampling sampling = plain();
    sampling.temperature = 2;
    return sampling;
  }
  // All tokens, likeliest first.
  std::vector<Candidate> all() {
    const auto sampler = model_->sampler(plain(), prompt_);
    return (*sampler)->choose(row_, static_cast<unsigned>(model_->facts().vocabulary))->top;
  }
  static double chance(const Candidate& one) { return std::exp(static_cast<double>(one.logprob)); }
  std::set<Token> drawn(const Sampling& sampling) {
    std::set<Token> tokens;
    for (const auto& [token, times] : draw(sampling, 300)) tokens.insert(token);
    return tokens;
  }
  static std::set<Token> first(const std::vector<Candidate>& tokens, size_t count) {
    std::set<Token> out;
    for (size_t i = 0; i < count; i++) out.insert(tokens[i].token);
    return out;
  }
  // Greedy, and a token that is often in the prompt leads by 1 over the likeliest that is not.
  Sampling leading(Token token) {
    double own = 0, best = -INFINITY;
    for (const Candidate& one : all()) {
      const auto logprob = static_cast<double>(one.logprob);
      if (one.token == token) own = logprob;
      if (std::find(prompt_.begin(), prompt_.end(), one.token) == prompt_.end())
        best = std::max(best, logprob);
    }
    Sampling sampling{.temperature = 0};
    for (const Token each : prompt_) {
      const auto forbidden = std::pair{each, -100.0F};
      if (each != token) sampling.logit_bias.push_back(forbidden);
    }
    sampling.logit_bias.emplace_back(token, static_cast<float>(best - own + 1));
    return sampling;
  }
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
// Where the likeliest are chosen from, only those are looked at; with more biases than that is
// worth it all are.
TEST_F(Samplers, DrawingFromTheLikeliestAloneIsDrawingFromAll) {
  read("My favourite colour is");
  const auto sequence = [&](const Sampling& sampling) {
    auto sampler = model_->sampler(sampling, prompt_);
    EXPECT_TRUE(sampler) << sampler.error().message;
    std::vector<Token> drawn;
    for (int i = 0; i < 60; i++) drawn.push_back((*sampler)->choose(row_, std::nullopt)->token);
    return drawn;
  };
  const Token rare = model_->tokenize("zebra", Special::Parsed)->back();
  const std::vector<std::vector<std::pair<Token, float>>> biases = {
      {}, {{rare, 30.0F}}, {{likeliest_, -100.0F}}, {{likeliest_, -100.0F}, {rare, 5.0F}}};
  for (const int top_k : {1, 7, 40, 1000}) {
    for (size_t i = 0; i < biases.size(); i++) {
      Sampling sampling = plain();
      sampling.temperature = 1.5F;
      sampling.top_k = top_k;
      sampling.logit_bias = biases[i];
      const auto some = sequence(sampling);
      for (Token token = 1000; token < 1070; token++) sampling.logit_bias.emplace_back(token, 0.0F);
      EXPECT_EQ(some, sequence(sampling)) << top_k << " " << i;
      if (i == 1) {
        EXPECT_GT(std::count(some.begin(), some.end(), rare), 50) << top_k;
      }
    }
  }
}

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

TEST_P(Truncation, NothingIsLeftOutWhereAllAreOff) {
  read(kOpen);
  EXPECT_GT(drawn(hot()).size(), 20U);
}

TEST_P(Truncation, TopKLeavesTheLikeliest) {
  read(kOpen);
  const auto tokens = all();
  Sampling sampling = hot();
  sampling.top_k = 1;
  EXPECT_EQ(drawn(sampling), first(tokens, 1));
  sampling.top_k = 3;
  EXPECT_EQ(drawn(sampling), first(tokens, 3));
}

TEST_P(Truncation, TopPLeavesTheLikeliestThatTogetherAreSoLikely) {
  read(kOpen);
  const auto tokens = all();
  Sampling sampling = hot();
  sampling.top_p = 0.001F;
  EXPECT_EQ(drawn(sampling), first(tokens, 1));
  sampling.top_p = static_cast<float>(chance(tokens[0]) + chance(tokens[1]) / 2);
  EXPECT_EQ(drawn(sampling), first(tokens, 2));
}

TEST_P(Truncation, MinPLeavesWhatIsSoLikelyBesideTheLikeliest) {
  read(kOpen);
  const auto tokens = all();
  Sampling sampling = hot();
  sampling.min_p = 1;
  EXPECT_EQ(drawn(sampling), first(tokens, 1));
  const double share = chance(tokens[2]) / chance(tokens[0]);
  sampling.min_p = static_cast<float>(share * 0.999);
  EXPECT_EQ(drawn(sampling), first(tokens, 3));
}

TEST_P(Truncation, TypicalPLeavesWhatSurprisesAsMuchAsTheModelExpects) {
  read(kOpen);
  const auto tokens = all();
  double entropy = 0;
  for (const Candidate& one : tokens) {
    if (chance(one) > 0) entropy -= chance(one) * static_cast<double>(one.logprob);
  }
  const auto distance = [&](const Candidate& one) {
    return std::abs(-static_cast<double>(one.logprob) - entropy);
  };
  const auto typical =
      std::min_element(tokens.begin(), tokens.end(),
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  Sampling sampling = hot();
  sampling.typical_p = 0.0001F;
  EXPECT_EQ(drawn(sampling), std::set<Token>{typical->token});
}

TEST_P(Truncation, ThePenaltiesAreForWhatWasSaid) {
  read(kRepeats);
  const Token said = *std::max_element(prompt_.begin(), prompt_.end() - 1, [&](Token a, Token b) {
    return std::count(prompt_.begin(), prompt_.end(), a) <
           std::count(prompt_.begin(), prompt_.end(), b);
  });
  const auto times = static_cast<float>(std::count(prompt_.begin(), prompt_.end(), said));
  ASSERT_GE(times, 2);
  const Sampling free = leading(said);
  ASSERT_EQ(greedy_with(free), said);
  const auto with = [&](const std::function<void(Sampling&)>& change) {
    Sampling sampling = free;
    change(sampling);
    return greedy_with(sampling);
  };
  EXPECT_EQ(with([](Sampling& s) { s.presence_penalty = 0.5F; }), said);
  EXPECT_NE(with([](Sampling& s) { s.presence_penalty = 1.5F; }), said);
  // each time counts
  EXPECT_EQ(with([&](Sampling& s) { s.frequency_penalty = 0.8F / times; }), said);
  EXPECT_NE(with([&](Sampling& s) { s.frequency_penalty = 1.2F / times; }), said);
  EXPECT_NE(with([](Sampling& s) { s.repeat_penalty = 10; }), said);
  EXPECT_EQ(with([](Sampling& s) { s.repeat_penalty = 0.5F; }), said);
  // and of what was said so lately
  EXPECT_EQ(with([](Sampling& s) {
              s.presence_penalty = 2;
              s.repeat_last_n = 0;
            }),
            said);
  const auto last = std::find(prompt_.rbegin(), prompt_.rend(), said) - prompt_.rbegin();
  for (const bool far_enough : {false, true}) {
    const Token token = with([&](Sampling& s) {
      s.presence_penalty = 2;
      s.repeat_last_n = static_cast<int32_t>(last) + (far_enough ? 1 : 0);
    });
    EXPECT_EQ(token != said, far_enough);
  }
}

INSTANTIATE_TEST_SUITE_P(Generated, Truncation, ::testing::Values("Generated"));
INSTANTIATE_TEST_SUITE_P(Real, Truncation, ::testing::Values("SmolLM2"));

}  // namespace
}  // namespace lares::engine::testing
