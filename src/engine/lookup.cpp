#include "engine/lookup.h"

#include <algorithm>

namespace lares::engine {
namespace {

constexpr double kNewest = 0.12;  // of one token against those before

uint64_t hash_of(std::span<const Token> gram) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const Token token : gram) hash = (hash ^ static_cast<uint32_t>(token)) * 0x100000001b3;
  return hash;
}

}  // namespace

// Every gram that is followed by something; the last one is not yet.
void Lookup::read(std::span<const Token> said) {
  for (size_t end = std::max(read_, kGram); end < said.size(); end++)
    after_[hash_of(said.subspan(end - kGram, kGram))] = end;
  read_ = std::max(read_, said.size());
}

std::vector<Token> Lookup::draft(std::span<const Token> said, size_t most, size_t others,
                                 const Cost& cost) {
  expected_.clear();
  read(said);
  if (said.size() <= kGram) return {};
  const auto gram = said.last(kGram);
  const auto found = after_.find(hash_of(gram));
  if (found == after_.end()) return {};
  const size_t at = found->second;
  if (!std::equal(gram.begin(), gram.end(), said.begin() + static_cast<ptrdiff_t>(at - kGram)))
    return {};
  const auto next = said.subspan(at, std::min(kDraftMax, said.size() - at));
  expected_.assign(next.begin(), next.end());

  // as many as bring the most tokens for the time of the step
  size_t best = 0;
  double tokens = static_cast<double>(others) + 1;
  double best_rate = cost(0) > 0 ? tokens / cost(0) : 0;
  double right = 1;
  for (size_t count = 1; count <= std::min(most, expected_.size()); count++) {
    right *= likely_;
    tokens += right;
    const double ms = cost(count);
    if (!(ms > 0) || tokens / ms <= best_rate) continue;
    best = count;
    best_rate = tokens / ms;
  }
  return {expected_.begin(), expected_.begin() + static_cast<ptrdiff_t>(best)};
}

void Lookup::chosen(size_t place, Token token) {
  if (place >= expected_.size()) return;
  const bool is = expected_[place] == token;
  likely_ += kNewest * ((is ? 1 : 0) - likely_);
  if (!is) expected_.clear();  // what would follow it says nothing
}

}  // namespace lares::engine
