// Prompt: what the person asked, put together from the words of the command line and what came
// through a pipe. Pure; no thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace lares::app {

// Words and pipe together; the body of a request takes 8 MiB, and JSON may double it.
inline constexpr Bytes kPromptMax = MiB(3);

// The words joined by spaces, then, after an empty line, the piped text. Invalid when there is
// nothing, too much, or something that is not text.
Result<std::string> join_prompt(std::span<const std::string> words, std::string_view piped);

// Invalid, saying which byte and what it looks like, when `text` is not UTF-8 or holds a NUL.
Result<> check_text(std::string_view what, std::string_view text);

}  // namespace lares::app
