// ThinkingMax: how many tokens each model may think before it answers, where a request does not
// say: what the settings models.reasoning_budget and models.reasoning_seconds say. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/message.h"

namespace lares::app {

struct ThinkingMax {
  int64_t all = wire::kThinkFreely;  // or kThinkByQuestion
  std::map<std::string, int64_t> models;
  uint32_t seconds = 30;  // that a person waits, where it goes by the question
  int64_t of(const std::string& model) const {
    const auto found = models.find(model);
    return found == models.end() ? all : found->second;
  }
};

// "512", "auto", "512 tiny=0 large=4096 huge=auto", "". Invalid names the setting and the word that
// was wrong.
Result<ThinkingMax> parse_thinking_max(std::string_view text);

}  // namespace lares::app
