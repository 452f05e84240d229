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
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"

namespace lares::app {

// How one variant did.
struct Probed {
  std::string variant;
  bool ok = false;
  bool tried = true;
  std::string why;  // when not ok: "was ended by SIGILL", "computes wrong products (error 0.4)"
  double prefill_gflops = 0;
  double decode_gflops = 0;
};

struct Variants {
  std::vector<Probed> probed;  // all that were built and the CPU claims, best claim first
  std::string chosen;          // "" when none is ok
  Json to_json() const;
};

// The best claims are compared; below them only a fallback is looked for: where a hypervisor passes
// claims on that it does not keep, all of them may fail.
inline constexpr size_t kProbesCompared = 4;  // slower ones are not worth a first start's time
inline constexpr milliseconds kProbingMax{60'000};  // then none is begun any more

// Whether the next one by claim is tried, after `so_far` and that time. When not, why.
struct NextProbe {
  bool wanted = true;
  std::string why;
};
NextProbe next_probe(const std::vector<Probed>& so_far, milliseconds spent);

// Probes, or remembers. `only`: the one that the person chose, "" for the fastest. Unsupported when
// none was built, or none computes rightly here, with what to do.
Result<Variants> choose_variant(const Programs& programs, const Home& home, const std::string& only,
                                Log& log);

// Where a CPU variant's code lies.
std::filesystem::path variant_file(const Programs& programs, const std::string& name);
// Changes when a file is replaced; "absent" for none.
std::string file_stamp(const std::filesystem::path& file);

// How to start workers of the real engine with that choice.
EngineChoice engine_choice(const Programs& programs, const Variants& variants);

}  // namespace lares::app
