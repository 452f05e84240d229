#include "base/text.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace lares {

std::string to_string(Bytes size) {
  char buffer[32];
  const double n = static_cast<double>(size.n);
  if (size.n < 1024) {
    std::snprintf(buffer, sizeof buffer, "%u B", static_cast<unsigned>(size.n));
  } else if (size.n < MiB(1).n) {
    std::snprintf(buffer, sizeof buffer, "%.0f KiB", n / 1024);
  } else if (size.n < GiB(1).n) {
    std::snprintf(buffer, sizeof buffer, "%.0f MiB", n / static_cast<double>(MiB(1).n));
  } else {
    std::snprintf(buffer, sizeof buffer, "%.1f GiB", n / static_cast<double>(GiB(1).n));
  }
  return buffer;
}

namespace text_detail {
void append(std::string& out, double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", number);
  out += buffer;
}
}  // namespace text_detail

namespace {

// Levenshtein distance, one row at a time.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); j++) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// The length of the well-formed UTF-8 character at `at`, 0 when it is ill-formed, and through
// `missing` how many more bytes would complete it when it is only cut off at the end.
size_t utf8_length(std::string_view s, size_t at, size_t& missing) {
  missing = 0;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  for (size_t i = 1; i < length; i++) {
    if (at + i == s.size()) {
      missing = length - i;
      return 0;
    }
    if (byte(at + i) < low || byte(at + i) > high) return 0;
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

}  // namespace

std::string nearest(std::string_view name, std::span<const std::string> candidates) {
  std::string best;
  if (name.size() > kNearestMax) return best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (!name.empty() && candidate.find(name) != std::string::npos && best_distance > 1) {
      best = candidate;
      best_distance = 1;
      continue;
    }
    // the difference of the lengths is the least that the distance can be
    const size_t least =
        std::max(name.size(), candidate.size()) - std::min(name.size(), candidate.size());
    if (least >= best_distance) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  const std::string near = nearest(name, candidates);
  return near.empty() ? "" : cat("; did you mean '", near, "'?");
}

bool is_utf8(std::string_view bytes) {
  size_t missing = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = utf8_length(bytes, at, missing);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

size_t utf8_tail(std::string_view bytes) {
  const size_t from = bytes.size() > 3 ? bytes.size() - 3 : 0;
  for (size_t at = from; at < bytes.size(); at++) {
    if ((static_cast<unsigned char>(bytes[at]) & 0xC0) != 0xC0) continue;  // not a first byte
    size_t missing = 0;
    if (utf8_length(bytes, at, missing) == 0 && missing > 0) return bytes.size() - at;
  }
  return 0;
}

std::string utf8_repaired(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  size_t missing = 0;
  for (size_t at = 0; at < bytes.size();) {
    if (const size_t length = utf8_length(bytes, at, missing); length > 0) {
      out.append(bytes.substr(at, length));
      at += length;
    } else {
      out += "\xEF\xBF\xBD";
      at += 1;
      // the rest of one broken character makes one mark, not several
      while (at < bytes.size() && (static_cast<unsigned char>(bytes[at]) & 0xC0) == 0x80) at += 1;
    }
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t from = 0;
  for (;;) {
    const size_t at = text.find(separator, from);
    if (at == std::string_view::npos) {
      parts.emplace_back(text.substr(from));
      return parts;
    }
    parts.emplace_back(text.substr(from, at - from));
    from = at + 1;
  }
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string grouped(size_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string lower(std::string_view ascii) {
  std::string out(ascii);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_lower_hex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); i++) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i] ^ other);
  }
  return difference == 0;
}

}  // namespace lares
