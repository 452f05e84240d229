#include "engine/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lares::engine {
namespace {

constexpr Tokens kVocabulary = 1000;

Result<GenerateOptions> read(Json body, const std::string& kind = "completion") {
  if (kind == "completion" && !body.contains("prompt")) body["prompt"] = "x";
  return read_options({kind, body}, kVocabulary, 7);
}

TEST(Options, LeaveEverythingAtItsDefault) {
  const auto options = read({});
  ASSERT_TRUE(options);
  EXPECT_EQ(std::get<std::string>(options->prompt), "x");
  EXPECT_FALSE(options->max_tokens);
  EXPECT_FALSE(options->top);
  EXPECT_FLOAT_EQ(options->sampling.temperature, 0.8F);
  EXPECT_EQ(options->sampling.top_k, 40);
  EXPECT_EQ(options->sampling.seed, 7U);
}

TEST(Options, TakeEveryField) {
  const auto options = read({{"max_tokens", 5},
                             {"temperature", 0},
                             {"top_p", 1},
                             {"top_k", 3},
                             {"min_p", 0.5},
                             {"typical_p", 0.25},
                             {"presence_penalty", -2},
                             {"frequency_penalty", 2},
                             {"repeat_penalty", 1.5},
                             {"repeat_last_n", -1},
                             {"seed", 42},
                             {"stop", {"a", "b"}},
                             {"logit_bias", {{"999", -100}}},
                             {"logprobs", true},
                             {"top_logprobs", 20},
                             {"echo", false},
                             {"xtc_probability", 0.5},
                             {"xtc_threshold", 0.2},
                             {"dry_multiplier", 0.8},
                             {"dry_base", 2},
                             {"dry_allowed_length", 3},
                             {"dry_penalty_last_n", -1},
                             {"dry_sequence_breakers", {"\n"}},
                             {"mirostat", 2},
                             {"mirostat_tau", 4},
                             {"mirostat_eta", 0.2},
                             {"top_n_sigma", 1.5},
                             {"dynatemp_range", 0.25},
                             {"dynatemp_exponent", 1.25},
                             {"ignore_eos", true}});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->max_tokens, 5U);
  EXPECT_EQ(options->top, 20U);
  EXPECT_EQ(options->stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options->sampling.seed, 42U);
  EXPECT_EQ(options->sampling.repeat_last_n, -1);
  EXPECT_EQ(options->sampling.logit_bias[0].first, 999);
  const Sampling& sampling = options->sampling;
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_FLOAT_EQ(sampling.xtc_probability, 0.5F);
  EXPECT_FLOAT_EQ(sampling.xtc_threshold, 0.2F);
  EXPECT_FLOAT_EQ(sampling.dry_multiplier, 0.8F);
  EXPECT_FLOAT_EQ(sampling.dry_base, 2);
  EXPECT_EQ(sampling.dry_allowed_length, 3);
  EXPECT_EQ(sampling.dry_penalty_last_n, -1);
  EXPECT_EQ(sampling.dry_sequence_breakers, std::vector<std::string>{"\n"});
  EXPECT_EQ(sampling.mirostat, 2);
  EXPECT_FLOAT_EQ(sampling.mirostat_tau, 4);
  EXPECT_FLOAT_EQ(sampling.mirostat_eta, 0.2F);
  EXPECT_FLOAT_EQ(sampling.top_n_sigma, 1.5F);
  EXPECT_FLOAT_EQ(sampling.dynatemp_range, 0.25F);
  EXPECT_FLOAT_EQ(sampling.dynatemp_exponent, 1.25F);
}

TEST(Options, NullIsAsIfAbsent) {
  const auto options = read({{"max_tokens", nullptr}, {"stop", nullptr}, {"seed", nullptr}});
  ASSERT_TRUE(options);
  EXPECT_FALSE(options->max_tokens);
  EXPECT_EQ(options->sampling.seed, 7U);
}

TEST(Options, AWholeNumberMayBeWrittenWithAPoint) {
  const auto options = read({{"max_tokens", 5.0}});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->max_tokens, 5U);
}

struct Bad {
  const char* field;
  Json value;
};

