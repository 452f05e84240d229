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
inline constexpr size_t kBeginningMin = 2;     // characters of a word that stands for longer ones
inline constexpr size_t kSnippetBytes = 120;   // about

// The first words of a question as a title: one line, at most kTitleFromWords characters. "" when
// there are none.
std::string title_from(std::string_view text);

// A query as the index wants it: every word literally, all of them, the last as a beginning unless
// a space follows or it is a single character, which too many words begin with. "" for none.
std::string search_expression(std::string_view query);

// The words of `text` around the first one of the query in it, on one line; "…" stands for what is
// left out. The beginning where no word is found letter by letter (the index knows "é" as "e").
std::string snippet_of(std::string_view text, std::string_view query);

}  // namespace lares::store
