// Arguments: what was written after a verb, held against the verb's table. The only door to CLI11.
// Errors are Invalid and name what was meant. Pure; no thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "app/cli/verb.h"
#include "base/result.h"

namespace lares::app {

struct Parsed {
  Arguments arguments;
  bool help = false;  // --help or -h stood among them: nothing else was checked
};

// `written`: without the verb's own name. Everything after "--" is a word.
Result<Parsed> parse_arguments(const Verb& verb, std::span<const std::string> written);

}  // namespace lares::app
