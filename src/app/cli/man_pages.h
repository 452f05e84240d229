// The manual pages lares(1), laresd(8) and lares.toml(5), made from the tables that also make
// --help: verbs, laresd's options, settings. roff with the man macros, for mandoc and groff. Pure;
// no thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "app/cli/verb.h"
#include "base/result.h"

namespace lares::app {

// The page "lares", "laresd" or "lares.toml", dated `date` (YYYY-MM-DD). Invalid for another, with
// the nearest.
Result<std::string> man_page(std::string_view name, std::string_view date,
                             std::span<const Verb* const> verbs);

// A text as roff prints it unchanged: no line of it is taken for a command, no hyphen for one that
// may be broken at.
std::string roff(std::string_view text);

}  // namespace lares::app