TEST(Options, RefuseWhatIsOutOfRangeAndNameTheField) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<Bad> table = {
      {"max_tokens", -1},
      {"max_tokens", 1.5},
      {"max_tokens", "5"},
      {"max_tokens", 1e300},
      {"max_tokens", nan},
      {"max_tokens", UINT64_MAX},
      {"temperature", -0.1},
      {"temperature", 2.1},
      {"temperature", "hot"},
      {"top_p", -0.1},
      {"top_p", 1.1},
      {"min_p", 2},
      {"typical_p", 0},
      {"typical_p", -1},
      {"presence_penalty", 2.5},
      {"frequency_penalty", -3},
      {"repeat_penalty", 0},
      {"repeat_penalty", 1e38},
      {"top_k", -2},
      {"top_k", 1.5},
      {"repeat_last_n", -2},
      {"xtc_probability", 1.1},
      {"xtc_threshold", -0.1},
      {"dry_multiplier", -1},
      {"dry_base", 0.9},
      {"dry_allowed_length", -1},
      {"dry_penalty_last_n", -2},
      {"dry_sequence_breakers", "x"},
      {"dry_sequence_breakers", {""}},
      {"dry_sequence_breakers", {1}},
      {"dry_sequence_breakers", {std::string("a\0b", 3)}},
      {"dry_sequence_breakers", {std::string(41, 'x')}},
      {"dry_sequence_breakers", std::vector<std::string>(17, "x")},
      {"mirostat", 3},
      {"mirostat_tau", -1},
      {"mirostat_eta", 1.5},
      {"top_n_sigma", -2},
      {"dynatemp_range", 2.5},
      {"dynatemp_exponent", -1},
      {"seed", 1.5},
      {"seed", "x"},
      {"stop", 5},
      {"stop", {1}},
      {"stop", {""}},
      {"stop", Json::array({"a", nullptr})},
      {"stop", {{"a", 1}}},
      {"logprobs", 5},
      {"logprobs", "yes"},
      {"top_logprobs", 21},
      {"top_logprobs", -1},
      {"echo", 1},
      {"ignore_eos", "no"},
      {"logit_bias", {1, 2}},
      {"logit_bias", {{"1000", 1}}},
      {"logit_bias", {{"-1", 1}}},
      {"logit_bias", {{"x", 1}}},
      {"logit_bias", {{"5", 101}}},
      {"logit_bias", {{"5", "a"}}},
      {"logit_bias", {{"5", nan}}},
      {"prompt", 5},
      {"prompt", {{"a", 1}}},
      {"prompt", {1, 1000}},
      {"prompt", {-1}},
      {"prompt", {1.5}},
      {"prompt", {"a"}},
  };
  for (const char* field :
       {"temperature", "top_p", "min_p", "typical_p", "presence_penalty", "frequency_penalty",
        "repeat_penalty", "xtc_probability", "xtc_threshold", "dry_multiplier", "dry_base",
        "mirostat_tau", "mirostat_eta", "top_n_sigma", "dynatemp_range", "dynatemp_exponent"}) {
    for (const double bad : {nan, inf, -inf, 1e300}) table.push_back({field, bad});
  }
  for (const auto& [field, value] : table) {
    const auto options = read({{field, value}});
    ASSERT_FALSE(options) << field << " = " << dump(value);
    EXPECT_EQ(options.error().code, Code::Invalid);
    EXPECT_EQ(options.error().param, field) << options.error().message;
    EXPECT_NE(options.error().message.find(field), std::string::npos) << options.error().message;
  }
}

TEST(Options, BoundStopStringsAndBiases) {
  EXPECT_TRUE(read({{"stop", std::vector<std::string>(16, "x")}}));
  EXPECT_FALSE(read({{"stop", std::vector<std::string>(17, "x")}}));
  EXPECT_FALSE(read({{"stop", std::string(1025, 'x')}}));
  Json many = Json::object();
  for (int i = 0; i < 1025; i++) many[std::to_string(i)] = 1;
  EXPECT_FALSE(read_options({"completion", {{"prompt", "x"}, {"logit_bias", many}}}, 5000, 1));
}

