#include "store/conversation_text.h"

#include "base/text.h"

namespace lares::store {

std::string title_from(std::string_view text) {
  std::string line;
  size_t characters = 0;
  size_t last_space = 0;
  for (size_t at = 0; at < text.size(); at++) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool space = byte <= ' ' || byte == 0x7F;
    if (space && line.empty()) continue;
    if (space && (text[at] == '\n' || line.ends_with(' '))) {
      if (text[at] == '\n') break;
      continue;
    }
    if ((byte & 0xC0) != 0x80 && ++characters > kTitleFromWords) {
      if (last_space >= kTitleFromWords / 2) line.resize(last_space);
      return line + "…";
    }
    if (space) last_space = line.size();
    line += space ? ' ' : text[at];
  }
  return std::string(trimmed(line));
}

std::string search_expression(std::string_view query) {
  std::string out;
  size_t words = 0;
  std::string word;
  const auto close = [&] {
    if (word.empty() || words == kSearchWordsMax) return;
    words++;
    out += cat(out.empty() ? "\"" : " \"", word, "\"");
    word.clear();
  };
  for (const char c : query) {
    if (static_cast<unsigned char>(c) <= ' ') {
      close();
    } else {
      word += c == '"' ? ' ' : c;
    }
  }
  const bool open_word = !word.empty() && words < kSearchWordsMax;
  close();
  return open_word ? out + "*" : out;
}

}  // namespace lares::store
