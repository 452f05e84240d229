#include "engine/repetition.h"

#include <algorithm>

namespace lares::engine {

bool Repetition::add(Token token) {
  bool repeats = false;
  for (size_t period = 1; period <= last_.size(); period++) {
    uint32_t& alike = alike_.at(period);
    alike = last_[period - 1] == token ? alike + 1 : 0;
    repeats |= alike + period >= std::max(kTokensMin, kTimesMin * period);
  }
  last_.push_front(token);
  if (last_.size() > kPeriodMax) last_.pop_back();
  return repeats;
}

}  // namespace lares::engine
