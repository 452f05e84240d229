#include "engine/shares.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace lares::engine {

// More urgent work is there.
bool Shares::behind(Lane lane) const {
  for (size_t before = 0; before < static_cast<size_t>(lane); before++) {
    if (requests_[before] > 0) return true;
  }
  return false;
}

// Of the owners at work in this lane; infinite without any.
double Shares::least(Lane lane) const {
  double least = std::numeric_limits<double>::infinity();
  for (auto at = accounts_.lower_bound({lane, 0}); at != accounts_.end() && at->first.first == lane;
       ++at) {
    if (at->second.requests > 0) least = std::min(least, at->second.used);
  }
  return least;
}

void Shares::enter(Lane lane, uint32_t owner) {
  const double least_used = least(lane);
  const auto [at, is_new] = accounts_.try_emplace({lane, owner});
  Account& account = at->second;
  if (account.requests == 0) {
    const double floor = std::isfinite(least_used) ? least_used - (is_new ? 0 : kRestKeepsMs)
                                                   : floor_[static_cast<size_t>(lane)];
    account.used = std::max(account.used, floor);
  }
  account.requests++;
  requests_[static_cast<size_t>(lane)]++;
}

void Shares::leave(Lane lane, uint32_t owner) {
  const auto found = accounts_.find({lane, owner});
  assert(found != accounts_.end() && found->second.requests > 0);
  found->second.requests--;
  const auto i = static_cast<size_t>(lane);
  requests_[i]--;
  if (requests_[i] == 0) {
    floor_[i] = std::max(floor_[i], found->second.used);
    owed_[i] = 0;
  }
  if (accounts_.size() > kRestingOwnersMax) forget_resting();
}

// Those that would be lifted anyway; of the others it is a small injustice.
void Shares::forget_resting() {
  std::erase_if(accounts_, [](const auto& entry) { return entry.second.requests == 0; });
}

void Shares::step_begins() {
  for (size_t i = 0; i < owed_.size(); i++) granted_[i] = owed_[i] > 0;
}

void Shares::charge(Lane lane, uint32_t owner, double cpu_ms) {
  if (!(cpu_ms > 0)) return;
  const auto found = accounts_.find({lane, owner});
  assert(found != accounts_.end() && found->second.requests > 0);
  found->second.used += cpu_ms;
  for (size_t i = 1; i < requests_.size(); i++) {
    const auto other = static_cast<Lane>(i);
    if (!at_work(other) || !behind(other)) continue;
    const double used = other == lane && granted_[i] ? cpu_ms : 0;
    owed_[i] = std::clamp(owed_[i] + parts_[i] * cpu_ms - used, -kDebtMaxMs, kOwedMaxMs);
  }
}

bool Shares::before(Key a, Key b) const {
  if (owed(a.first) != owed(b.first)) return owed(a.first);
  if (a.first != b.first) return a.first < b.first;
  return ahead(a.first, a.second) < ahead(b.first, b.second);
}

double Shares::ahead(Lane lane, uint32_t owner) const {
  const auto found = accounts_.find({lane, owner});
  if (found == accounts_.end() || found->second.requests == 0) return 0;
  return found->second.used - least(lane);
}

}  // namespace lares::engine
