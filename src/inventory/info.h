// Info: reading what a model says of itself (Model::info), which a hostile file may have chosen.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/json.h"

namespace lares::inventory {

// No field of a model's is larger; also keeps products of a few of them in range.
inline constexpr uint64_t kSaneMax = uint64_t{1} << 40;

// A whole number of `object`, at most kSaneMax; 0 when it is none.
inline uint64_t count_in(const Json& object, const char* name) {
  if (!object.is_object()) return 0;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return 0;
  return std::min(found->get<uint64_t>(), kSaneMax);
}

}  // namespace lares::inventory
