// Gap: the tokens by which a model is asked to fill a gap in a text: other files first, what stands
// before it, what stands behind it, then the token after which the middle is written. In the order
// of Qwen2.5-Coder's repository pattern (arXiv 2409.12186), as llama-server's /infill. Pure.
#pragma once

#include <vector>

#include "engine/model.h"

namespace lares::engine {

// A vocabulary's tokens for this; -1: it has none.
struct FillTokens {
  Token prefix = -1;
  Token suffix = -1;
  Token middle = -1;
  Token repository = -1;
  Token separator = -1;  // before each file
  bool complete() const { return prefix >= 0 && suffix >= 0 && middle >= 0; }
};

struct GapTokens {
  std::vector<Token> prefix;
  std::vector<Token> suffix;
  std::vector<Token> prompt;              // the beginning of the middle
  std::vector<Token> repository;          // its name
  std::vector<std::vector<Token>> extra;  // other files, each with its head
  std::vector<Token> file;                // the name of the one with the gap
};

// At most `most` tokens, of which at least 8 are needed; `begin`: -1 for none. What does not fit is
// left out from the far ends: first of the other files, then of the text before the gap (which
// keeps three parts of four) and behind it. Invalid when the prompt alone leaves no room. Requires:
// complete().
Result<std::vector<Token>> assemble(const GapTokens& parts, const FillTokens& fill, Token begin,
                                    size_t most);

}  // namespace lares::engine
