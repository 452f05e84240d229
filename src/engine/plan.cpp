#include "engine/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace lares::engine {
namespace {

class Plan {
 public:
  Plan(std::span<const Want> wants, const Shares& shares, const StepCost& cost,
       const StepLimits& limits)
      : wants_(wants), shares_(shares), cost_(cost), limits_(limits), has_(wants.size()) {
    for (const Want& want : wants)
      levels_.try_emplace({want.lane, want.owner}, shares.ahead(want.lane, want.owner));
  }

  std::vector<Turn> made() {
    for (size_t i = 0; i < kLaneNames.size(); i++) {
      const auto lane = static_cast<Lane>(i);
      target_ms_ = limits_.target_ms;
      if (lane == Lane::Background && total_ > 0 && cost_.known())
        target_ms_ = std::min(target_ms_, kAlongside * base_ms());
      answers(lane);
      prompts(lane);
    }
    return std::move(turns_);
  }

 private:
  // An interactive answer is what the step is for; the others may not make it late.
  bool may_join(Lane lane, double weight, double choosing_ms = 0) const {
    if (total_ == 0 || lane == Lane::Interactive || !cost_.known()) return true;
    return cost_.ms(weight_ + weight) + choosing_ms_ + choosing_ms <= target_ms_ ||
           shares_.owed(lane);
  }

  void answers(Lane lane) {
    while (total_ < limits_.rows) {
      const auto next = next_answer(lane);
      if (!next || !may_join(lane, 1 + limits_.logit_rows, wants_[*next].choosing_ms)) return;
      give(*next, 1);
    }
  }

  // Of those that have no turn yet and whose owners are not too far ahead: that of the owner who
  // has had least, and of those the one that has waited longest.
  std::optional<size_t> next_answer(Lane lane) const {
    const double least = least_of(lane);
    std::optional<size_t> best;
    for (size_t i = 0; i < wants_.size(); i++) {
      const Want& want = wants_[i];
      if (want.lane != lane || want.prompt || has_[i] || want.rows == 0) continue;
      const double level = levels_.at({want.lane, want.owner});
      if (level > least + kAheadMaxMs) continue;
      if (best) {
        const Want& other = wants_[*best];
        const double others = levels_.at({other.lane, other.owner});
        if (level > others || (level == others && want.served >= other.served)) continue;
      }
      best = i;
    }
    return best;
  }

  double least_of(Lane lane) const {
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [key, level] : levels_) {
      if (key.first == lane) least = std::min(least, level);
    }
    return least;
  }

  // Half of the room for prompts is that of the owner who has had least, and there the oldest's;
  // the rest goes to those that need least: short ones do not wait for long ones, and long ones do
  // not starve.
  void prompts(Lane lane) {
    const auto first = oldest_prompt(lane);
    if (!first) return;
    size_t room = room_for_prompts(lane);
    if (room == 0) return;
    const double least = least_of(lane);
    std::vector<size_t> others;
    size_t wanted = 0;
    for (size_t i = 0; i < wants_.size(); i++) {
      const Want& want = wants_[i];
      if (i == *first || want.lane != lane || !want.prompt || want.rows == 0) continue;
      if (levels_.at({want.lane, want.owner}) > least + kAheadMaxMs) continue;
      others.push_back(i);
      wanted += want.rows;
    }
    const size_t own = std::min(wants_[*first].rows, room - std::min(room / 2, wanted));
    give(*first, own);
    room -= own;
    std::stable_sort(others.begin(), others.end(),
                     [&](size_t a, size_t b) { return wants_[a].rows < wants_[b].rows; });
    for (const size_t i : others) {
      if (room == 0) return;
      const size_t rows = std::min(room, wants_[i].rows);
      give(i, rows);
      room -= rows;
    }
  }

  std::optional<size_t> oldest_prompt(Lane lane) const {
    std::optional<size_t> best;
    double best_level = 0;
    const double least = least_of(lane);
    for (size_t i = 0; i < wants_.size(); i++) {
      const Want& want = wants_[i];
      if (want.lane != lane || !want.prompt || want.rows == 0) continue;
      const double level = levels_.at({want.lane, want.owner});
      if (level > least + kAheadMaxMs || (best && level >= best_level)) continue;
      best = i;
      best_level = level;
    }
    return best;
  }

  size_t room_for_prompts(Lane lane) const {
    const size_t left = limits_.rows - std::min(limits_.rows, total_);
    size_t chunk = left;
    if (limits_.chunk > 0) {
      chunk = limits_.chunk;
    } else if (cost_.known()) {
      chunk = more_within(target_ms_);
      // late by no more than a step's time, however slow the model is
      if (chunk < kChunkMin)
        chunk = may_join(lane, kChunkMin)
                    ? std::clamp<size_t>(more_within(limits_.target_ms + base_ms()), 1, kChunkMin)
                    : 0;
    } else if (total_ > 0) {
      chunk = kChunkUnknown;
    }
    return std::min(left, chunk);
  }

  double base_ms() const { return total_ > 0 ? cost_.ms(weight_) + choosing_ms_ : 0; }
  size_t more_within(double ms) const {
    const double fits =
        static_cast<double>(cost_.rows_within(std::max(0.0, ms - choosing_ms_))) - weight_;
    return fits > 0 ? static_cast<size_t>(fits) : 0;
  }

  void give(size_t i, size_t rows) {
    const double before = base_ms();
    const bool chooses = rows == wants_[i].rows;  // a token from its last row, or from its only one
    total_ += rows;
    weight_ += static_cast<double>(rows) + (chooses ? limits_.logit_rows : 0);
    if (chooses) choosing_ms_ += wants_[i].choosing_ms;
    const double more = base_ms() - before;
    levels_.at({wants_[i].lane, wants_[i].owner}) += more * limits_.cpu_per_ms;
    has_[i] = true;
    turns_.push_back({i, rows});
  }

  const std::span<const Want> wants_;
  const Shares& shares_;
  const StepCost& cost_;
  const StepLimits limits_;
  std::vector<Turn> turns_;
  std::vector<bool> has_;  // a turn
  size_t total_ = 0;       // rows
  double weight_ = 0;      // the same as rows of a prompt
  double choosing_ms_ = 0;
  double target_ms_ = 0;  // of the lane that is being planned
  // How far ahead each owner is, with what this step gives it.
  std::map<std::pair<Lane, uint32_t>, double> levels_;
};

}  // namespace

std::vector<Turn> plan_step(std::span<const Want> wants, const Shares& shares, const StepCost& cost,
                            const StepLimits& limits) {
  return Plan(wants, shares, cost, limits).made();
}

}  // namespace lares::engine
