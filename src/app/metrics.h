// Metrics: what was done here since the daemon began, counted for `lares ps` and GET /metrics. Only
// numbers, names of models and lanes: nothing that was asked or answered. Run-loop thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "app/leases.h"
#include "base/clock.h"
#include "base/units.h"
#include "route/receipt.h"
#include "sched/queue.h"

namespace lares::app {

class Metrics {
 public:
  // Tokens that were written for answers of a model, just now.
  void wrote(const sched::ModelId& model, Lane lane, Tokens tokens, SteadyTime now);
  // Tokens of prompts that are computed by now, or were reused.
  void read(const sched::ModelId& model, Lane lane, Tokens tokens, Tokens reused);
  // One request ended.
  void ended(Lane lane, const route::Receipt& receipt);

  // Of answers, over the last kRateOver; 0 when none was written.
  double tokens_per_s(const sched::ModelId& model, SteadyTime now) const;

  // What is so at this moment, which others know.
  struct Now {
    struct Model {
      sched::ModelId id;
      Bytes memory;
      // in each lane
      std::array<size_t, 3> computing{}, waiting{};
      std::array<milliseconds, 3> longest_wait{};
      Leases::Seen lease;
    };
    std::vector<Model> models;  // those in memory, or that somebody waits for
    std::array<milliseconds, 3> lane_held{};
    Bytes memory_used, memory_budget;
  };
  // Prometheus' text format, version 0.0.4.
  std::string text(const Now& now) const;

  static constexpr milliseconds kRateOver{5'000};

 private:
  struct TokenCount {
    uint64_t prompt = 0, reused = 0, completion = 0;
  };
  struct Model {
    std::array<TokenCount, 3> tokens;  // of each lane
    // tokens of answers in each of the last seconds, and which second that is
    std::array<std::pair<int64_t, uint64_t>, 8> seconds{};
  };
  struct LaneCount {
    std::map<std::string, uint64_t> outcomes;
    uint64_t started = 0;  // that got a first token
    double queue_s = 0, first_token_s = 0;
    uint64_t queued = 0;
  };
  std::map<sched::ModelId, Model> models_;
  std::array<LaneCount, 3> lanes_;
};

}  // namespace lares::app
