// Bytes and Tokens: numbers that cannot be mixed up. Durations are std::chrono's.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace lares {

struct Bytes {
  uint64_t n = 0;
  auto operator<=>(const Bytes&) const = default;
  Bytes& operator+=(Bytes b) {
    n += b.n;
    return *this;
  }
  Bytes& operator-=(Bytes b) {
    n -= b.n;
    return *this;
  }
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return {a.n + b.n}; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return {a.n - b.n}; }
  friend constexpr Bytes operator*(Bytes a, uint64_t k) { return {a.n * k}; }
};
constexpr Bytes KiB(uint64_t n) { return {n << 10}; }
constexpr Bytes MiB(uint64_t n) { return {n << 20}; }
constexpr Bytes GiB(uint64_t n) { return {n << 30}; }

// "412 MiB", "3.2 GiB", "17 B": as sizes print everywhere.
std::string to_string(Bytes size);

using Tokens = uint32_t;  // a count of tokens; positions and ids are the engine's own types

}  // namespace lares
