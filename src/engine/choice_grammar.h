// Choices in a grammar's text. The engine follows every alternative that still fits at each sign,
// for every token that it asks about: a thousand texts that begin alike cost it a second a token.
// As a tree, in which what they begin with stands once, they cost what differs at each place. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lares::engine {

// `grammar` (GBNF) with each group of many texts, ("a" | "b" | ...), as a tree of rules. Those that
// llama-common's converter makes of an 'enum' are such.
std::string choices_as_trees(std::string_view grammar);

// With how many different characters texts that begin alike go on, at most: as wide is their tree.
size_t most_branches(std::vector<std::string> texts);

}  // namespace lares::engine
