#include "sched/alternatives.h"

namespace lares::sched {

const Alternative* smallest_change(std::span<const Alternative> alternatives,
                                   const std::function<bool(const Footprint&)>& fits) {
  const Alternative* best = nullptr;
  for (const Alternative& each : alternatives) {
    const bool smaller = !best || each.changes < best->changes ||
                         (each.changes == best->changes && each.kept > best->kept);
    if (smaller && fits(each.footprint)) best = &each;
  }
  return best;
}

}  // namespace lares::sched
