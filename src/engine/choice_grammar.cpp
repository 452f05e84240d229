#include "engine/choice_grammar.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/text.h"

namespace lares::engine {
namespace {

constexpr size_t kWorthATree = 8;  // texts

using Signs = std::vector<std::string_view>;  // as they are written: "a", "\\n", "\\x41", "ä"

// How long the sign is that begins there: a character or an escape.
size_t sign_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first == '\\' && text.size() > 1)
    size = text[1] == 'x' ? 4 : text[1] == 'u' ? 6 : text[1] == 'U' ? 10 : 2;
  return std::min(size, text.size());
}

size_t behind_blanks(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\n')) at++;
  return at;
}

// The text that begins with the quote at `at`, which goes behind it; nullopt: there is none.
std::optional<Signs> text_at(std::string_view grammar, size_t& at) {
  if (at >= grammar.size() || grammar[at] != '"') return std::nullopt;
  Signs signs;
  for (at++; at < grammar.size() && grammar[at] != '"';) {
    const size_t size = sign_size(grammar.substr(at));
    signs.push_back(grammar.substr(at, size));
    at += size;
  }
  if (at == grammar.size()) return std::nullopt;
  at++;
  return signs;
}

// The texts of the group whose '(' is at `at`, which goes behind its ')'; empty: it has others.
std::vector<Signs> group_at(std::string_view grammar, size_t& at) {
  std::vector<Signs> texts;
  size_t next = at + 1;
  for (;;) {
    next = behind_blanks(grammar, next);
    auto text = text_at(grammar, next);
    if (!text || text->empty()) return {};
    texts.push_back(*std::move(text));
    next = behind_blanks(grammar, next);
    if (next < grammar.size() && grammar[next] == '|') {
      next++;
      continue;
    }
    if (next == grammar.size() || grammar[next] != ')') return {};
    at = next + 1;
    return texts;
  }
}

class Trees {
 public:
  // The rule for one of `texts`, which are sorted and differ, from their sign `from` on.
  std::string rule(std::span<const Signs> texts, size_t from) {
    const std::string name = cat("one-of-", count_++);
    std::string alternatives;
    for (size_t i = 0; i < texts.size();) {
      size_t end = i + 1;
      while (end < texts.size() && texts[end][from] == texts[i][from]) end++;
      if (!alternatives.empty()) alternatives += " | ";
      alternatives += branch(texts.subspan(i, end - i), from);
      i = end;
    }
    rules_ += cat(name, " ::= ", alternatives, "\n");
    return name;
  }
  const std::string& rules() const { return rules_; }

 private:
  // Those that go on alike at `from`: what they share, and then one of the rest.
  std::string branch(std::span<const Signs> texts, size_t from) {
    const Signs& first = texts.front();
    const Signs& last = texts.back();
    size_t shared = from;
    while (shared < first.size() && shared < last.size() && first[shared] == last[shared]) shared++;
    std::string out = "\"";
    for (size_t i = from; i < shared; i++) out += first[i];
    out += '"';
    const bool ends = first.size() == shared;
    const auto rest = texts.subspan(ends ? 1 : 0);
    if (rest.empty()) return out;
    return cat(out, " ", rule(rest, shared), ends ? "?" : "");
  }

  std::string rules_;
  size_t count_ = 0;
};

}  // namespace

std::string choices_as_trees(std::string_view grammar) {
  std::string out;
  Trees trees;
  for (size_t at = 0; at < grammar.size();) {
    const char c = grammar[at];
    const size_t from = at;
    if (c == '"' || c == '[') {  // what stands in quotes and classes is no group
      const char end = c == '"' ? '"' : ']';
      for (at++; at < grammar.size() && grammar[at] != end;) at += sign_size(grammar.substr(at));
      at = std::min(at + 1, grammar.size());
    } else if (c == '(') {
      std::vector<Signs> texts = group_at(grammar, at);
      std::sort(texts.begin(), texts.end());
      texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
      if (texts.size() >= kWorthATree) {
        out += trees.rule(texts, 0);
        continue;
      }
      at = from + 1;
    } else {
      at++;
    }
    out += grammar.substr(from, at - from);
  }
  if (trees.rules().empty()) return out;
  return cat(out, out.ends_with('\n') ? "" : "\n", trees.rules());
}

size_t most_branches(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  // the places on the way to the last text at which some before it went on differently
  std::vector<std::pair<size_t, size_t>> open;  // how far they are in it, and how many go on
  size_t most = texts.empty() ? 0 : 1;
  for (size_t i = 1; i < texts.size(); i++) {
    const std::string& before = texts[i - 1];
    const std::string& text = texts[i];
    const auto differ = std::mismatch(before.begin(), before.end(), text.begin(), text.end());
    auto at = static_cast<size_t>(differ.second - text.begin());
    const bool went_on = at < before.size();
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) at--;
    while (!open.empty() && open.back().first > at) open.pop_back();
    if (open.empty() || open.back().first < at) open.emplace_back(at, went_on ? 1 : 0);
    most = std::max(most, ++open.back().second);
  }
  return most;
}

}  // namespace lares::engine
