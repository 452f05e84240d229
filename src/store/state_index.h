// What the state store holds, in memory: for each lineage a tree of blocks, each with its tokens,
// where its record lies, and what it is worth. Finding is walking the tree and comparing tokens;
// names are not asked. No files and no keys. Pure; one thread at a time.
//
// A block can be given up when nothing goes on from it: no block, no checkpoint. Of those the one
// that saves the fewest seconds a byte goes first, where each kWorthHalves since its last use
// halves what it is worth. So two of them never change places as time passes, and the order is
// kept instead of being computed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/units.h"
#include "store/state_segment.h"

namespace lares::store {

inline constexpr std::chrono::seconds kWorthHalves = std::chrono::hours(24);

// Numbers what the store holds, from 1 on and never twice while the process lives. 0: the place
// before the first block.
using StateId = uint64_t;
inline constexpr StateId kStateStart = 0;

struct StateItem {
  RecordHead head;  // ids are the block's tokens
  Digest name{};    // of the block; of a checkpoint, of the block that it is at
  LineageNumber lineage{};
  StateId parent = kStateStart;
  RecordPlace place;
  std::vector<StateId> children;
  StateId checkpoint = kStateStart;  // of a block; kStateStart: none

  bool is_block() const { return head.kind == RecordHead::Kind::Block; }
  // Tokens from the start of the chain to the end of this.
  Tokens until() const { return head.before + static_cast<Tokens>(head.ids.size()); }
  Bytes state_bytes() const { return Bytes{place.header.state_bytes - kSealTagBytes}; }
};

class StateIndex {
 public:
  // Requires: the parent is there, and has no such child, or checkpoint, yet.
  StateId add(StateItem item);
  // Takes out the item and all that goes on from it, leaves first.
  std::vector<StateItem> remove(StateId id);
  const StateItem* item(StateId id) const;

  // The block after `parent` with exactly these tokens; kStateStart: there is none.
  StateId child(const LineageNumber& lineage, StateId parent, std::span<const int32_t> ids) const;
  // The blocks that reach farthest into `ids`, first to last. With `to_checkpoint` up to the
  // farthest one that has a checkpoint.
  std::vector<StateId> longest(const LineageNumber& lineage, std::span<const int32_t> ids,
                               bool to_checkpoint) const;

  void touch(StateId id, uint64_t now_s);
  void move(StateId id, const RecordPlace& place);
  // The one to give up next, but not `kept`; kStateStart: there is none.
  StateId least_worth(StateId kept) const;

  std::vector<StateId> of_lineage(const LineageNumber& lineage) const;
  std::vector<StateId> of_segment(uint64_t segment) const;
  size_t blocks() const { return blocks_; }
  size_t checkpoints() const { return items_.size() - blocks_; }
  size_t lineages() const { return first_.size(); }
  // Of all records in that segment, as they lie in the file.
  Bytes live(uint64_t segment) const;
  Bytes live() const { return live_; }
  void clear();

 private:
  StateItem& at(StateId id) { return items_.at(id); }
  std::vector<StateId>& siblings(const StateItem& item);
  std::optional<std::pair<double, StateId>> rank(StateId id) const;
  // Forgets the rank of an item that is about to change, and gives it one again after.
  void unrank(StateId id);
  void rerank(StateId id);
  void account(const RecordPlace& place, bool more);

  std::unordered_map<StateId, StateItem> items_;
  std::map<LineageNumber, std::vector<StateId>> first_;  // blocks at the start of a chain
  std::map<uint64_t, Bytes> segments_;                   // live bytes of each
  std::set<std::pair<double, StateId>> ranks_;           // of what nothing goes on from
  StateId next_ = 1;
  size_t blocks_ = 0;
  Bytes live_;
};

}  // namespace lares::store
