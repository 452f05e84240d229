// Regex text: regular expressions as people write them, written anew in the few signs that the
// engine's way from patterns to grammars takes and takes right. ECMAScript's syntax without what
// looks around or back. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::engine {

enum class RegexOf : uint8_t {
  Text,        // the whole of a text, with or without ^ and $
  JsonString,  // what stands between the quotes of a JSON string; without ^ or $ any part of it
};

// "^...$". Invalid for what is no regex, Unsupported for what this does not do; messages begin with
// "is" or "has" and leave the subject to the caller, `param` is empty.
Result<std::string> regex_for_grammar(std::string_view regex, RegexOf of);

}  // namespace lares::engine
