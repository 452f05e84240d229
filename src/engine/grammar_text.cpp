#include "engine/grammar_text.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "base/text.h"

namespace lares::engine {
namespace {

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}

  // What is wrong, if anything is.
  std::string run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        last_ = quoted('"');
      } else if (c == '[') {
        last_ = quoted(']');
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') at_++;
        continue;
      } else if (c == '(') {
        if (++depth_ > kGrammarDepthMax)
          return cat("nests more than ", kGrammarDepthMax, " deep; ask for less");
        at_++;
      } else if (c == ')') {
        depth_ -= depth_ > 0 ? 1 : 0;
        last_ = 1;
        at_++;
      } else if (c == '{') {
        const size_t from = at_;
        elements_ += last_ * times();
        if (never_)
          return cat("has ", utf8_repaired(text_.substr(from, at_ - from)),
                     ", which is never: the least comes first");
      } else if (c == '*' || c == '+' || c == '?') {
        elements_ += 2 * last_;
        at_++;
      } else {
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') last_ = 1;
        at_++;
      }
      elements_++;
      if (elements_ > kGrammarElementsMax)
        return cat("has repetitions that come to more than ", kGrammarElementsMax,
                   " elements; ask for less");
    }
    return "";
  }

 private:
  // Behind the closing sign; how many characters there were.
  size_t quoted(char closing) {
    const size_t from = at_++;
    while (at_ < text_.size() && text_[at_] != closing) at_ += text_[at_] == '\\' ? 2 : 1;
    at_ = std::min(at_ + 1, text_.size());
    elements_ += at_ - from;
    return at_ - from;
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
      if (problem == std::errc::result_out_of_range) number = kGrammarElementsMax;
      if (problem != std::errc::invalid_argument) {
        never_ = never_ || (least && number < *least);
        least = number;
      }
      most = std::max(most, std::min(number, kGrammarElementsMax));
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
  bool never_ = false;   // a repetition that cannot be
};

}  // namespace

Result<> check_grammar_text(std::string_view text, std::string_view param) {
  const std::string wrong = Scan(text).run();
  if (wrong.empty()) return Unit{};
  return Error{Code::Invalid, cat("'", param, "' ", wrong), std::string(param)};
}

}  // namespace lares::engine
