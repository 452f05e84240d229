// Repetition: whether an answer has become one piece over and over again, as those of small models
// do when little chance is left to them. Looks at tokens, so it is exact, and says nothing of text
// that merely resembles itself. Pure; one for each answer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "engine/model.h"

namespace lares::engine {

class Repetition {
 public:
  static constexpr size_t kPeriodMax = 256;  // tokens of the piece
  static constexpr size_t kTimesMin = 4;     // the piece is there so often,
  static constexpr size_t kTokensMin = 160;  // and so many tokens are nothing else

  // The answer's next token. True: it repeats itself. Costs kPeriodMax comparisons.
  bool add(Token token);

 private:
  std::deque<Token> last_;  // newest first, at most kPeriodMax
  // for each period, how many of the newest tokens are what stood one period before
  std::array<uint32_t, kPeriodMax + 1> alike_{};
};

}  // namespace lares::engine
