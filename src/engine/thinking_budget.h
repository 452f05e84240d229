// ThinkingBudget: how many tokens a model thinks. Where the person leaves that to Lares
// (reasoning_effort "auto"): as much of the time that they accept as the question looks worth, by
// what can be seen of it in any language, at the speed of this machine. In any case no more than
// leaves room for an answer. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/units.h"

namespace lares::engine {

inline constexpr Tokens kThoughtMin = 32;  // fewer are no thought
inline constexpr Tokens kThoughtMax = 16'384;
inline constexpr double kSpeedUnknown = 10;  // tokens a second, before a step was measured
// What is kept for the answer: a quarter of what there is for it and the thoughts, within these.
inline constexpr size_t kAnswerMin = 16;
inline constexpr size_t kAnswerMax = 1'024;

// What can be seen of a question.
struct QuestionFeatures {
  size_t characters = 0;
  size_t questions = 0;  // marks of one
  size_t parts = 0;      // lines that begin with a number or a dash
  size_t figures = 0;    // digits, and signs of arithmetic
  bool code = false;
};
QuestionFeatures features_of(std::string_view question);
// Of the last message of the person among a chat's, OpenAI's shape; none: an empty question.
QuestionFeatures features_of_last(const Json& messages);

// From 0.1, for a greeting, to 1.
double worth_thinking(const QuestionFeatures& features);

// `seconds`: what the person accepts at most; 0: no thoughts.
Tokens thinking_budget(const QuestionFeatures& features, double seconds, double tokens_per_s);
// What can be thought in half of the time that there is for all of an answer.
Tokens thinking_in_time(std::chrono::milliseconds all, double tokens_per_s);

// How much of `left` tokens thoughts may take, whose tags take `tags` of them, so that an answer
// fits behind them; 0: none.
Tokens thinking_room(size_t left, size_t tags);

}  // namespace lares::engine
