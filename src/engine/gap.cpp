#include "engine/gap.h"

#include <algorithm>
#include <cassert>
#include <span>

#include "base/text.h"

namespace lares::engine {
namespace {

void append(std::vector<Token>& to, std::span<const Token> tokens) {
  to.insert(to.end(), tokens.begin(), tokens.end());
}

}  // namespace

Result<std::vector<Token>> assemble(const GapTokens& parts, const FillTokens& fill, Token begin,
                                    size_t most) {
  assert(fill.complete());
  const size_t fixed = 3 + (begin >= 0 ? 1 : 0) + parts.prompt.size();
  if (fixed + 4 > most) {
    return Error{Code::TooLong,
                 cat("the prompt has ", grouped(parts.prompt.size()),
                     " tokens, which leaves no room for the text around the gap in ", grouped(most),
                     "; shorten it, or ask for fewer tokens"),
                 "prompt"};
  }
  const size_t room = most - fixed;
  size_t before = parts.prefix.size();
  size_t behind = parts.suffix.size();
  if (before + behind > room) {
    // whoever needs less than its share leaves the rest to the other
    behind = std::min(behind, std::max(room / 4, room - std::min(before, room)));
    before = std::min(before, room - behind);
  }
  size_t left = room - before - behind;

  std::vector<Token> head;
  const size_t names = parts.repository.size() + (fill.repository >= 0 ? 1 : 0) +
                       parts.file.size() + (fill.separator >= 0 ? 1 : 0);
  if (!parts.extra.empty() && names < left) {
    left -= names;
    size_t first = parts.extra.size();  // the last are the nearest
    while (first > 0 && parts.extra[first - 1].size() <= left) left -= parts.extra[--first].size();
    if (first < parts.extra.size()) {
      if (fill.repository >= 0) head.push_back(fill.repository);
      if (fill.repository >= 0) append(head, parts.repository);
      for (size_t i = first; i < parts.extra.size(); i++) append(head, parts.extra[i]);
      if (fill.separator >= 0) head.push_back(fill.separator);
      append(head, parts.file);
    }
  }

  std::vector<Token> tokens;
  if (begin >= 0) tokens.push_back(begin);
  append(tokens, head);
  tokens.push_back(fill.prefix);
  append(tokens, std::span(parts.prefix).last(before));
  append(tokens, parts.prompt);
  tokens.push_back(fill.suffix);
  append(tokens, std::span(parts.suffix).first(behind));
  tokens.push_back(fill.middle);
  return tokens;
}

}  // namespace lares::engine
