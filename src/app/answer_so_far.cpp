#include "app/answer_so_far.h"

#include "base/text.h"

namespace lares::app {

Result<std::vector<wire::Delta>> AnswerSoFar::heard(wire::Delta delta) {
  if (delta.last) {
    if (held_.size() >= wire::kLastDeltasMax)
      return Error{Code::Corrupt,
                   cat("an answer that ends in more than ", wire::kLastDeltasMax, " pieces")};
    held_.push_back(std::move(delta));
    return std::vector<wire::Delta>();
  }
  if (tokens() + delta.ids.size() > kTokensMax)
    return Error{Code::Corrupt, cat("an answer of more than ", kTokensMax, " tokens")};
  const bool says = !delta.text.empty() || !delta.reasoning.empty() || !delta.tool_calls.is_null();
  for (size_t i = 0; i < delta.ids.size(); i++) {
    uint32_t id = delta.ids[i] & ~wire::kToldHere;
    if (says && i + 1 == delta.ids.size()) id |= wire::kToldHere;
    for (size_t byte = 0; byte < sizeof id; byte++, id >>= 8) ids_ += static_cast<char>(id & 0xFF);
  }
  told_ += delta.tokens;
  begun_ = true;
  std::vector<wire::Delta> now;
  now.push_back(std::move(delta));
  return now;
}

std::vector<wire::Delta> AnswerSoFar::done() { return std::exchange(held_, {}); }

bool AnswerSoFar::lost() {
  held_.clear();
  return told_ <= tokens();
}

}  // namespace lares::app
