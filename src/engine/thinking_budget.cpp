#include "engine/thinking_budget.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/text.h"

namespace lares::engine {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "1. so", "2) so", "- so", "* so"
bool begins_a_part(std::string_view line) {
  if (line.starts_with("- ") || line.starts_with("* ")) return true;
  const size_t digits =
      static_cast<size_t>(std::find_if_not(line.begin(), line.end(), is_digit) - line.begin());
  return digits > 0 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') &&
         line[digits + 1] == ' ';
}

}  // namespace

QuestionFeatures features_of(std::string_view question) {
  constexpr std::string_view kSigns = "+*/=^<>%";
  QuestionFeatures out;
  for (const char c : question) {
    out.characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;  // first bytes
    out.figures += is_digit(c) || kSigns.find(c) != std::string_view::npos ? 1 : 0;
    out.questions += c == '?' ? 1 : 0;
  }
  for (const std::string_view mark : {"\uFF1F", "\u061F"}) {
    for (size_t at = question.find(mark); at != std::string_view::npos;
         at = question.find(mark, at + mark.size()))
      out.questions++;
  }
  for (const std::string& line : split(question, '\n'))
    out.parts += begins_a_part(trimmed(line)) ? 1 : 0;
  out.code = question.find("```") != std::string_view::npos ||
             question.find(";\n") != std::string_view::npos ||
             question.find("()") != std::string_view::npos;
  return out;
}

QuestionFeatures features_of_last(const Json& messages) {
  if (!messages.is_array()) return {};
  for (size_t i = messages.size(); i-- > 0;) {
    const Json& message = messages[i];
    if (!message.is_object() || message.value("role", Json()) != "user") continue;
    const Json content = message.value("content", Json());
    return content.is_string() ? features_of(content.get_ref<const std::string&>())
                               : QuestionFeatures{};
  }
  return {};
}

double worth_thinking(const QuestionFeatures& features) {
  double worth = 0.1;
  if (features.characters > 80) worth += 0.1;
  if (features.characters > 400) worth += 0.15;
  if (features.characters > 2'000) worth += 0.15;
  // a year is no sum
  if (features.figures >= 6 && features.figures * 100 >= features.characters) worth += 0.3;
  if (features.code) worth += 0.3;
  if (features.questions > 1) worth += 0.15;
  if (features.parts > 1) worth += 0.15;
  return std::min(1.0, worth);
}

Tokens thinking_budget(const QuestionFeatures& features, double seconds, double tokens_per_s) {
  if (seconds <= 0) return 0;
  const double speed = tokens_per_s > 0 ? tokens_per_s : kSpeedUnknown;
  const double tokens = worth_thinking(features) * seconds * speed;
  return static_cast<Tokens>(std::clamp<double>(std::round(tokens), kThoughtMin, kThoughtMax));
}

Tokens thinking_in_time(std::chrono::milliseconds all, double tokens_per_s) {
  const double speed = tokens_per_s > 0 ? tokens_per_s : kSpeedUnknown;
  const double tokens = std::chrono::duration<double>(all).count() / 2 * speed;
  return tokens < kThoughtMin ? 0 : static_cast<Tokens>(std::min<double>(tokens, kThoughtMax));
}

Tokens thinking_room(size_t left, size_t tags) {
  const size_t kept = std::clamp(left / 4, kAnswerMin, kAnswerMax) + tags;
  return static_cast<Tokens>(left - std::min(left, kept));
}

}  // namespace lares::engine
