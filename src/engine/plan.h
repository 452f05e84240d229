// Planning a step: which requests compute in it, and how many rows each. Interactive answers first,
// then interactive prompts, then agents, then background; within a lane whoever's owner has had
// least. Pure: what is there in, rows out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/shares.h"
#include "engine/step_cost.h"

namespace lares::engine {

inline constexpr size_t kChunkMin = 16;      // rows of a prompt that are worth a step
inline constexpr size_t kChunkUnknown = 64;  // beside answers, before any speed is known
inline constexpr double kAheadMaxMs = 100;   // CPU; who is further ahead of others sits out
// Background joins a step of better lanes for nothing where it makes that no longer than so many
// times: cheap rows of a large model do, those of a small one wait for background's share.
inline constexpr double kAlongside = 1.25;

// One request that could compute.
struct Want {
  Lane lane = Lane::Interactive;
  uint32_t owner = 0;
  size_t rows = 1;  // of its prompt that are left, or 1
  bool prompt = false;
  uint64_t served = 0;     // its last turn, on a counter of turns
  uint64_t set = 0;        // of adapters (set_turns.h)
  double choosing_ms = 0;  // what its next token takes beside the step, where a grammar is asked
};

struct Turn {
  size_t want = 0;
  size_t rows = 0;
};

struct StepLimits {
  size_t rows = 0;        // at most, of all
  double target_ms = 0;   // how long the step should take
  double cpu_per_ms = 1;  // CPU-ms for each ms of a step
  size_t chunk = 0;       // of prompts, whatever their speed; 0: by the speed
  double logit_rows = 0;  // Facts::logit_rows
};

// `wants` in the order of arrival, the turns in the order in which they were given. Somebody gets
// rows where somebody wants any.
std::vector<Turn> plan_step(std::span<const Want> wants, const Shares& shares, const StepCost& cost,
                            const StepLimits& limits);

}  // namespace lares::engine
