// Grammar text: what a grammar in GBNF would cost its parser, told from the text alone. The
// engine's parser nests as deep as the text does and writes repetitions out, so a text from outside
// is held against limits first. Not a parser: what it lets pass may still be no grammar. Pure.
#pragma once

#include <string_view>

#include "base/result.h"

namespace lares::engine {

// Invalid with `param`.
Result<> check_grammar_text(std::string_view text, std::string_view param);

}  // namespace lares::engine
