// SetTurns: with which set of adapters the next step computes, where several are wanted, since the
// engine computes a whole step with one. Goes by the plan of a step in which sets would not matter
// (plan.h). The most urgent lane goes first; within it the set of the last step stays for some
// more, since each change costs the engine a new graph, and then comes the one that has waited
// longest, so that none waits for the end of another's answers. A less urgent lane that is owed its
// share gets a step now and then. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/plan.h"

namespace lares::engine {

// Of one set in a row while another waits that is as urgent, and of the most urgent lane while
// another is owed its share.
inline constexpr size_t kSetSteps = 8;

class SetTurns {
 public:
  // `turns`: what plan_step() gives of `wants`; not empty. One of them is of the set that comes
  // back.
  uint64_t next(std::span<const Want> wants, std::span<const Turn> turns, const Shares& shares);

 private:
  uint64_t set_ = 0;
  size_t steps_ = 0;   // of that set in a row
  size_t urgent_ = 0;  // of the most urgent lane in a row
};

}  // namespace lares::engine
