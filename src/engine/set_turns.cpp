#include "engine/set_turns.h"

#include <algorithm>
#include <cassert>

namespace lares::engine {

uint64_t SetTurns::next(std::span<const Want> wants, std::span<const Turn> turns,
                        const Shares& shares) {
  assert(!turns.empty());
  const Lane lane = wants[turns.front().want].lane;
  const auto is_urgent = [&](uint64_t set) {
    return std::any_of(turns.begin(), turns.end(), [&](const Turn& turn) {
      return wants[turn.want].set == set && wants[turn.want].lane == lane;
    });
  };
  const bool stays = is_urgent(set_);
  const auto may_follow = [&](const Want& want) {
    if (want.set == set_) return false;
    if (want.lane == lane) return !stays || steps_ >= kSetSteps;
    return urgent_ >= kSetSteps && shares.owed(want.lane);
  };
  const Want* next = nullptr;
  for (const Turn& turn : turns) {
    const Want& want = wants[turn.want];
    if (may_follow(want) && (!next || want.served < next->served)) next = &want;
  }
  if (next) {
    set_ = next->set;
    steps_ = 0;
  }
  steps_++;
  urgent_ = is_urgent(set_) ? urgent_ + 1 : 0;
  return set_;
}

}  // namespace lares::engine
