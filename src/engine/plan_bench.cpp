#include "base/bench.h"
#include "engine/plan.h"

namespace lares::engine {

// Deciding a step of eight requests of three lanes and four owners, with the accounts kept: to be
// held against the 5 ms and more that the step then takes.
BENCH(plan_a_step) {
  Shares shares;
  StepCost cost;
  for (double rows = 1; rows <= 256; rows *= 2) cost.learn(rows, 8 + 0.5 * rows);
  std::vector<Want> wants;
  for (uint32_t i = 0; i < 8; i++) {
    const auto lane = static_cast<Lane>(i % 3);
    shares.enter(lane, i % 4);
    wants.push_back({lane, i % 4, i == 5 ? 900U : 1U, i == 5, i});
  }
  uint64_t turns = 8;
  bench.run([&] {
    size_t given = 0;
    shares.step_begins();
    for (const Turn& turn : plan_step(wants, shares, cost, {512, 60, 2})) {
      Want& want = wants[turn.want];
      want.served = ++turns;
      given += turn.rows;
      shares.charge(want.lane, want.owner, 10 * cost.share(static_cast<double>(turn.rows), 64, 8));
    }
    cost.learn(64, 40);
    return given;
  });
}

}  // namespace lares::engine
