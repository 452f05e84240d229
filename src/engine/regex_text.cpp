#include "engine/regex_text.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "wire/structured_limits.h"

namespace lares::engine {
namespace {

using Range = std::pair<uint32_t, uint32_t>;
using Set = std::vector<Range>;

constexpr uint32_t kLast = 0x10FFFF;

Set sorted(Set set) {
  std::sort(set.begin(), set.end());
  Set out;
  for (const auto& [from, to] : set) {
    if (!out.empty() && from <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, to);
    } else {
      out.emplace_back(from, to);
    }
  }
  return out;
}

Set complement(const Set& set) {
  Set out;
  uint32_t from = 0;
  for (const auto& [low, high] : sorted(set)) {
    if (low > from) out.emplace_back(from, low - 1);
    from = high + 1;
  }
  if (from <= kLast) out.emplace_back(from, kLast);
  return out;
}

Set both(const Set& a, const Set& b) {
  Set out = complement(a);
  const Set not_b = complement(b);
  out.insert(out.end(), not_b.begin(), not_b.end());
  return complement(out);
}

bool is_half(uint32_t character) { return character >= 0xD800 && character <= 0xDFFF; }

// No range begins or ends with half of a character (a surrogate), of which no text has any.
Set of_wholes(const Set& set) {
  Set out;
  for (auto [from, to] : set) {
    if (is_half(from)) from = 0xE000;
    if (is_half(to)) to = 0xD7FF;
    if (from <= to) out.emplace_back(from, to);
  }
  return out;
}

bool holds(const Set& set, uint32_t character) {
  return std::any_of(set.begin(), set.end(), [character](const Range& range) {
    return range.first <= character && character <= range.second;
  });
}

const Set kDigits = {{'0', '9'}};
const Set kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Set kSpace = {{'\t', '\r'}, {' ', ' '}};
const Set kLineEnds = {{'\n', '\n'}, {'\r', '\r'}};
// What a JSON string has only behind a backslash.
const Set kJsonEscaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}};

std::string hex(uint32_t character) {
  char text[16];
  const char* form = character <= 0xFF ? "\\x%02X" : character <= 0xFFFF ? "\\u%04X" : "\\U%08X";
  std::snprintf(text, sizeof text, form, character);
  return text;
}

std::string class_of(const Set& set) {
  std::string out = "[";
  for (const auto& [from, to] : set) {
    out += hex(from);
    if (to > from) out += cat("-", hex(to));
  }
  return out + "]";
}

Error invalid(std::string_view what) { return {Code::Invalid, std::string(what)}; }
Error unsupported(std::string_view what) {
  return {Code::Unsupported, cat(what, ", which cannot be made into a grammar")};
}

class Writer {
 public:
  Writer(std::string_view regex, RegexOf of) : in_(regex), of_(of) {}

  Result<std::string> run() {
    const bool begins = eat('^');
    const bool ends = in_.ends_with('$') && !escaped(in_.size() - 1);
    if (ends) in_.remove_suffix(1);
    while (at_ < in_.size()) TRY(atom());
    if (depth_ > 0) return invalid("has a '(' without its ')'");
    const bool anywhere = of_ == RegexOf::JsonString;
    const std::string any = cat(written(Set{{0, kLast}}), "*");
    return cat("^", anywhere && !begins ? any : "", "(", out_, ")", anywhere && !ends ? any : "",
               "$");
  }

 private:
  bool more() const { return at_ < in_.size(); }
  bool eat(char c) {
    if (!more() || in_[at_] != c) return false;
    at_++;
    return true;
  }
  // Whether the sign there has a backslash before it that counts.
  bool escaped(size_t place) const {
    size_t from = place;
    while (from > 0 && in_[from - 1] == '\\') from--;
    return (place - from) % 2 == 1;
  }

  Result<> atom() {
    const char c = in_[at_];
    switch (c) {
      case '(': return open();
      case ')':
        if (depth_ == 0) return invalid("has a ')' without its '('");
        depth_--;
        at_++;
        out_ += ')';
        return repetition();
      case '|':
        at_++;
        out_ += '|';
        return Unit{};
      case '[': {
        TRY_AS(const Set set, bracket());
        return put(set);
      }
      case '.': at_++; return put(complement(kLineEnds));
      case '^':
      case '$': return unsupported(cat("has a '", c, "' in its middle"));
      case '*':
      case '+':
      case '?':
      case '{': return invalid(cat("has a '", c, "' with nothing before it to repeat"));
      default: break;
    }
    if (c == '\\') {
      TRY_AS(const Set set, escape(false));
      return put(set);
    }
    const uint32_t character = next();
    return put({{character, character}});
  }

