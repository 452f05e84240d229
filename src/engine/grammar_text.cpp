#include "engine/grammar_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

#include "base/text.h"
#include "wire/structured_limits.h"

namespace lares::engine {
namespace {

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}

  // What is wrong, if anything is.
  std::string run() {
    while (at_ < text_.size() && wrong_.empty()) {
      const char c = text_[at_];
      if (c == '"') {
        last_ = quoted('"');
      } else if (c == '[') {
        last_ = quoted(']');
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') at_++;
        continue;
      } else if (c == '(') {
        if (++depth_ > wire::kGrammarDepthMax)
          return cat("nests more than ", wire::kGrammarDepthMax, " deep; ask for less");
        at_++;
      } else if (c == ')') {
        depth_ -= depth_ > 0 ? 1 : 0;
        last_ = 1;
        at_++;
      } else if (c == '{') {
        const size_t from = at_;
        repeat(times());
        if (never_)
          return cat("has ", utf8_repaired(text_.substr(from, at_ - from)),
                     ", which is never; write the least first");
      } else if (c == '*' || c == '+' || c == '?') {
        repeat(2);
        at_++;
      } else {
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') last_ = 1;
        at_++;
      }
      elements_++;
      if (elements_ <= wire::kGrammarElementsMax) continue;
      if (2 * repeated_ > elements_)
        return cat("has repetitions that come to more than ", wire::kGrammarElementsMax,
                   " elements; ask for less");
      return cat("comes to a grammar of more than ", grouped(wire::kGrammarElementsMax),
                 " signs, most of them texts and values; give fewer of them, or shorter ones");
    }
    return wrong_;
  }

 private:
  void repeat(size_t times) {
    repeated_ += last_ * times;
    elements_ += last_ * times;
  }

  // Behind the closing sign; how many characters there were.
  size_t quoted(char closing) {
    const size_t from = at_++;
    const bool negated = closing == ']' && at_ < text_.size() && text_[at_] == '^';
    const size_t first = at_ + (negated ? 1 : 0);
    if (closing == ']' && first < text_.size() && text_[first] == ']')  // it would be ""
      wrong_ = negated ? "has '[^]', a class that leaves nothing out; write '.' for any character"
                       : "has '[]', a class that no character is in; name the characters, or write "
                         "\"\" for nothing at all";
    while (at_ < text_.size() && text_[at_] != closing) {
      if (text_[at_] == '\\' && !negated) escape(closing);
      at_ += text_[at_] == '\\' ? 2 : 1;
    }
    at_ = std::min(at_ + 1, text_.size());
    elements_ += at_ - from;
    return at_ - from;
  }

  // What is at the '\\' must be some character that a text can have.
  void escape(char closing) {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    const size_t digits = kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0 || at_ + 2 + digits > text_.size()) return;
    uint32_t number = 0;
    const char* const from = text_.data() + at_ + 2;
    if (std::from_chars(from, from + digits, number, 16).ptr != from + digits) return;
    const std::string_view shown = text_.substr(at_, 2 + digits);
    if (number >= 0xD800 && number <= 0xDFFF)
      wrong_ = cat("has '", shown, "', half of a character, which no text has; write the ",
                   "character itself, or its number as \\U and 8 digits");
    if (number > 0x10FFFF && closing == '"')
      wrong_ = cat("has '", shown, "', and there are characters up to '\\U0010FFFF'");
  }

  // The largest number between braces. With the first above the second the engine's own reader
  // would count down from 2^64.
  size_t times() {
    size_t most = 1;
    std::optional<size_t> least;
    for (at_++; at_ < text_.size() && text_[at_] != '}';) {
      size_t number = 0;
      const auto [end, problem] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
      if (problem == std::errc::result_out_of_range) number = wire::kGrammarElementsMax;
      if (problem != std::errc::invalid_argument) {
        never_ = never_ || (least && number < *least);
        least = number;
      }
      most = std::max(most, std::min(number, wire::kGrammarElementsMax));
      const size_t next = static_cast<size_t>(end - text_.data());
      at_ = next > at_ ? next : at_ + 1;
    }
    at_ = std::min(at_ + 1, text_.size());
    return most;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t depth_ = 0;
  size_t last_ = 1;      // elements of what a repetition here would repeat
  size_t elements_ = 0;  // so far
  size_t repeated_ = 0;  // of them, what repetitions add
  std::string wrong_;
  bool never_ = false;  // a repetition that cannot be
};

}  // namespace

Result<> check_grammar_text(std::string_view text, std::string_view param) {
  const std::string wrong = Scan(text).run();
  if (wrong.empty()) return Unit{};
  return Error{Code::Invalid, cat("'", param, "' ", wrong), std::string(param)};
}

}  // namespace lares::engine
