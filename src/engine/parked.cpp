#include "engine/parked.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace lares::engine {

Block::Block(size_t size) {
  if (size == 0) return;
  void* const data =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return;
  ::madvise(data, size,
            MADV_HUGEPAGE);  // where the kernel does not, pages are small and slower to make
  data_ = static_cast<std::byte*>(data);
  size_ = size;
}

Block::Block(Block&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Block& Block::operator=(Block&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Block::~Block() {
  if (data_) ::munmap(data_, size_);
}

std::list<Parked::Conversation>::iterator Parked::drop(std::list<Conversation>::iterator which) {
  size_.n -= which->state.size();
  return conversations_.erase(which);
}

void Parked::add(Conversation conversation) {
  if (conversation.state.size() == 0 || conversation.state.size() > limit_.n) return;
  for (auto at = conversations_.begin(); at != conversations_.end();) {
    const bool covered = at->adapters == conversation.adapters &&
                         common_prefix(at->tokens, conversation.tokens) == at->tokens.size() &&
                         conversation.first <= at->first;
    at = covered ? drop(at) : std::next(at);
  }
  while (size_.n + conversation.state.size() > limit_.n) drop(std::prev(conversations_.end()));
  size_.n += conversation.state.size();
  conversations_.push_front(std::move(conversation));
}

bool Parked::holds(std::span<const Token> tokens, uint64_t adapters) const {
  return std::any_of(conversations_.begin(), conversations_.end(), [&](const Conversation& each) {
    return each.adapters == adapters && common_prefix(each.tokens, tokens) == tokens.size();
  });
}

std::optional<Parked::Found> Parked::find(std::span<const Token> tokens, size_t window, bool cuts,
                                          uint64_t adapters) {
  auto best = conversations_.end();
  size_t most = 0;
  for (auto at = conversations_.begin(); at != conversations_.end(); ++at) {
    if (at->adapters != adapters) continue;
    const size_t keep = kept_prefix(at->tokens, tokens);
    if (keep <= most || (!cuts && keep < at->tokens.size())) continue;
    const size_t first_needed = keep > window ? keep - window : 0;
    if (window > 0 && static_cast<size_t>(at->first) > first_needed) continue;
    best = at;
    most = keep;
  }
  return found(best, most);
}

std::optional<Parked::Found> Parked::find_exact(std::span<const Token> tokens, uint64_t adapters) {
  auto best = conversations_.end();
  size_t most = 0;
  for (auto at = conversations_.begin(); at != conversations_.end(); ++at) {
    if (at->adapters != adapters) continue;
    const size_t keep = std::min(at->exact, kept_prefix(at->tokens, tokens));
    const size_t whole = keep - keep % kExactPiece;
    if (whole <= most) continue;
    best = at;
    most = whole;
  }
  return found(best, most);
}

std::optional<Parked::Found> Parked::found(std::list<Conversation>::iterator which, size_t keep) {
  if (which == conversations_.end()) return std::nullopt;
  conversations_.splice(conversations_.begin(), conversations_, which);
  return Found{&conversations_.front(), keep};
}

}  // namespace lares::engine
