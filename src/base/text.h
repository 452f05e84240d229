// Text: putting values into a sentence, finding the name that was meant, UTF-8. Pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace lares {

namespace text_detail {
inline void append(std::string& out, std::string_view s) { out += s; }
inline void append(std::string& out, const char* s) { out += s; }
inline void append(std::string& out, char c) { out += c; }
inline void append(std::string& out, Bytes b) { out += to_string(b); }
void append(std::string& out, double number);
template <class Int>
  requires std::is_integral_v<Int>
void append(std::string& out, Int number) {
  out += std::to_string(number);
}
}  // namespace text_detail

// One string of all the values: cat("needs ", MiB(412), ", but ", 3, " models are held").
template <class... A>
std::string cat(const A&... values) {
  std::string out;
  (text_detail::append(out, values), ...);
  return out;
}

// 9120 as "9,120".
std::string grouped(size_t number);

// The candidate nearest to `name` by edit distance, or empty when none is near (more than a third
// of the letters differ), or when the name is longer than anybody mistypes.
inline constexpr size_t kNearestMax = 256;
std::string nearest(std::string_view name, std::span<const std::string> candidates);

// "; did you mean 'x'?" or, when nothing is near, "".
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

// True when `bytes` is well-formed UTF-8 (no overlong forms, no surrogates; Unicode 3.9).
bool is_utf8(std::string_view bytes);

// How many bytes at the end of `bytes` belong to a character that is not complete yet: 0 to 3.
// Bytes that can never become a character count as complete.
size_t utf8_tail(std::string_view bytes);

// `bytes` with each ill-formed sequence replaced by U+FFFD.
std::string utf8_repaired(std::string_view bytes);

std::vector<std::string> split(std::string_view text, char separator);
std::string_view trimmed(std::string_view text);
std::string lower(std::string_view ascii);
// True for exactly `digits` hexadecimal digits in lower case: how random_hex() and digests are
// written.
bool is_lower_hex(std::string_view text, size_t digits);

bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace lares
