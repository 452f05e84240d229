// What can be told of a request without decoding it: for a thread that has no time to.
#pragma once

#include <optional>

#include "base/lane.h"
#include "wire/frame.h"

namespace lares::wire {

// The lane of a Generate, Embed, Rank or Resume, from the last bytes of its payload, where
// to_frame() puts it. nullopt: another message, or another writer's. A hint: from_frame() has the
// last word.
std::optional<Lane> lane_of(const Frame& frame);

}  // namespace lares::wire
