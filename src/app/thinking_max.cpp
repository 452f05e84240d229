#include "app/thinking_max.h"

#include <charconv>

#include "base/text.h"

namespace lares::app {

Result<ThinkingMax> parse_thinking_max(std::string_view text) {
  ThinkingMax out;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    const size_t sign = word.rfind('=');
    const std::string_view number =
        std::string_view(word).substr(sign == std::string::npos ? 0 : sign + 1);
    uint32_t tokens = 0;
    const auto [end, problem] =
        std::from_chars(number.data(), number.data() + number.size(), tokens);
    if (problem != std::errc() || end != number.data() + number.size() || tokens > INT32_MAX ||
        sign == 0) {
      return Error{
          Code::Invalid,
          cat("models.reasoning_budget has '", utf8_repaired(word.substr(0, 64)),
              "'; it takes a number of tokens, or MODEL=TOKENS, with blanks between them")};
    }
    if (sign == std::string::npos) {
      out.all = tokens;
    } else {
      out.models[word.substr(0, sign)] = tokens;
    }
  }
  return out;
}

}  // namespace lares::app