  Result<> open() {
    if (++depth_ > wire::kRegexDepthMax)
      return invalid(cat("has parentheses more than ", wire::kRegexDepthMax, " deep"));
    at_++;
    out_ += '(';
    if (!eat('?')) return Unit{};
    if (eat(':')) return Unit{};
    eat('P');
    const bool named = eat('<') && more() && in_[at_] != '=' && in_[at_] != '!';
    const size_t end = in_.find('>', at_);
    if (!named || end == std::string_view::npos)
      return unsupported("has a group that looks around, or changes options");
    at_ = end + 1;
    return Unit{};
  }

  Result<> put(const Set& given) {
    const Set set = of_wholes(given);
    const bool repeated =
        more() && std::string_view("*+?{").find(in_[at_]) != std::string_view::npos;
    const bool plain = set.size() == 1 && set[0].first == set[0].second && set[0].first < 0x80 &&
                       holds(kWord, set[0].first);
    if (plain && !repeated) {
      out_ += static_cast<char>(set[0].first);
      return Unit{};
    }
    const std::string text = written(set);
    if (text.empty()) return unsupported("has a class that no character of the text can be in");
    out_ += text;
    return repetition();
  }

  // A set as one thing that can be repeated; "" where it has nothing that can be written.
  std::string written(const Set& set) const {
    if (of_ == RegexOf::Text) return set.empty() ? "" : class_of(set);
    std::vector<std::string> ways;
    const Set free = both(set, complement(kJsonEscaped));
    if (!free.empty()) ways.push_back(class_of(free));
    const bool one = set.size() == 1 && set[0].first == set[0].second;
    constexpr std::pair<char, char> kShort[] = {
        {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\b', 'b'}, {'\f', 'f'}};
    for (const char quoted : {'"', '\\'}) {
      if (holds(set, static_cast<uint32_t>(quoted)))
        ways.push_back(cat("[\\x5C][", hex(static_cast<uint32_t>(quoted)), "]"));
    }
    for (const auto& [character, letter] : kShort) {
      if (one && holds(set, static_cast<uint32_t>(character)))
        ways.push_back(cat("[\\x5C]", letter));
    }
    if (ways.size() == 1 && !free.empty()) return ways[0];
    if (ways.empty()) return "";
    std::string out = "(";
    for (const std::string& way : ways) out += cat(out.size() > 1 ? "|" : "", way);
    return out + ")";
  }

  // What may stand behind a thing, and how often it is repeated then.
  Result<> repetition() {
    if (!more()) return Unit{};
    const char c = in_[at_];
    if (c == '*' || c == '+' || c == '?') {
      at_++;
      out_ += c;
    } else if (c == '{') {
      TRY(times());
    } else {
      return Unit{};
    }
    if (more() && in_[at_] == '+') return unsupported("has a possessive repetition");
    eat('?');  // the whole must match, so lazy or not is the same
    if (more() && std::string_view("*+?{").find(in_[at_]) != std::string_view::npos)
      return invalid("repeats a repetition");
    return Unit{};
  }

  std::optional<uint32_t> count() {
    uint32_t number = 0;
    const auto [end, problem] = std::from_chars(in_.data() + at_, in_.data() + in_.size(), number);
    if (problem == std::errc::invalid_argument) return std::nullopt;
    at_ = static_cast<size_t>(end - in_.data());
    return problem == std::errc() ? number : UINT32_MAX;
  }

  Result<> times() {
    at_++;
    const auto least = count();
    if (!least) return invalid("has a '{' without a number");
    uint32_t most = *least;
    bool bounded = true;
    if (eat(',')) {
      const auto given = count();
      bounded = given.has_value();
      most = given.value_or(*least);
    }
    if (!eat('}')) return invalid("has a '{' without its '}'");
    if (most < *least)
      return invalid(cat("has {", *least, ",", most, "}, which is never; write the least first"));
    if (most > wire::kRegexTimesMax)
      return invalid(
          cat("repeats up to ", most, " times, at most ", wire::kRegexTimesMax, " are taken"));
    out_ += bounded ? cat("{", *least, ",", most, "}") : cat("{", *least, ",}");
    return Unit{};
  }

  // One character of UTF-8, which the whole is.
  uint32_t next() {
    const auto lead = static_cast<unsigned char>(in_[at_++]);
    if (lead < 0x80) return lead;
    const int rest = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    uint32_t character = lead & (0x3FU >> rest);
    for (int i = 0; i < rest && more(); i++)
      character = character << 6 | (static_cast<unsigned char>(in_[at_++]) & 0x3FU);
    return character;
  }

  Result<Set> hexadecimal(size_t digits) {
    uint32_t character = 0;
    if (at_ + digits > in_.size()) return invalid("ends in the middle of a character's number");
    const auto [end, problem] =
        std::from_chars(in_.data() + at_, in_.data() + at_ + digits, character, 16);
    if (problem != std::errc() || end != in_.data() + at_ + digits)
      return invalid("has a character's number that is not hexadecimal");
    at_ += digits;
    return Set{{character, character}};
  }

  // Behind "\u". One that is half of a character goes on with the other half.
  Result<Set> four_digits() {
    TRY_AS(const Set set, hexadecimal(4));
    const uint32_t first = set[0].first;
    if (!is_half(first)) return set;
    if (first < 0xDC00 && in_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      TRY_AS(const Set other, hexadecimal(4));
      const uint32_t second = other[0].first;
      if (second >= 0xDC00 && is_half(second)) {
        const uint32_t whole = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return Set{{whole, whole}};
      }
    }
    return invalid(
        cat("has '", hex(first),
            "', half of a character, without its other half; write the character itself"));
  }

  Result<Set> escape(bool in_class) {
    at_++;
    if (!more()) return invalid("ends with a '\\'");
    if (static_cast<unsigned char>(in_[at_]) >= 0x80)
      return unsupported("has a '\\' before a character that is not ASCII");
    const char c = in_[at_++];
    const auto just = [](uint32_t character) { return Set{{character, character}}; };
    switch (c) {
      case 'd': return kDigits;
      case 'w': return kWord;
      case 's': return kSpace;
      case 'D': return complement(kDigits);
      case 'W': return complement(kWord);
      case 'S': return complement(kSpace);
      case 'n': return just('\n');
      case 'r': return just('\r');
      case 't': return just('\t');
      case 'f': return just('\f');
      case 'v': return just('\v');
      case 'x': return hexadecimal(2);
      case 'u': return four_digits();
      case 'b':
        if (in_class) return just('\b');
        break;
      default: break;
    }
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
      return unsupported(cat("has '\\", c, "'"));
    return just(static_cast<unsigned char>(c));
  }

  Result<Set> bracket() {
    at_++;
    const bool negated = eat('^');
    Set set;
    while (more() && in_[at_] != ']') {
      TRY_AS(const Set low, member());
      const bool single = low.size() == 1 && low[0].first == low[0].second;
      if (single && at_ + 1 < in_.size() && in_[at_] == '-' && in_[at_ + 1] != ']') {
        at_++;
        TRY_AS(const Set high, member());
        if (high.size() != 1 || high[0].first != high[0].second || high[0].first < low[0].first)
          return invalid("has a class with a range that ends before it begins");
        set.emplace_back(low[0].first, high[0].first);
      } else {
        set.insert(set.end(), low.begin(), low.end());
      }
    }
    if (!eat(']')) return invalid("has a '[' without its ']'");
    set = sorted(set);
    return negated ? complement(set) : set;
  }

  Result<Set> member() {
    if (in_[at_] == '\\') return escape(true);
    const uint32_t character = next();
    return Set{{character, character}};
  }

  std::string_view in_;
  const RegexOf of_;
  size_t at_ = 0;
  size_t depth_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> regex_for_grammar(std::string_view regex, RegexOf of) {
  if (regex.size() > wire::kRegexBytesMax)
    return invalid(cat("is a regex of ", regex.size(), " bytes, at most ", wire::kRegexBytesMax,
                       " are taken"));
  if (!is_utf8(regex)) return invalid("is not UTF-8");
  return Writer(regex, of).run();
}

}  // namespace lares::engine
