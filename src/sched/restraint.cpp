#include "sched/restraint.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace lares::sched {

Restraint::Decision Restraint::decide(const inventory::Power& power,
                                      std::optional<double> foreign_cores) {
  Decision decision{Lane::Background, std::max(1U, options_.threads), ""};
  const unsigned fewer =
      options_.battery_threads > 0 ? options_.battery_threads : std::max(1U, decision.threads / 2);
  const auto restrain = [&](std::string_view why) {
    decision.threads = std::min(decision.threads, fewer);
    decision.why += cat(decision.why.empty() ? "" : "; ", why);
  };
  if (power.temperature && options_.temperature_max > 0) {
    hot_ = *power.temperature >= options_.temperature_max - (hot_ ? kCoolerBy : 0);
  } else {
    hot_ = false;
  }
  if (hot_) {
    restrain(cat("the processor has ", std::lround(*power.temperature), " °C"));
    decision.worst = Lane::Agent;
  }
  if (power.on_battery && !options_.background_on_battery) {
    restrain("on battery");
    decision.worst = Lane::Agent;
  }
  if (options_.beside_others && foreign_cores) {
    foreign_ = kForeignMemory * foreign_ + (1 - kForeignMemory) * std::max(0.0, *foreign_cores);
    // a half up, and a quarter down again: no to and fro at the border
    const auto now = static_cast<unsigned>(std::floor(foreign_ + 0.5));
    const auto least = static_cast<unsigned>(std::floor(foreign_ + 0.75));
    given_up_ = std::clamp(given_up_, now, std::max(now, least));
    if (given_up_ > 0 && decision.threads > 1) {
      const unsigned left = options_.threads > given_up_ ? options_.threads - given_up_ : 1;
      if (left < decision.threads) {
        decision.threads = left;
        decision.why += cat(decision.why.empty() ? "" : "; ", "other programs compute on ",
                            given_up_, given_up_ == 1 ? " core" : " cores");
      }
    }
  }
  return decision;
}

}  // namespace lares::sched