TEST(Options, TopLogprobsNeedLogprobs) {
  EXPECT_FALSE(read({{"top_logprobs", 1}}));
  EXPECT_TRUE(read({{"top_logprobs", 0}}));
  EXPECT_TRUE(read({{"logprobs", false}, {"top_logprobs", 0}}));
}

TEST(Options, MinusOneIsARandomSeedAndLargeSeedsStayApart) {
  EXPECT_EQ(read({{"seed", -1}})->sampling.seed, 7U);
  const auto first = read({{"seed", int64_t{1} << 40}})->sampling.seed;
  const auto second = read({{"seed", int64_t{2} << 40}})->sampling.seed;
  EXPECT_NE(first, second);
  EXPECT_NE(read({{"seed", UINT32_MAX}})->sampling.seed, UINT32_MAX);
}

TEST(Options, AChatNeedsMessages) {
  EXPECT_EQ(read(Json::object(), "chat").error().param, "messages");
  EXPECT_EQ(read({{"messages", "x"}}, "chat").error().param, "messages");
  EXPECT_EQ(read({{"messages", Json::array()}}, "chat").error().param, "messages");
  EXPECT_TRUE(read({{"messages", {{{"role", "user"}}}}}, "chat"));
  EXPECT_FALSE(read({{"messages", {{{"role", "user"}}}}, {"chat_template_kwargs", 1}}, "chat"));
}

TEST(Options, AdaptersAreSortedAndThoseThatDoNothingLeftOut) {
  const std::vector<std::string> names = {"a", "b", "c"};
  const auto read_lora = [&](const Json& lora) {
    return read_options({"completion", {{"prompt", "x"}, {"lora", lora}}}, kVocabulary, 7, names);
  };
  const auto one = [](const char* id, Json scale) { return Json{{"id", id}, {"scale", scale}}; };
  const auto options = read_lora({one("c", 0.5), one("a", -1), one("b", 0)});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->adapters, (std::vector<Adapter>{{0, -1}, {2, 0.5F}}));
  EXPECT_TRUE(read_lora(Json::array())->adapters.empty());
  for (const Json& bad :
       {Json("a"), Json::array({"a"}), Json::array({one("d", 1)}), Json::array({one("a", "1")}),
        Json::array({one("a", 16.5)}), Json::array({one("a", 1), one("a", 2)}),
        Json::array({one("a", std::numeric_limits<double>::quiet_NaN())}),
        Json(std::vector<Json>(9, one("a", 1)))}) {
    EXPECT_EQ(read_lora(bad).error().param, "lora") << dump(bad);
  }
}

TEST(Options, AGapHasTwoSidesAndPerhapsFiles) {
  const auto options = read({{"input_prefix", "a"},
                             {"input_suffix", "b"},
                             {"prompt", "c"},
                             {"input_extra", {{{"filename", "f"}, {"text", "t"}}}}},
                            "infill");
  ASSERT_TRUE(options) << options.error().message;
  ASSERT_TRUE(options->gap);
  EXPECT_EQ(options->gap->prefix, "a");
  EXPECT_EQ(options->gap->suffix, "b");
  EXPECT_EQ(options->gap->prompt, "c");
  ASSERT_EQ(options->gap->extra.size(), 1U);
  EXPECT_EQ(options->gap->extra[0].filename, "f");
  EXPECT_EQ(read({{"input_prefix", 1}}, "infill").error().param, "input_prefix");
  for (const Json& bad : {Json("x"), Json::array({"x"}), Json::array({{{"text", "t"}}}),
                          Json::array({{{"text", 1}, {"filename", "f"}}}),
                          Json(std::vector<Json>(257, {{"filename", "f"}, {"text", "t"}}))}) {
    EXPECT_EQ(read({{"input_extra", bad}}, "infill").error().param, "input_extra") << dump(bad);
  }
}

TEST(Options, RefuseAnotherKindOrShape) {
  EXPECT_FALSE(read(Json::object(), "poem"));
  EXPECT_FALSE(read_options({"completion", Json::array()}, kVocabulary, 1));
  EXPECT_EQ(read_options({"completion", Json::object()}, kVocabulary, 1).error().param, "prompt");
}

}  // namespace
}  // namespace lares::engine
