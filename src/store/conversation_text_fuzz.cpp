#include <algorithm>
#include <cassert>

#include "base/fuzz.h"
#include "base/text.h"
#include "store/conversation_text.h"

// Whatever a person or a page writes: titles are one short line of whole characters, and a query is
// nothing but quoted words.
FUZZ(conversation_text) {
  const std::string text = lares::utf8_repaired(bytes);
  const std::string title = lares::store::title_from(text);
  assert(lares::is_utf8(title));
  assert(title.find('\n') == std::string::npos);
  assert(title.size() <= 4 * lares::store::kTitleFromWords + 3);

  const std::string query = lares::store::search_expression(text);
  const auto quotes = static_cast<size_t>(std::count(query.begin(), query.end(), '"'));
  assert(quotes % 2 == 0 && quotes <= 2 * lares::store::kSearchWordsMax);
  const std::string snippet = lares::store::snippet_of(text, text.substr(text.size() / 2));
  assert(lares::is_utf8(snippet) && snippet.find('\n') == std::string::npos);
  bool inside = false;
  for (const char c : query) {
    if (c == '"') inside = !inside;
    assert(inside || c == '"' || c == ' ' || c == '*');
  }
}
