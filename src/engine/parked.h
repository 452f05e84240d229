// Parked: conversations that do not compute, as bytes outside of the engine's cells. Every step
// looks at all cells in use, so what rests there slows the others down (12 % of decode for 2,500
// tokens); as bytes it costs memory only, and comes back in milliseconds. Holds what fits into its
// limit and forgets what was used longest ago. Not a store: it ends with the process. Owned by the
// Batcher; its thread.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "base/units.h"
#include "engine/slots.h"

namespace lares::engine {

// Memory straight from the system, in large pages where there are: written once as a whole, and
// given back as a whole.
class Block {
 public:
  Block() = default;
  explicit Block(size_t size);  // empty when the system has no more
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;
  ~Block();
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

class Parked {
 public:
  struct Conversation {
    std::vector<Token> tokens;
    Position first = 0;  // positions before it were forgotten (windows)
    Block state;
    uint64_t adapters = 0;  // the set (AdapterSets) that it was computed with
    size_t exact = 0;       // Slots::Slot::exact
  };
  struct Found {
    const Conversation* conversation;
    size_t keep;  // the tokens at its beginning that can be built upon
  };

  explicit Parked(Bytes limit) : limit_(limit) {}

  // Drops what is the beginning of it, and what was used longest ago until it fits; what never fits
  // is dropped itself.
  void add(Conversation conversation);
  // True when all of `tokens` is the beginning of something here, with the same adapters.
  bool holds(std::span<const Token> tokens, uint64_t adapters = 0) const;
  // What of those adapters has most in common with `tokens`, of which one is always left to
  // compute. `window`: as in Facts. `cuts` false: only what is wholly their beginning. Counts as
  // used; valid until the next add().
  std::optional<Found> find(std::span<const Token> tokens, size_t window, bool cuts,
                            uint64_t adapters = 0);
  // The same for a seeded prompt: only what was computed as its own pieces would be.
  std::optional<Found> find_exact(std::span<const Token> tokens, uint64_t adapters = 0);

  Bytes limit() const { return limit_; }
  Bytes size() const { return size_; }
  size_t count() const { return conversations_.size(); }

 private:
  std::list<Conversation>::iterator drop(std::list<Conversation>::iterator which);
  std::optional<Found> found(std::list<Conversation>::iterator which, size_t keep);

  const Bytes limit_;
  Bytes size_;
  std::list<Conversation> conversations_;  // last used first
};

}  // namespace lares::engine
