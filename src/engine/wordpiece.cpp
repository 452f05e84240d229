#include "engine/wordpiece.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "engine/wordpiece_table.h"

namespace lares::engine {
namespace {

constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581

bool within(std::span<const Span> spans, uint32_t c) {
  const auto after =
      std::upper_bound(spans.begin(), spans.end(), c,
                       [](uint32_t code, const Span& span) { return code < span.first; });
  return after != spans.begin() && c <= std::prev(after)->last;
}

bool is_blank(uint32_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_dropped(uint32_t c) {
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  return within(dropped_characters(), c);
}

// Every symbol of ASCII counts, although Unicode calls some of them signs.
bool is_punctuation(uint32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  return within(punctuation_characters(), c);
}

// Characters that are written without blanks, and are words of their own in such models.
bool is_ideograph(uint32_t c) {
  static constexpr std::array kBlocks = {
      Span{0x3400, 0x4DBF},   Span{0x4E00, 0x9FFF},   Span{0xF900, 0xFAFF},
      Span{0x20000, 0x2A6DF}, Span{0x2A700, 0x2B73F}, Span{0x2B740, 0x2B81F},
      Span{0x2B920, 0x2CEAF},  // the reference's block E begins here, by a slip that it keeps
      Span{0x2F800, 0x2FA1F}};
  return within(kBlocks, c);
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 63));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

size_t utf8_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The character at `at` of well-formed UTF-8, which moves on behind it.
uint32_t take(std::string_view text, size_t& at) {
  const size_t length = utf8_length(text[at]);
  auto c = static_cast<uint32_t>(static_cast<unsigned char>(text[at]));
  if (length > 1) c &= 0x7Fu >> length;
  for (size_t i = 1; i < length; i++)
    c = (c << 6) | (static_cast<unsigned char>(text[at + i]) & 63u);
  at += length;
  return c;
}

// Decomposes, drops marks and lowers the case of one character.
void append_folded(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return;
  }
  if (c >= 0xAC00 && c <= 0xD7A3) {  // Hangul syllables, Unicode 3.12
    const uint32_t index = c - 0xAC00;
    append_utf8(out, 0x1100 + index / 588);
    append_utf8(out, 0x1161 + index % 588 / 28);
    if (index % 28 != 0) append_utf8(out, 0x11A7 + index % 28);
    return;
  }
  const auto splits = split_characters();
  const auto split = std::lower_bound(splits.begin(), splits.end(), c,
                                      [](const Split& s, uint32_t code) { return s.from < code; });
  if (split != splits.end() && split->from == c) {
    for (const uint32_t part : split->to) {
      if (part != 0) append_utf8(out, part);
    }
    return;
  }
  const auto folds = folded_characters();
  const auto after =
      std::upper_bound(folds.begin(), folds.end(), c,
                       [](uint32_t code, const Fold& fold) { return code < fold.first; });
  if (after != folds.begin()) {
    const Fold& fold = *std::prev(after);
    if (c <= fold.last && (c - fold.first) % fold.step == 0)
      c = static_cast<uint32_t>(static_cast<int64_t>(c) + fold.delta);
  }
  append_utf8(out, c);
}

}  // namespace

WordPieces::WordPieces(std::span<const std::string> tokens, Specials specials)
    : specials_(specials) {
  for (size_t id = 0; id < tokens.size(); id++) {
    std::string_view token = tokens[id];
    // [CLS] and its like have no mark and would else pass for later pieces
    if (token.size() > 2 && token.front() == '[' && token.back() == ']') continue;
    auto& pieces = token.starts_with(kWordMark) ? first_ : later_;
    if (token.starts_with(kWordMark)) token.remove_prefix(kWordMark.size());
    if (token.empty()) continue;
    pieces.emplace(std::string(token), static_cast<Id>(id));
    piece_max_ = std::max(piece_max_, token.size());
  }
}

std::vector<std::string> WordPieces::words(std::string_view text) {
  const std::string whole = is_utf8(text) ? std::string() : utf8_repaired(text);
  if (!whole.empty()) text = whole;
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = take(text, at);
    if (is_blank(c)) {
      end_word();
    } else if (is_dropped(c)) {
      continue;
    } else if (is_punctuation(c) || is_ideograph(c)) {
      end_word();
      append_folded(word, c);
      end_word();
    } else {
      append_folded(word, c);
    }
  }
  end_word();
  return words;
}

void WordPieces::append(std::string_view word, std::vector<Id>& out) const {
  const auto characters = static_cast<size_t>(
      std::count_if(word.begin(), word.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  const size_t before = out.size();
  for (size_t at = 0; at < word.size() && characters <= kWordCharactersMax;) {
    const auto& pieces = at == 0 ? first_ : later_;
    size_t length = std::min(piece_max_, word.size() - at);
    auto found = pieces.end();
    for (; length > 0; length--) {
      found = pieces.find(word.substr(at, length));
      if (found != pieces.end()) break;
    }
    if (length == 0) {
      out.resize(before);  // one unknown piece makes the whole word unknown
      break;
    }
    out.push_back(found->second);
    at += length;
  }
  if (out.size() == before) out.push_back(specials_.unknown);
}

std::vector<WordPieces::Id> WordPieces::tokens(std::string_view text) const {
  std::vector<Id> out{specials_.begin};
  for (const std::string& word : words(text)) append(word, out);
  out.push_back(specials_.end);
  return out;
}

}  // namespace lares::engine
