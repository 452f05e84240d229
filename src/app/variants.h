// Variants: which build of the engine's CPU code runs on this machine. What a CPU claims is not
// believed: each variant that was built and that the CPU claims computes real products in a process
// that is thrown away, and they are compared; the fastest right one is used. A variant that dies
// costs a line in `lares doctor`. The outcome is remembered in the cache folder for this CPU, its
// microcode, the worker and the variants' files, and asked again when one of them changes.
//
// Blocking, seconds at the first time: for the background thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/home.h"
#include "app/residents.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"

namespace lares::app {

// How one variant did.
struct Probed {
  std::string variant;
  bool ok = false;
  std::string why;  // when not ok: "was ended by SIGILL", "computes wrong products (error 0.4)"
  double prefill_gflops = 0;
  double decode_gflops = 0;
};

struct Variants {
  std::vector<Probed> probed;  // those that were built and the CPU claims, best claim first
  std::string chosen;          // "" when none is ok
  Json to_json() const;
};

// Probes, or remembers. `only`: the one that the person chose, "" for the fastest. Unsupported when
// none was built, or none computes rightly here, with what to do.
Result<Variants> choose_variant(const Programs& programs, const Home& home, const std::string& only,
                                Log& log);

// How to start workers of the real engine with that choice.
EngineChoice engine_choice(const Programs& programs, const Variants& variants);

}  // namespace lares::app
