#include "app/cli/plain_text.h"

#include <array>
#include <cstdint>
#include <utility>

#include "base/text.h"

namespace lares::app {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Bidirectional embeddings, overrides and isolates: a line that reads otherwise than it is written.
constexpr std::array kTurning = {Range{0x202A, 0x202E}, Range{0x2066, 0x2069}};

// Characters of two columns: the blocks of East Asian Width W and F (Unicode UAX #11) and emoji,
// whole.
constexpr std::array kWide = {
    Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},
    Range{0xA960, 0xA97F},   Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},
    Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},
    Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1FAFF},
    Range{0x20000, 0x3FFFD},
};
constexpr std::array kNoColumn = {
    Range{0x0300, 0x036F}, Range{0x1AB0, 0x1AFF}, Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200F},
    Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}, Range{0xFEFF, 0xFEFF},
};

template <size_t N>
bool among(const std::array<Range, N>& ranges, uint32_t point) {
  for (const Range& range : ranges) {
    if (point >= range.first && point <= range.last) return true;
  }
  return false;
}

// The character that begins at `at` of well-formed UTF-8, and its length.
uint32_t point_at(std::string_view text, size_t at, size_t& length) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint32_t>(static_cast<unsigned char>(text[i])) : 0U;
  };
  const uint32_t first = byte(at);
  if (first < 0x80) {
    length = 1;
    return first;
  }
  if (first < 0xE0) {
    length = 2;
    return ((first & 0x1F) << 6) | (byte(at + 1) & 0x3F);
  }
  if (first < 0xF0) {
    length = 3;
    return ((first & 0x0F) << 12) | ((byte(at + 1) & 0x3F) << 6) | (byte(at + 2) & 0x3F);
  }
  length = 4;
  return ((first & 0x07) << 18) | ((byte(at + 1) & 0x3F) << 12) | ((byte(at + 2) & 0x3F) << 6) |
         (byte(at + 3) & 0x3F);
}

std::string harmless(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    const uint32_t point = point_at(text, at, length);
    const bool control =
        (point < 0x20 && point != '\n' && point != '\t') || (point >= 0x7F && point <= 0x9F);
    if (control) continue;
    if (among(kTurning, point)) {
      out += "\xEF\xBF\xBD";
      continue;
    }
    out += text.substr(at, length);
  }
  return out;
}

}  // namespace

std::string PlainText::feed(std::string_view piece) {
  std::string text = std::exchange(held_, {});
  text += piece;
  const size_t tail = utf8_tail(text);
  held_ = text.substr(text.size() - tail);
  text.resize(text.size() - tail);
  return harmless(is_utf8(text) ? text : utf8_repaired(text));
}

std::string PlainText::end() { return harmless(utf8_repaired(std::exchange(held_, {}))); }

std::string plain(std::string_view text) {
  PlainText whole;
  std::string out = whole.feed(text);
  return out += whole.end();
}

std::string plain_line(std::string_view text) {
  std::string out = plain(text);
  for (char& c : out) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return out;
}

size_t columns(std::string_view text) {
  size_t total = 0;
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    const uint32_t point = point_at(text, at, length);
    if (among(kNoColumn, point)) continue;
    total += among(kWide, point) ? 2 : 1;
  }
  return total;
}

}  // namespace lares::app
