// What the engine's matcher would not survive in a grammar, or not in this life: told before it
// begins.
#pragma once

#include <llama-grammar.h>

#include <cstdint>
#include <string>

namespace lares::engine::llama {

// Each returns what is wrong, "" for nothing.
// Rules that begin with themselves, a root that nothing can meet, and beginnings that are too
// tangled for the engine's own check.
std::string check_rules(const llama_grammar_rules& rules, uint32_t root);
// Texts that can be read in so many ways that looking at one token would not end. The grammar comes
// back as it was.
std::string check_ambiguity(llama_grammar& grammar);

}  // namespace lares::engine::llama
