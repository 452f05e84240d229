// Lane: how urgent a piece of work is. Chosen by whoever asks, obeyed by the queue (sched), by a
// worker between its requests (engine), and between workers. The order is the order of urgency.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lares {

enum class Lane : uint8_t {
  Interactive,  // somebody reads along
  Agent,        // somebody waits for what comes of it
  Background,   // nobody waits
};
inline constexpr std::array<std::string_view, 3> kLaneNames = {"interactive", "agent",
                                                               "background"};

constexpr std::string_view name(Lane lane) { return kLaneNames[static_cast<size_t>(lane)]; }

constexpr std::optional<Lane> lane_named(std::string_view name) {
  for (size_t i = 0; i < kLaneNames.size(); i++) {
    if (kLaneNames[i] == name) return static_cast<Lane>(i);
  }
  return std::nullopt;
}

}  // namespace lares
