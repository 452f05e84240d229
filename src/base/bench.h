// BENCH(name) { ... }: a micro-benchmark of one file, beside the code that it measures.
// ctest runs each small, so that none can rot; `./dev bench micro` runs them for real. Each prints
// the hash of what it computed: the optimiser cannot drop the work, and a change of meaning is
// seen. Benches of the whole program are in bench/.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/registry.h"

namespace lares {

class Bench {
 public:
  explicit Bench(bool real) : real_(real) {}
  // The size to use: a small one under ctest, a real one for figures.
  template <class T>
  T size(T test, T real) const {
    return real_ ? real : test;
  }
  // Calls `body` often, of which one that takes long needs less; it returns something that converts
  // to uint64_t.
  template <class F>
  void run(F body, int rounds_real = 10'000) {
    const int rounds = real_ ? rounds_real : 2;
    const auto from = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; i++) hash_ = hash_ * 31 + static_cast<uint64_t>(body());
    const auto took = std::chrono::steady_clock::now() - from;
    ns_ = std::chrono::duration<double, std::nano>(took).count() / rounds;
  }
  uint64_t hash() const { return hash_; }
  double ns() const { return ns_; }

 private:
  bool real_;
  uint64_t hash_ = 0;
  double ns_ = 0;
};

struct BenchCase {
  std::string_view name;
  void (*body)(Bench&);
};

}  // namespace lares

#define BENCH(n)                                                      \
  static void n##_body(lares::Bench&);                                \
  static const lares::BenchCase n##_case{#n, n##_body};               \
  static const lares::Registered<lares::BenchCase> n##_reg{n##_case}; \
  static void n##_body(lares::Bench& bench)
