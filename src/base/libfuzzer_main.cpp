// One program for all fuzz targets under libFuzzer: `fuzz --target=NAME CORPUS... [libFuzzer's
// flags]`. libFuzzer itself ignores what begins with two dashes, and hands it on to the processes
// that it starts.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/fuzz.h"

namespace {
const lares::FuzzTarget* target = nullptr;
}

extern "C" int LLVMFuzzerInitialize(const int* count, char*** arguments) {
  constexpr std::string_view kOption = "--target=";
  for (int i = 1; i < *count; i++) {
    const std::string_view argument = (*arguments)[i];
    if (argument.starts_with(kOption))
      target = lares::Registered<lares::FuzzTarget>::find(argument.substr(kOption.size()));
  }
  if (target != nullptr) return 0;
  std::fprintf(stderr, "give --target=NAME; there are:\n");
  for (const lares::FuzzTarget* each : lares::Registered<lares::FuzzTarget>::all())
    std::fprintf(stderr, "  %.*s\n", static_cast<int>(each->name.size()), each->name.data());
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  target->body({reinterpret_cast<const char*>(data), size});
  return 0;
}
