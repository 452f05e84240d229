#include "app/cli/prompt.h"

#include "base/text.h"

namespace lares::app {

Result<> check_text(std::string_view what, std::string_view text) {
  const std::string doing = cat("reading ", what, ": ");
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return Error{Code::Invalid,
                 cat(doing, "it looks like UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")};
  if (const size_t at = text.find('\0'); at != std::string_view::npos)
    return Error{Code::Invalid, cat(doing, "byte ", at,
                                    " is zero, so this is no text; only text can be asked about")};
  if (is_utf8(text)) return Unit{};
  // find the place by halves: the beginning of a good text is good but for a cut character
  size_t good = 0;
  size_t bad = text.size();
  while (bad - good > 1) {
    const size_t middle = good + (bad - good) / 2;
    const std::string_view beginning = text.substr(0, middle);
    if (is_utf8(beginning.substr(0, middle - utf8_tail(beginning)))) {
      good = middle;
    } else {
      bad = middle;
    }
  }
  good -= utf8_tail(text.substr(0, good));
  return Error{Code::Invalid, cat(doing, "it is not UTF-8 text at byte ", good,
                                  "; convert it first, as with iconv -f LATIN1 -t UTF-8")};
}

Result<std::string> join_prompt(std::span<const std::string> words, std::string_view piped) {
  if (piped.starts_with("\xEF\xBB\xBF")) piped.remove_prefix(3);
  std::string prompt;
  for (const std::string& word : words) {
    if (!prompt.empty()) prompt += ' ';
    prompt += word;
  }
  TRY(check_text("the prompt", prompt));
  TRY(check_text("standard input", piped));
  if (trimmed(prompt).empty()) {
    prompt = piped;
  } else if (!trimmed(piped).empty()) {
    prompt += "\n\n";
    prompt += piped;
  }
  if (trimmed(prompt).empty())
    return Error{Code::Invalid,
                 "asking: there is no question; write one, as in: lares \"Why is the sky blue?\""};
  if (prompt.size() > kPromptMax.n)
    return Error{Code::Invalid,
                 cat("asking: the question has ", Bytes{prompt.size()}, ", but one question takes ",
                     kPromptMax, " at most; ask about a part of it")};
  return prompt;
}

}  // namespace lares::app
