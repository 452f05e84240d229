#include "engine/thinking_budget.h"

#include <gtest/gtest.h>

#include <string>

namespace lares::engine {
namespace {

double worth(std::string_view question) { return worth_thinking(features_of(question)); }

TEST(ThinkingBudget, SeesWhatAQuestionLooksLike) {
  const QuestionFeatures features =
      features_of("Gr\u00FC\u00DFe! Was ist 12 * 12?\n1. sofort\n- gleich\n10) dann\n2026: nichts");
  EXPECT_EQ(features.characters, 64U);
  EXPECT_EQ(features.questions, 1U);
  EXPECT_EQ(features.parts, 3U);
  EXPECT_EQ(features.figures, 12U);
  EXPECT_FALSE(features.code);
  EXPECT_EQ(features_of("\u3053\u308C\u306F\u4F55\u3067\u3059\u304B\uFF1F").questions, 1U);
  EXPECT_TRUE(features_of("what does f() do").code);
  EXPECT_TRUE(features_of("```\nx\n```").code);
}

TEST(ThinkingBudget, TheLastWordsOfThePersonCount) {
  const Json messages = Json::array({{{"role", "system"}, {"content", "1 + 1 = 2 and so on"}},
                                     {{"role", "user"}, {"content", "12345678"}},
                                     {{"role", "assistant"}, {"content", "```"}},
                                     {{"role", "user"}, {"content", "hi"}},
                                     {{"role", "tool"}, {"content", "a tool's"}}});
  EXPECT_EQ(features_of_last(messages).characters, 2U);
  EXPECT_EQ(features_of_last(Json::array()).characters, 0U);
  EXPECT_EQ(features_of_last(Json::array({7, {{"role", 1}}})).characters, 0U);
  EXPECT_EQ(
      features_of_last(Json::array({{{"role", "user"}, {"content", Json::array()}}})).characters,
      0U);
}

TEST(ThinkingBudget, AGreetingIsWorthLittleAndASumMore) {
  EXPECT_DOUBLE_EQ(worth("hi"), 0.1);
  EXPECT_DOUBLE_EQ(worth("What happened in 1969?"), 0.1) << "a year is no sum";
  EXPECT_GT(worth("What is 17 * 24 + 391 / 17?"), worth("What is a quotient?"));
  EXPECT_GT(worth("Why does main() return 0;\nand not 1?"), 0.3);
  EXPECT_GT(worth("Who was it? And why?"), worth("Who was it, and why?"));
  EXPECT_GT(worth(std::string(500, 'a')), worth(std::string(100, 'a')));
  const std::string all =
      "Prove it? Is it so?\n1. 2 + 2 = 4\n2. 123 * 456\n```\nf();\n```\n" + std::string(3'000, 'a');
  EXPECT_LE(worth(all), 1.0);
  EXPECT_GT(worth(all), 0.9 - 0.3) << "its figures are few for its length";
}

TEST(ThinkingBudget, IsTheAcceptedTimeAtTheMeasuredSpeed) {
  const QuestionFeatures greeting = features_of("hi");
  EXPECT_EQ(thinking_budget(greeting, 30, 100), 300U);
  EXPECT_EQ(thinking_budget(greeting, 60, 100), 600U);
  EXPECT_EQ(thinking_budget(greeting, 30, 0), thinking_budget(greeting, 30, kSpeedUnknown));
  EXPECT_EQ(thinking_budget(greeting, 1, 10), kThoughtMin);
  EXPECT_EQ(thinking_budget(greeting, 86'400, 10'000), kThoughtMax);
  EXPECT_EQ(thinking_budget(greeting, 0, 100), 0U) << "no time, no thoughts";
}

TEST(ThinkingBudget, HalfOfADeadlineIsForThoughts) {
  using std::chrono::seconds;
  EXPECT_EQ(thinking_in_time(seconds(20), 100), 1'000U);
  EXPECT_EQ(thinking_in_time(seconds(20), 0), thinking_in_time(seconds(20), kSpeedUnknown));
  EXPECT_EQ(thinking_in_time(seconds(1), 64), kThoughtMin);
  EXPECT_EQ(thinking_in_time(seconds(1), 63), 0U) << "so few are no thought";
  EXPECT_EQ(thinking_in_time(seconds(86'400), 10'000), kThoughtMax);
}

TEST(ThinkingBudget, AQuarterIsKeptForTheAnswerWithinBounds) {
  EXPECT_EQ(thinking_room(400, 0), 300U);
  EXPECT_EQ(thinking_room(400, 5), 295U);
  EXPECT_EQ(thinking_room(32'768, 2), 32'768U - kAnswerMax - 2);
  EXPECT_EQ(thinking_room(40, 2), 40U - kAnswerMin - 2);
  EXPECT_EQ(thinking_room(19, 2), 1U);
  EXPECT_EQ(thinking_room(18, 2), 0U);
  EXPECT_EQ(thinking_room(0, 2), 0U);
}

}  // namespace
}  // namespace lares::engine
