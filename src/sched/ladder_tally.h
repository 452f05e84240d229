// The sums of Ladder: bytes of models at rungs, each shared part counted once. Only for ladder.cpp
// and ladder_plan.cpp.
#pragma once

#include <vector>

#include "sched/ladder.h"

namespace lares::sched {

class Ladder::Tally {
 public:
  explicit Tally(const std::vector<Part>& parts) : parts_(&parts), holders_(parts.size()) {}

  void add(Bytes bytes) { total_ += bytes; }
  void take(Bytes bytes) { total_ -= bytes; }
  // From one rung to another; Absent: it was not counted, or is no more.
  void move(const Entry& entry, Rung from, Rung to) {
    total_ += entry.footprint.at(to);
    total_ -= entry.footprint.at(from);
    const bool had = from >= Rung::Warm;
    const bool has = to >= Rung::Warm;
    if (had == has) return;
    for (const size_t part : entry.parts) {
      if (has && holders_[part]++ == 0) total_ += (*parts_)[part].bytes;
      if (had && --holders_[part] == 0) total_ -= (*parts_)[part].bytes;
    }
  }
  Bytes total() const { return total_; }
  int holders(size_t part) const { return holders_[part]; }
  // What a step down frees, of a shared part its share of it.
  double frees(const Entry& entry, Rung from, Rung to) const {
    auto bytes = static_cast<double>((entry.footprint.at(from) - entry.footprint.at(to)).n);
    if (from < Rung::Warm || to >= Rung::Warm) return bytes;
    for (const size_t part : entry.parts)
      bytes += static_cast<double>((*parts_)[part].bytes.n) / holders_[part];
    return bytes;
  }

 private:
  const std::vector<Part>* parts_;
  std::vector<int> holders_;
  Bytes total_;
};

// Everything that was ever decided.
inline constexpr uint64_t kAllOrders = UINT64_MAX;

}  // namespace lares::sched
