// ThinkingMax: how many tokens each model may think before it answers, where a request does not
// say: what the setting models.reasoning_budget says. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::app {

struct ThinkingMax {
  int64_t all = -1;  // -1: as many as the model likes
  std::map<std::string, int64_t> models;
  int64_t of(const std::string& model) const {
    const auto found = models.find(model);
    return found == models.end() ? all : found->second;
  }
};

// "512", "512 tiny=0 large=4096", "". Invalid names the setting and the word that was wrong.
Result<ThinkingMax> parse_thinking_max(std::string_view text);

}  // namespace lares::app
