// Alternatives: what could be asked for instead of a request that does not fit, and which of them
// changes it least. Pure. What it is not: a maker of alternatives; who knows contexts, cache types
// and models lists them (app).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "sched/ladder.h"

namespace lares::sched {

struct Alternative {
  // What it changes at most, in the order of how much of that a person notices.
  enum class Changes : uint8_t { CacheType, Context, Model };
  std::string name;  // as it is said: "context 4096", "cache type q8_0"
  Changes changes = Changes::Context;
  double kept = 1;  // how much of what was asked for is left, 0 to 1: of the context, say
  Footprint footprint;
};

// The smallest change that fits: of the least noticed kind, and of that kind the one that keeps
// most; of equals the first. `fits`: as Ladder::could_fit(). nullptr: none does.
const Alternative* smallest_change(std::span<const Alternative> alternatives,
                                   const std::function<bool(const Footprint&)>& fits);

}  // namespace lares::sched
