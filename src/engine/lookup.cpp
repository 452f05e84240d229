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

std::span<const Token> Lookup::look(std::span<const Token> said) {
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
  return expected_;
}

void Lookup::chosen(size_t place, Token token) {
  if (place >= expected_.size()) return;
  const bool is = expected_[place] == token;
  likely_ += kNewest * ((is ? 1 : 0) - likely_);
  if (!is) expected_.clear();  // what would follow it says nothing
}

}  // namespace lares::engine
