// Help: every text about the verbs, made from their tables: --help, the docs page, the completions.
// 80 columns whatever the terminal, so that they can be held against golden files. Pure; no thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/verb.h"
#include "base/result.h"

namespace lares::app {

// The second words of the verbs that begin with `first`: "list", "show"... of "models".
std::vector<std::string> second_words(std::span<const Verb* const> verbs, std::string_view first);

std::string overall_help(std::span<const Verb* const> verbs);
std::string verb_help(const Verb& verb);
// docs/commands.md.
std::string commands_page(std::span<const Verb* const> verbs);
// How a verb is written: "lares models add [OPTIONS] FILE".
std::string usage(const Verb& verb);
// What each exit status says, in one line.
std::string_view exit_statuses();
// A script for "bash", "zsh" or "fish"; Invalid for another shell, with the nearest.
Result<std::string> completion_script(std::string_view shell, std::span<const Verb* const> verbs);

}  // namespace lares::app
