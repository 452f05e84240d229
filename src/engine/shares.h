// Shares: who has had how much of a worker's time, and so whose turn it is. In CPU-ms as measured,
// not in requests or tokens, since a row of a long conversation costs more than one of a short.
//
// Among the owners of one lane time is shared evenly, by a counter for each (VTC: Sheng et al.,
// "Fairness in Serving Large Language Models", OSDI 2024): whoever comes back from a rest is lifted
// to the least of those at work, so nobody saves up, but for what one step of others may have taken
// in between: an app that asks one thing after another has not rested. Among lanes the more urgent
// goes first, but one that waits behind it is owed its part of what is computed meanwhile.
//
// Pure; the Batcher's thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "base/lane.h"

namespace lares::engine {

inline constexpr double kAgentShare = 0.10;       // of CPU time, behind better lanes
inline constexpr double kBackgroundShare = 0.05;  // the same
inline constexpr double kOwedMaxMs = 1000;        // no lane saves up more CPU-ms
inline constexpr double kDebtMaxMs = 60'000;      // or has to wait for more
inline constexpr double kRestKeepsMs = 500;       // CPU; by which one that comes back may be behind
inline constexpr size_t kRestingOwnersMax = 1024;

class Shares {
 public:
  // What a lane is owed behind better ones, 0 to 1.
  void set_part(Lane lane, double part) { parts_[static_cast<size_t>(lane)] = part; }
  // A request begins to wait or compute, and ends.
  void enter(Lane lane, uint32_t owner);
  void leave(Lane lane, uint32_t owner);
  // What is owed now decides, until the next step, which lanes have had their share on that ground;
  // what they get because it delays nobody is not counted against them.
  void step_begins();
  // Requires: the owner has a request in that lane.
  void charge(Lane lane, uint32_t owner, double cpu_ms);

  // By how much an owner with work is ahead of the one in its lane that has had least.
  double ahead(Lane lane, uint32_t owner) const;
  // Whose turn is before whose: a lane that is owed its share, then the more urgent one; within a
  // lane the owner who has had less.
  using Key = std::pair<Lane, uint32_t>;
  bool before(Key a, Key b) const;
  // A lane that waits behind more urgent ones has had less than its share.
  bool owed(Lane lane) const { return owed_[static_cast<size_t>(lane)] > 0; }
  size_t owners() const { return accounts_.size(); }  // that are remembered

 private:
  struct Account {
    double used = 0;
    uint64_t requests = 0;  // 0: at rest
  };

  bool at_work(Lane lane) const { return requests_[static_cast<size_t>(lane)] > 0; }
  bool behind(Lane lane) const;
  double least(Lane lane) const;
  void forget_resting();

  std::map<Key, Account> accounts_;
  std::array<uint64_t, kLaneNames.size()> requests_{};
  std::array<double, kLaneNames.size()> parts_ = {0, kAgentShare, kBackgroundShare};
  std::array<double, kLaneNames.size()> owed_{};   // CPU-ms
  std::array<bool, kLaneNames.size()> granted_{};  // since it was owed when the step began
  std::array<double, kLaneNames.size()> floor_{};  // where the last one at work stood
};

}  // namespace lares::engine
