#include <memory>

#include "base/bench.h"
#include "engine/batcher.h"

namespace lares::engine {

// A step of eight streams of the fake model, whose own part of it is small: planning, accounts,
// drafts, a token's choice, its text and its event. To be held against the 8 ms and more that a
// step of a real model takes.
BENCH(a_step_of_eight_streams) {
  constexpr uint64_t kStreams = 8;
  Pulse pulse;
  SystemClock clock;
  Lease lease;
  const auto* const backend = Registered<Backend>::find("fake");
  Options options;
  if (!backend->prepare(options)) return;
  LoadOrder order;
  order.load.context = 4096;
  order.load.sequences = kStreams;
  auto model = backend->load(order, pulse);
  if (!model) return;
  uint32_t seed = 1;
  uint64_t ended = 0;
  RequestMaker maker(
      **model, pulse, clock, [&] { return seed++; }, ThinkingMax{}, [] { return 0.0; });
  Batcher batcher(**model, pulse, clock, lease, [&](uint64_t id, const Batcher::Event& event) {
    if (std::holds_alternative<wire::Done>(event)) ended = id;
  });
  const auto ask = [&](uint64_t id) {
    const Json body = {{"prompt", "random: 400"}};
    auto made = maker.generate(id, {"completion", body, Lane::Interactive, uint32_t(id % 3)}, {});
    if (made) batcher.add(*std::move(made));
  };
  for (uint64_t id = 1; id <= kStreams; id++) ask(id);
  bench.run([&] {
    batcher.step();
    if (const uint64_t id = std::exchange(ended, 0)) ask(id);
    return seed;
  });
}

}  // namespace lares::engine
