// FUZZ(name) { ... bytes ... }: a fuzz target of one file, beside the parser that it feeds.
// ctest replays the corpus (tests/corpus/NAME/*) and some seeded mutations under gcc; `./dev fuzz
// NAME` runs libFuzzer under clang. A target returns nothing and must not crash, hang or leak.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/registry.h"

namespace lares {

struct FuzzTarget {
  std::string_view name;
  void (*body)(std::string_view bytes);
};

}  // namespace lares

#define FUZZ(n)                                                             \
  static void n##_fuzz(std::string_view bytes);                             \
  static const lares::FuzzTarget n##_target{#n, n##_fuzz};                  \
  static const lares::Registered<lares::FuzzTarget> n##_fuzzed{n##_target}; \
  static void n##_fuzz(std::string_view bytes)
