// Missing: verbs that other runtimes have, or later versions of this one, and what to write here
// instead. They are no questions to a model. Pure; no thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lares::app {

// What stands in place of the verb, as one half of a sentence; "" for a word that is no such verb.
std::string_view instead_of(std::string_view verb);

// The same for a whole command line: "" too when more follows than that verb would take, because
// then it is a question that only begins so.
std::string_view instead_of(std::span<const std::string> words);

}  // namespace lares::app
