// Texts that conversations are shown and found by: a title from a question's first words, and a
// query in the words of the index (https://www.sqlite.org/fts5.html#full_text_query_syntax). Pure
// functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lares::store {

inline constexpr size_t kTitleFromWords = 60;  // characters of a title made from a question
inline constexpr size_t kSearchWordsMax = 32;  // of one query; further ones are left out

// The first words of a question as a title: one line, at most kTitleFromWords characters. "" when
// there are none.
std::string title_from(std::string_view text);

// A query as the index wants it: every word literally, all of them, the last as a beginning unless
// a space follows. "" for none.
std::string search_expression(std::string_view query);

}  // namespace lares::store
