// AdapterSets: a number for each set of adapters that requests have named, so that what was
// computed with one is never taken for another's. Knows only the last few: a set that comes back
// later gets a new number, and nothing that was kept for it is found, which costs time and is never
// wrong. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/model.h"

namespace lares::engine {

inline constexpr size_t kAdapterSetsMax = 256;

class AdapterSets {
 public:
  // 0 for none.
  uint64_t number_of(const std::vector<Adapter>& adapters);

 private:
  struct Known {
    uint64_t number;
    std::vector<Adapter> adapters;
  };
  std::deque<Known> known_;  // last used first
  uint64_t next_ = 1;
};

}  // namespace lares::engine
