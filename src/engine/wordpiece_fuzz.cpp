#include "base/fuzz.h"
#include "base/text.h"
#include "engine/wordpiece.h"

// Any bytes become tokens of the vocabulary, at most one for each character, and words are whole
// UTF-8.
FUZZ(word_pieces) {
  static const std::vector<std::string> kTokens = {"[CLS]", "[SEP]", "[UNK]", "▁a",
                                                   "b",     "▁the",  "▁ᄒ",   "ᅡ"};
  static const lares::engine::WordPieces kPieces(kTokens, {.begin = 0, .end = 1, .unknown = 2});
  const auto tokens = kPieces.tokens(bytes);
  assert(tokens.front() == 0 && tokens.back() == 1);
  size_t characters = 0;
  for (const std::string& word : lares::engine::WordPieces::words(bytes)) {
    assert(!word.empty() && lares::is_utf8(word));
    characters += word.size();
  }
  assert(tokens.size() <= characters + 2);
  for (const auto token : tokens) assert(token >= 0 && token < static_cast<int>(kTokens.size()));
}
