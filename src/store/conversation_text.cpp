#include "store/conversation_text.h"

#include <algorithm>
#include <cctype>

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
  const bool open_word = word.size() >= kBeginningMin && words < kSearchWordsMax;
  close();
  return open_word ? out + "*" : out;
}

std::string snippet_of(std::string_view text, std::string_view query) {
  constexpr size_t kBefore = 40;
  constexpr size_t kLooked = 1 << 20;  // of a text that is longer, the beginning is shown
  const std::string small = lower(text.substr(0, kLooked));
  const auto begins_word = [&](size_t at) {
    const auto before = at == 0 ? ' ' : small[at - 1];
    return (static_cast<unsigned char>(before) & 0x80) == 0 &&
           std::isalnum(static_cast<unsigned char>(before)) == 0;
  };
  size_t found = std::string::npos;
  for (const std::string& word : split(lower(query), ' ')) {
    if (word.empty()) continue;
    size_t at = small.find(word);
    while (at != std::string::npos && !begins_word(at)) at = small.find(word, at + 1);
    found = std::min(found, at);
  }
  if (found == std::string::npos) found = 0;

  const auto inside_character = [&](size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  size_t begin = found > kBefore ? found - kBefore : 0;
  if (const size_t space = text.find_first_of(" \n", begin); begin > 0 && space < found)
    begin = space + 1;
  while (inside_character(begin)) begin++;
  size_t end = std::min(text.size(), begin + kSnippetBytes);
  if (end < text.size()) {
    if (const size_t space = text.rfind(' ', end); space != std::string_view::npos && space > found)
      end = space;
  }
  while (inside_character(end)) end--;
  std::string line(text.substr(begin, end - begin));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return cat(begin > 0 ? "…" : "", trimmed(line), end < text.size() ? "…" : "");
}

}  // namespace lares::store
