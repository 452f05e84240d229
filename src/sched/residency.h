// Residency: which models are in memory, and which must leave before another may enter.
//
// Pure bookkeeping: no clock, no process, no I/O. The run loop tells it facts and carries out what
// it answers, so a test can reach any state and a seed can replay it. Not thread-safe: the run-loop
// thread owns it.
//
//   absent --enter()--> resident --pin()--> pinned --last ~Pin--> resident
//                          |                                        |
//                          '--begin_leave()--> leaving --leave()--> absent
//
// A model that leaves holds its memory until its process is gone, so leaving takes two steps.
// leave() alone is for a process that died by itself.
//
// Invariants, asserted after every change by check():
//   I1  used() <= budget(): a model counts in full from enter() to leave()
//   I2  a pinned model is never a victim and never leaves
//   I3  a model is present at most once
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace lares::sched {

using ModelId = std::string;

class Residency {
 public:
  class Pin;  // move-only: keeps one model resident while it lives; must not outlive Residency

  explicit Residency(Bytes budget) : budget_(budget) {}

  // The models to evict, least recently used first, so that `size` fits when they and those that
  // are leaving already have left; empty if none more must go. NoRoom when evicting every unpinned
  // model would not be enough: for ever when `size` exceeds the budget, else until a pin is gone.
  // Changes nothing.
  Result<std::vector<ModelId>> room_for(Bytes size) const;

  // The pinned models that must come to rest before `size` can fit, least recently used first;
  // empty when room_for() is enough or `size` exceeds the budget.
  std::vector<ModelId> to_drain(Bytes size) const;

  bool fits(Bytes size) const { return size <= budget_ && used_ <= budget_ - size; }

  void enter(ModelId id, Bytes size);         // requires: absent, and `size` fits now
  void begin_leave(const ModelId& id);        // requires: resident and not pinned
  void leave(const ModelId& id);              // requires: present and not pinned
  std::optional<Pin> pin(const ModelId& id);  // nullopt: absent or leaving. Counts as a use.

  // What was measured replaces what was estimated. False, and nothing changed, when more does not
  // fit. Requires: present.
  [[nodiscard]] bool resize(const ModelId& id, Bytes size);

  Bytes budget() const { return budget_; }
  Bytes used() const { return used_; }
  Bytes size_of(const ModelId& id) const;  // 0 when absent

 private:
  struct Entry {
    ModelId id;
    Bytes size;
    int pins = 0;
    bool leaving = false;
  };
  std::vector<Entry>::iterator find(const ModelId& id);
  void check() const;

  const Bytes budget_;
  Bytes used_;                  // sum of entries_[i].size
  std::vector<Entry> entries_;  // least recently used first
};

class Residency::Pin {
 public:
  Pin(Pin&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), id_(std::move(other.id_)) {}
  Pin& operator=(Pin&&) = delete;
  ~Pin();

 private:
  friend class Residency;
  Pin(Residency* owner, ModelId id) : owner_(owner), id_(std::move(id)) {}
  Residency* owner_;
  ModelId id_;
};

}  // namespace lares::sched
