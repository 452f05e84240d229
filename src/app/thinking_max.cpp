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
    int64_t tokens = 0;
    const bool automatic = number == "auto";
    const auto [end, problem] =
        std::from_chars(number.data(), number.data() + number.size(), tokens);
    const bool counts = problem == std::errc() && end == number.data() + number.size() &&
                        tokens >= 0 && tokens <= INT32_MAX;
    if (!(automatic || counts) || sign == 0) {
      return Error{
          Code::Invalid,
          cat("models.reasoning_budget has '", utf8_repaired(word.substr(0, 64)),
              "'; it takes a number of tokens, or auto, or MODEL= before one of these, with blanks "
              "between them")};
    }
    if (automatic) tokens = wire::kThinkByQuestion;
    if (sign == std::string::npos) {
      out.all = tokens;
    } else {
      out.models[word.substr(0, sign)] = tokens;
    }
  }
  return out;
}

}  // namespace lares::app
