// DraftModels: which model drafts the answers of which other, by what the setting models.draft
// says. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::app {

struct DraftModels {
  std::string all;                            // "": none
  std::map<std::string, std::string> models;  // of those named themselves; "": none

  // As it was written; "": none. Nothing drafts for itself unless it was named so.
  std::string of(const std::string& model) const {
    const auto found = models.find(model);
    if (found != models.end()) return found->second;
    return all == model ? "" : all;
  }
  bool names(const std::string& model) const { return models.contains(model); }
};

// "small", "small large=tiny other=", "". Invalid names the setting and the word that was wrong.
Result<DraftModels> parse_draft_models(std::string_view text);

}  // namespace lares::app
