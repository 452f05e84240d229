#include "engine/repetition.h"

#include <algorithm>

namespace lares::engine {

bool Repetition::grown(std::span<const Token> answer) {
  bool repeats = false;
  for (size_t period = 1; period <= std::min(kPeriodMax, answer.size() - 1); period++) {
    uint32_t& alike = alike_.at(period);
    alike = answer[answer.size() - 1 - period] == answer.back() ? alike + 1 : 0;
    repeats |= alike + period >= std::max(kTokensMin, kTimesMin * period);
  }
  return repeats;
}

}  // namespace lares::engine
