// How long does the run loop stand still to plan a climb, the worst one, and to keep its books?
// Sketch: 64 models of three steps each, every step of every model looked at for each one that is
// taken: 12,000 looks and as many sums of a few parts: expect well under a millisecond.
#include "base/bench.h"
#include "base/text.h"
#include "sched/ladder.h"

namespace lares::sched {

namespace {

// All hot but the last, every fourth with weights that it has in common with others.
void fill(Ladder& ladder, NextUse& next_use, uint64_t models) {
  SteadyTime now{};
  for (uint64_t i = 0; i <= models; i++) {
    Footprint footprint{MiB(10), MiB(60 + i), MiB(90 + i), 300, 10.0 + static_cast<double>(i), 900};
    if (i % 4 == 0) footprint.shared.push_back({cat("part-", i % 16), MiB(5)});
    const ModelId model = cat("model-", i);
    (void)ladder.know(model, footprint);
    if (i == models) return;
    now += milliseconds(1'000);
    next_use.used(cat("app-", i % 8), model, now);
    (void)ladder.adopt(*ladder.plan(model, Rung::Hot, now));
    (void)ladder.begin();
    ladder.arrived(model, Rung::Hot);
  }
}

}  // namespace

BENCH(plan_that_sends_everybody_away) {
  const uint64_t models = bench.size<uint64_t>(/*test=*/4, /*real=*/64);
  NextUse next_use;
  Ladder ladder(MiB(200) * models, next_use);
  fill(ladder, next_use, models);
  const ModelId last = cat("model-", models);
  const Bytes all = ladder.used();
  (void)ladder.set_budget(all, {});
  (void)ladder.know(last, {{}, {}, all, 1, 1, 1});
  bench.run([&] { return ladder.plan(last, Rung::Hot, {})->descents.size(); });
}

BENCH(pin_and_its_end_in_a_full_house) {
  const uint64_t models = bench.size<uint64_t>(/*test=*/4, /*real=*/64);
  NextUse next_use;
  Ladder ladder(MiB(200) * models, next_use);
  fill(ladder, next_use, models);
  bench.run([&] { return ladder.pin("model-1", {}).has_value(); });
}

}  // namespace lares::sched
