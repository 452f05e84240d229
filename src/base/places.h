// Places: of a limited number of places, all taken, whose somebody gets who waits for one. A more
// urgent lane's work takes that of the least urgent one; within a lane each owner may have as many
// places as any other, so that one with many requests does not keep out one with few.
//
// Pure; made anew from what is there. Owner: anything that can be ordered.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "base/lane.h"

namespace lares {

template <class Owner>
class Places {
 public:
  struct Holder {
    Lane lane;
    Owner owner;
    bool operator==(const Holder&) const = default;
  };

  explicit Places(size_t places) : places_(places) {}

  void has_one(Lane lane, const Owner& owner) { held_of(lane)[owner]++; }
  void waits(Lane lane, const Owner& owner) { held_of(lane).try_emplace(owner, 0); }

  // Who gives up a place for one more of this owner's; nullopt: it waits. Requires: waits().
  std::optional<Holder> giver(Lane lane, const Owner& owner) const {
    size_t left = places_;  // for this lane and worse ones
    for (size_t better = 0; better < index(lane); better++) left -= std::min(left, sum(better));
    if (sum(index(lane)) < left) {
      for (size_t worse = held_.size(); worse-- > index(lane) + 1;) {
        if (const auto* most = greediest(worse); most && most->second > 0)
          return Holder{static_cast<Lane>(worse), most->first};
      }
    }
    const auto* most = greediest(index(lane));
    const auto& held = held_[index(lane)];
    const size_t even = std::max<size_t>(1, left / held.size());
    if (held.at(owner) < even && most->second > even) return Holder{lane, most->first};
    return std::nullopt;
  }

 private:
  using Held = std::map<Owner, size_t>;

  static size_t index(Lane lane) { return static_cast<size_t>(lane); }
  Held& held_of(Lane lane) { return held_[index(lane)]; }
  size_t sum(size_t lane) const {
    size_t sum = 0;
    for (const auto& [owner, count] : held_[lane]) sum += count;
    return sum;
  }
  const typename Held::value_type* greediest(size_t lane) const {
    const auto& held = held_[lane];
    const auto most = std::max_element(
        held.begin(), held.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == held.end() ? nullptr : &*most;
  }

  const size_t places_;
  std::array<Held, kLaneNames.size()> held_;  // places, of those who have or want some
};

}  // namespace lares
