// Repetition: whether an answer has become one piece over and over again, as those of small models
// do when little chance is left to them. Looks at tokens, so it is exact, and says nothing of text
// that merely resembles itself. Pure; one for each answer, which keeps the tokens.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/model.h"

namespace lares::engine {

class Repetition {
 public:
  static constexpr size_t kPeriodMax = 256;  // tokens of the piece
  static constexpr size_t kTimesMin = 4;     // the piece is there so often,
  static constexpr size_t kTokensMin = 160;  // and so many tokens are nothing else

  // After each token, with the answer up to and with it. True: it repeats itself. Costs kPeriodMax
  // comparisons.
  bool grown(std::span<const Token> answer);

 private:
  // for each period, how many of the newest tokens are what stood one period before
  std::array<uint32_t, kPeriodMax + 1> alike_{};
};

}  // namespace lares::engine
