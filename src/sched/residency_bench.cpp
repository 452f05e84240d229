// How long does the run loop stand still to choose what to evict?
// Sketch: 64 entries, one pass, no allocation but the answer: expect well under 10 us.
#include "base/bench.h"
#include "base/text.h"
#include "sched/residency.h"

namespace lares::sched {

BENCH(room_for_in_a_full_house) {
  const uint64_t models = bench.size<uint64_t>(/*test=*/4, /*real=*/64);
  Residency residency{MiB(100) * models};
  for (uint64_t i = 0; i < models; i++) residency.enter(cat("model-", i), MiB(100));
  std::vector<Residency::Pin> pins;  // the worst case: half the house may not move
  for (uint64_t i = 0; i < models; i += 2) pins.push_back(*residency.pin(cat("model-", i)));
  bench.run([&] { return residency.room_for(MiB(100) * (models / 2))->size(); });
}

}  // namespace lares::sched
