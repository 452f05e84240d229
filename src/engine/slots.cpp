#include "engine/slots.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace lares::engine {

size_t common_prefix(std::span<const Token> a, std::span<const Token> b) {
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  while (n < most && a[n] == b[n]) n++;
  return n;
}

size_t kept_prefix(std::span<const Token> held, std::span<const Token> tokens) {
  if (tokens.empty()) return 0;
  size_t keep = std::min(common_prefix(held, tokens), tokens.size() - 1);
  while (keep > 0 && continues_media(tokens[keep])) keep--;
  return keep;
}

Slots::Slots(uint32_t count, size_t cells) : slots_(count), refs_(cells), free_(cells) {
  std::iota(free_.begin(), free_.end(), 0U);
}

size_t Slots::cells_busy(Sequence also) const {
  std::vector<bool> held(refs_.size());
  size_t n = 0;
  for (size_t s = 0; s < slots_.size(); s++) {
    if (!slots_[s].busy && static_cast<Sequence>(s) != also) continue;
    for (const uint32_t cell : slots_[s].cells) {
      n += held[cell] ? 0 : 1;
      held[cell] = true;
    }
  }
  return n;
}

std::optional<Slots::Place> Slots::place(std::span<const Token> tokens, const Usable& usable,
                                         bool cuts) const {
  assert(!tokens.empty());
  Place best{-1, -1, 0};
  for (size_t s = 0; s < slots_.size(); s++) {
    const Slot& slot = slots_[s];
    const auto sequence = static_cast<Sequence>(s);
    const size_t keep = kept_prefix(slot.tokens, tokens);
    if (keep <= best.keep) continue;
    // what cannot be cut can only be gone on with
    if (!cuts && (slot.busy || keep < slot.tokens.size())) continue;
    if (usable(sequence, keep)) best = {-1, sequence, keep};
  }

  // an empty sequence, else the idle one used longest ago
  Sequence other = -1;
  for (size_t s = 0; s < slots_.size(); s++) {
    if (slots_[s].busy || static_cast<Sequence>(s) == best.from) continue;
    if (other < 0 || slots_[s].used < slots_[other].used) other = static_cast<Sequence>(s);
  }
  const bool in_place =
      best.from >= 0 && !slots_[best.from].busy &&
      (!cuts || other < 0 || slots_[best.from].tokens.size() - best.keep <= kTailCut ||
       slots_[other].used > slots_[best.from].used);
  best.to = in_place ? best.from : other;
  if (best.to < 0) return std::nullopt;
  return best;
}

void Slots::release(Sequence sequence) {
  assert(slots_[sequence].busy);
  slots_[sequence].busy = false;
  slots_[sequence].used = slots_[sequence].tokens.empty() ? 0 : ++uses_;
}

void Slots::cut(Sequence sequence, size_t from) {
  Slot& slot = slots_[sequence];
  while (slot.cells.size() > from) {
    const uint32_t cell = slot.cells.back();
    assert(refs_[cell] > 0);
    if (--refs_[cell] == 0) free_.push_back(cell);
    slot.cells.pop_back();
    slot.tokens.pop_back();
  }
  slot.exact = std::min(slot.exact, from);
  if (slot.tokens.empty()) slot.used = 0;
}

void Slots::share(Sequence from, Sequence to, size_t until) {
  assert(slots_[to].tokens.empty());
  assert(from != to);
  const Slot& source = slots_[from];
  assert(until <= source.tokens.size());
  const auto count = static_cast<ptrdiff_t>(until);
  slots_[to].tokens.assign(source.tokens.begin(), source.tokens.begin() + count);
  slots_[to].cells.assign(source.cells.begin(), source.cells.begin() + count);
  slots_[to].exact = std::min(source.exact, until);
  for (const uint32_t cell : slots_[to].cells) refs_[cell]++;
}

void Slots::extend(Sequence sequence, Token token) {
  assert(!free_.empty());
  const uint32_t cell = free_.back();
  free_.pop_back();
  refs_[cell] = 1;
  slots_[sequence].tokens.push_back(token);
  slots_[sequence].cells.push_back(cell);
}

std::optional<Sequence> Slots::oldest_idle(Sequence spare) const {
  std::optional<Sequence> oldest;
  for (size_t s = 0; s < slots_.size(); s++) {
    const Slot& slot = slots_[s];
    if (slot.busy || slot.tokens.empty() || static_cast<Sequence>(s) == spare) continue;
    if (!oldest || slot.used < slots_[*oldest].used) oldest = static_cast<Sequence>(s);
  }
  return oldest;
}

}  // namespace lares::engine
