#include "sched/residency.h"

#include <algorithm>

#include "base/text.h"

namespace lares::sched {

Result<std::vector<ModelId>> Residency::room_for(Bytes size) const {
  if (size > budget_)
    return Error{Code::NoRoom, cat("needs ", size, ", memory.budget is ", budget_,
                                   "; choose a smaller quantisation or raise memory.budget")};
  Bytes room = budget_ - used_;
  Bytes held;  // by pinned models, named in the error
  for (const Entry& entry : entries_) {
    if (entry.leaving) room += entry.size;
    if (entry.pins > 0) held += entry.size;
  }
  std::vector<ModelId> victims;
  for (const Entry& entry : entries_) {
    if (room >= size) break;
    if (entry.pins > 0 || entry.leaving) continue;
    room += entry.size;
    victims.push_back(entry.id);
  }
  if (room >= size) return victims;
  return Error{Code::NoRoom, cat("needs ", size, ", but ", held, " of ", budget_,
                                 " is held by answers in progress; retry when one finishes")};
}

std::vector<ModelId> Residency::to_drain(Bytes size) const {
  if (size > budget_) return {};
  Bytes room = budget_ - used_;
  for (const Entry& entry : entries_) {
    if (entry.pins == 0) room += entry.size;  // idle or leaving: room_for() takes care of these
  }
  std::vector<ModelId> pinned;
  for (const Entry& entry : entries_) {
    if (room >= size) break;
    if (entry.pins == 0) continue;
    room += entry.size;
    pinned.push_back(entry.id);
  }
  return pinned;
}

void Residency::enter(ModelId id, Bytes size) {
  assert(find(id) == entries_.end());
  assert(fits(size));
  used_ += size;
  entries_.push_back({std::move(id), size});
  check();
}

void Residency::begin_leave(const ModelId& id) {
  auto it = find(id);
  assert(it != entries_.end());
  assert(it->pins == 0);
  it->leaving = true;
}

void Residency::leave(const ModelId& id) {
  auto it = find(id);
  assert(it != entries_.end());
  assert(it->pins == 0);
  used_ -= it->size;
  entries_.erase(it);
  check();
}

std::optional<Residency::Pin> Residency::pin(const ModelId& id) {
  auto it = find(id);
  if (it == entries_.end() || it->leaving) return std::nullopt;
  it->pins++;
  std::rotate(it, it + 1, entries_.end());
  check();
  return Pin(this, id);
}

bool Residency::resize(const ModelId& id, Bytes size) {
  auto it = find(id);
  assert(it != entries_.end());
  const Bytes others = used_ - it->size;
  if (size > budget_ || others > budget_ - size) return false;
  used_ = others + size;
  it->size = size;
  check();
  return true;
}

Bytes Residency::size_of(const ModelId& id) const {
  for (const Entry& entry : entries_) {
    if (entry.id == id) return entry.size;
  }
  return {};
}

Residency::Pin::~Pin() {
  if (!owner_) return;
  auto it = owner_->find(id_);
  assert(it != owner_->entries_.end());
  assert(it->pins > 0);
  it->pins--;
}

std::vector<Residency::Entry>::iterator Residency::find(const ModelId& id) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.id == id; });
}

void Residency::check() const {
  Bytes sum;
  for (const Entry& entry : entries_) {
    sum += entry.size;
    assert(!entry.leaving || entry.pins == 0);
  }
  assert(sum == used_);
  assert(used_ <= budget_);
}

}  // namespace lares::sched
