// The program `lares`: finds the verb that was meant, checks its arguments, runs it, and turns what
// came back into words and an exit status.
#pragma once

#include <span>
#include <string>

#include "app/cli/verb.h"
#include "base/result.h"

namespace lares::app {

// `words`: what was written after "lares". `home`: an error when there is none, for verbs that need
// one.
int run_program(std::span<const std::string> words, Screen& screen, Daemon& daemon,
                const Result<Home>& home);

// What the words ask for.
struct Meant {
  const Verb* verb = nullptr;  // nullptr: the overall help
  std::span<const std::string> rest;
};
Result<Meant> meant_by(std::span<const std::string> words);

// The first word of a verb that a word was probably meant to be, or "". Stricter than nearest():
// most single words are short questions.
std::string near_verb(std::string_view word, std::span<const Verb* const> verbs);

}  // namespace lares::app
