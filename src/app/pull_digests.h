// PullDigests: which digest each place had when a model was pulled from it. Outlives the model, so
// that a registry that gives other bytes later is noticed (trust on first use). Pure: pulls.cpp
// reads and writes the file. On the run loop.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"

namespace lares::app {

class PullDigests {
 public:
  struct Seen {
    std::string sha256;
    int64_t seen_ms = 0;  // Unix time
  };
  static constexpr size_t kMax = 4'096;  // the oldest goes

  // Corrupt: `text` is not what text() gives.
  static Result<PullDigests> from(const std::string& text);
  std::string text() const;

  // Of a place as place_of() (pull_source.h) names it; nullptr: nothing was pulled from there.
  const Seen* find(const std::string& place) const;
  // In place of what was seen there before.
  void learn(const std::string& place, Seen seen);

 private:
  std::map<std::string, Seen> seen_;  // by place
};

// "2026-11-27", in UTC.
std::string day_of(int64_t unix_ms);

}  // namespace lares::app
