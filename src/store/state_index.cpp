#include "store/state_index.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lares::store {

StateId StateIndex::add(StateItem item) {
  const StateId id = next_++;
  if (item.parent != kStateStart) unrank(item.parent);
  if (item.is_block()) {
    siblings(item).push_back(id);
    blocks_++;
  } else {
    StateItem& block = at(item.parent);
    assert(block.checkpoint == kStateStart);
    block.checkpoint = id;
  }
  account(item.place, true);
  const StateId parent = item.parent;
  items_.emplace(id, std::move(item));
  rerank(id);
  if (parent != kStateStart) rerank(parent);
  return id;
}

std::vector<StateItem> StateIndex::remove(StateId id) {
  std::vector<StateId> all{id};
  for (size_t i = 0; i < all.size(); i++) {
    const StateItem& item = at(all[i]);
    all.insert(all.end(), item.children.begin(), item.children.end());
    if (item.checkpoint != kStateStart) all.push_back(item.checkpoint);
  }
  std::vector<StateItem> removed;
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    unrank(*each);
    StateItem item = std::move(at(*each));
    items_.erase(*each);
    if (item.parent != kStateStart) unrank(item.parent);
    if (item.is_block()) {
      std::erase(siblings(item), *each);
      blocks_--;
      if (item.parent == kStateStart && first_[item.lineage].empty()) first_.erase(item.lineage);
    } else {
      at(item.parent).checkpoint = kStateStart;
    }
    account(item.place, false);
    if (item.parent != kStateStart) rerank(item.parent);
    removed.push_back(std::move(item));
  }
  return removed;
}

const StateItem* StateIndex::item(StateId id) const {
  const auto found = items_.find(id);
  return found == items_.end() ? nullptr : &found->second;
}

StateId StateIndex::child(const LineageNumber& lineage, StateId parent,
                          std::span<const int32_t> ids) const {
  const std::vector<StateId>* children = nullptr;
  if (parent == kStateStart) {
    const auto found = first_.find(lineage);
    if (found == first_.end()) return kStateStart;
    children = &found->second;
  } else {
    children = &items_.at(parent).children;
  }
  for (const StateId id : *children) {
    if (std::ranges::equal(items_.at(id).head.ids, ids)) return id;
  }
  return kStateStart;
}

std::vector<StateId> StateIndex::longest(const LineageNumber& lineage, std::span<const int32_t> ids,
                                         bool to_checkpoint) const {
  StateId best = kStateStart;
  Tokens best_until = 0;
  const auto first = first_.find(lineage);
  if (first == first_.end()) return {};
  // Turns end in short blocks, so more than one child can agree; each block is seen at most once.
  std::vector<StateId> open = first->second;
  while (!open.empty()) {
    const StateId id = open.back();
    open.pop_back();
    const StateItem& block = items_.at(id);
    if (block.until() > ids.size() ||
        !std::ranges::equal(block.head.ids, ids.subspan(block.head.before, block.head.ids.size())))
      continue;
    if (block.until() > best_until && (!to_checkpoint || block.checkpoint != kStateStart)) {
      best = id;
      best_until = block.until();
    }
    open.insert(open.end(), block.children.begin(), block.children.end());
  }
  std::vector<StateId> chain;
  for (; best != kStateStart; best = items_.at(best).parent) chain.push_back(best);
  std::ranges::reverse(chain);
  return chain;
}

void StateIndex::touch(StateId id, uint64_t now_s) {
  unrank(id);
  at(id).head.last_use_s = std::max(at(id).head.last_use_s, now_s);
  rerank(id);
}

void StateIndex::move(StateId id, const RecordPlace& place) {
  unrank(id);
  account(at(id).place, false);
  at(id).place = place;
  account(place, true);
  rerank(id);
}

StateId StateIndex::least_worth(StateId kept) const {
  for (const auto& [worth, id] : ranks_) {
    if (id != kept) return id;
  }
  return kStateStart;
}

std::vector<StateId> StateIndex::of_lineage(const LineageNumber& lineage) const {
  std::vector<StateId> found;
  for (const auto& [id, item] : items_) {
    if (item.lineage == lineage) found.push_back(id);
  }
  std::ranges::sort(found);
  return found;
}

std::vector<StateId> StateIndex::of_segment(uint64_t segment) const {
  std::vector<StateId> found;
  for (const auto& [id, item] : items_) {
    if (item.place.segment == segment) found.push_back(id);
  }
  std::ranges::sort(found);
  return found;
}

Bytes StateIndex::live(uint64_t segment) const {
  const auto found = segments_.find(segment);
  return found == segments_.end() ? Bytes{} : found->second;
}

void StateIndex::clear() {
  const StateId next = next_;
  *this = StateIndex();
  next_ = next;
}

std::vector<StateId>& StateIndex::siblings(const StateItem& item) {
  return item.parent == kStateStart ? first_[item.lineage] : at(item.parent).children;
}

std::optional<std::pair<double, StateId>> StateIndex::rank(StateId id) const {
  const StateItem& item = items_.at(id);
  if (!item.children.empty() || item.checkpoint != kStateStart) return std::nullopt;
  const double worth = (item.head.saves_ms + 1e-6) / static_cast<double>(item.place.header.size());
  const double age = static_cast<double>(item.head.last_use_s) /
                     static_cast<double>(std::chrono::seconds(kWorthHalves).count());
  return std::pair(std::log2(worth) + age, id);
}

void StateIndex::unrank(StateId id) {
  if (const auto ranked = rank(id)) ranks_.erase(*ranked);
}

void StateIndex::rerank(StateId id) {
  if (const auto ranked = rank(id)) ranks_.insert(*ranked);
}

void StateIndex::account(const RecordPlace& place, bool more) {
  const Bytes size{place.header.size()};
  Bytes& live = segments_[place.segment];
  if (more) {
    live += size;
    live_ += size;
  } else {
    live -= size;
    live_ -= size;
    if (live.n == 0) segments_.erase(place.segment);
  }
}

}  // namespace lares::store
