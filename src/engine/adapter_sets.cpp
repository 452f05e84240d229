#include "engine/adapter_sets.h"

#include <algorithm>

namespace lares::engine {

uint64_t AdapterSets::number_of(const std::vector<Adapter>& adapters) {
  if (adapters.empty()) return 0;
  const auto at = std::find_if(known_.begin(), known_.end(),
                               [&](const Known& known) { return known.adapters == adapters; });
  if (at != known_.end()) {
    std::rotate(known_.begin(), at, at + 1);
    return known_.front().number;
  }
  if (known_.size() == kAdapterSetsMax) known_.pop_back();
  known_.push_front({next_++, adapters});
  return known_.front().number;
}

}  // namespace lares::engine
