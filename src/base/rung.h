// Rung: how much of a model is in memory. The order is the order of what it takes, and of how soon
// it answers. A plan chooses it (sched), a worker stands on it (engine).
//
//   absent ──start──> parked ──map──> warm ──context──> hot
//           tokenizer,        weights      state of conversations,
//           no weights        resident     buffers
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lares {

enum class Rung : uint8_t { Absent, Parked, Warm, Hot };
inline constexpr std::array<std::string_view, 4> kRungNames = {"absent", "parked", "warm", "hot"};

constexpr std::string_view name(Rung rung) { return kRungNames[static_cast<size_t>(rung)]; }

constexpr std::optional<Rung> rung_named(std::string_view name) {
  for (size_t i = 0; i < kRungNames.size(); i++) {
    if (kRungNames[i] == name) return static_cast<Rung>(i);
  }
  return std::nullopt;
}

}  // namespace lares
