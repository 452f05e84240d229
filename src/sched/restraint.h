// Restraint: what this machine's power, heat and other programs leave to compute with. Pure: facts
// in, a decision out; the caller looks at the machine and hands on what was decided.
//
// On battery, or when the processor is too hot, background work stops and the rest computes on
// fewer cores. Beside other programs that compute, as many threads as cores would wait for each
// other at every step, so one is left out for each core that others use.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/lane.h"
#include "inventory/power.h"

namespace lares::sched {

class Restraint {
 public:
  struct Options {
    unsigned threads = 1;                // where nothing restrains
    bool background_on_battery = false;  // it goes on
    unsigned battery_threads = 0;        // 0: half of `threads`
    double temperature_max = 90;         // degrees Celsius; 0: never too hot
    bool beside_others = true;           // fewer threads beside other programs
  };
  struct Decision {
    Lane worst = Lane::Background;  // that may compute
    unsigned threads = 0;
    std::string why;  // for showing; "" when nothing restrains
    bool operator==(const Decision&) const = default;
  };

  static constexpr double kCoolerBy = 5;         // degrees, until it counts as cool again
  static constexpr double kForeignMemory = 0.6;  // what a second ago counts of the one before

  explicit Restraint(Options options) : options_(options) {}

  // `foreign_cores`: what other programs used since the last call, in processors; nullopt: unknown.
  Decision decide(const inventory::Power& power, std::optional<double> foreign_cores);

 private:
  const Options options_;
  bool hot_ = false;
  double foreign_ = 0;
  unsigned given_up_ = 0;  // threads, for others
};

}  // namespace lares::sched
