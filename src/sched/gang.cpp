#include "sched/gang.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lares::sched {
namespace {

Gang::Duration scaled(Gang::Duration duration, double by) {
  return std::chrono::duration_cast<Gang::Duration>(
      std::chrono::duration<double, std::nano>(static_cast<double>(duration.count()) * by));
}

// What a lane may save up: a step that takes longer than this still has its turn.
constexpr Gang::Duration kSavedMax = milliseconds(500);
// What a lane may be in debt after a step that took longer than was thought.
constexpr Gang::Duration kDebtMax = milliseconds(2'000);

}  // namespace

double Gang::share(size_t lane) const {
  return lane == index(Lane::Agent) ? shares_.agent : shares_.background;
}

void Gang::join(Member member) {
  assert(!seats_.contains(member));
  seats_.emplace(member, Seat{});
}

void Gang::leave(Member member, SteadyTime now) {
  charge(now);
  if (holder_ == member) release(now);
  seats_.erase(member);
}

bool Gang::waits(const Seats::value_type& entry) const {
  return entry.second.claim && entry.first != holder_ && !entry.second.overdue &&
         entry.second.claim->lane <= worst_;
}

void Gang::set_worst(Lane lane, SteadyTime now) {
  charge(now);
  worst_ = lane;
}

bool Gang::waits_in(size_t lane) const {
  return std::any_of(seats_.begin(), seats_.end(), [&](const auto& entry) {
    return waits(entry) && index(entry.second.claim->lane) == lane;
  });
}

// Counts the time since it was last counted: for the holder, and for the lanes that waited.
void Gang::charge(SteadyTime now) {
  const Duration passed = std::max(Duration{0}, now - charged_);
  charged_ = now;
  if (!holder_ || passed == Duration{0}) return;
  Seat& seat = seats_.at(*holder_);
  const size_t lane = index(seat.claim->lane);
  seat.used[lane] += passed;
  seat.held += passed;
  lane_held_[lane] += passed;
  if (owed_turn_) owed_[lane] = std::max(owed_[lane] - passed, -kDebtMax);
  for (size_t worse = lane + 1; worse < owed_.size(); worse++) {
    if (owed_turn_) continue;  // one lane does not pay for another's turn
    const Duration earned = scaled(passed, share(worse) / (1 - share(worse)));
    if (waits_in(worse)) {
      owed_[worse] = std::min(owed_[worse] + earned, kSavedMax);
    } else {  // debts are paid off; nothing is saved up while nobody wants anything
      owed_[worse] = std::min(owed_[worse] + earned, Duration{0});
    }
  }
}

// How far a lane's service has come for one that joins it: where the one is that has had least. Not
// where the holder is, which may have kept the device for long while others wait.
Gang::Duration Gang::level(size_t lane, Member member) const {
  std::optional<Duration> least;
  for (const auto& entry : seats_) {
    const bool there = entry.first == holder_ || waits(entry);
    if (entry.first == member || !there || index(entry.second.claim->lane) != lane) continue;
    const Duration used = entry.second.used[lane];
    least = least ? std::min(*least, used) : used;
  }
  return least.value_or(floor_[lane]);
}

void Gang::wants(Member member, Claim claim, SteadyTime now) {
  charge(now);
  Seat& seat = seats_.at(member);
  const bool holds = holder_ == member;
  const size_t lane = index(claim.lane);
  const bool anew = !seat.claim || index(seat.claim->lane) != lane;
  if (!seat.claim) {
    seat.overdue = false;
    seat.since = now;
  }
  if (holds && anew) {  // it leaves its lane, and perhaps nobody else is there
    const size_t left = index(seat.claim->lane);
    if (!waits_in(left)) floor_[left] = std::max(floor_[left], seat.used[left]);
  }
  if (anew) seat.used[lane] = std::max(seat.used[lane], level(lane, member));
  // a better lane's step is no longer what the lane was owed
  if (holds && anew) owed_turn_ = false;
  seat.claim = claim;
}

void Gang::gives_back(Member member, std::optional<Claim> next, SteadyTime now) {
  charge(now);
  Seat& seat = seats_.at(member);
  if (holder_ == member) {
    release(now);
  } else if (seat.claim) {
    seat.waited += now - seat.since;
  }
  // while it had lost the device it rested, as far as the others are concerned
  if (!next || seat.overdue) seat.claim.reset();
  seat.overdue = false;
  if (!next) return;
  seat.since = now;
  wants(member, *next, now);
}

void Gang::release(SteadyTime now) {
  const Seat& seat = seats_.at(*holder_);
  const size_t lane = index(seat.claim->lane);
  if (!waits_in(lane)) floor_[lane] = std::max(floor_[lane], seat.used[lane]);
  if (owed_turn_) calm_until_ = now + calm_steps(lane) * answers_step(lane);
  after_owed_ = owed_turn_;
  holder_.reset();
  owed_turn_ = false;
  asked_ = kNever;
}

// Of an answer in a better lane that waits; 0: there is none.
Gang::Duration Gang::answers_step(size_t lane) const {
  Duration step{};
  for (const auto& entry : seats_) {
    if (waits(entry) && entry.second.claim->work == Work::Decode &&
        index(entry.second.claim->lane) < lane)
      step = std::max(step, entry.second.claim->step);
  }
  return step;
}

// How many of them pass between two owed turns: a few more than the share says, so that turns of a
// step come to it where its steps are a little longer, and few gaps are disturbed.
int Gang::calm_steps(size_t lane) const {
  const double part = std::clamp(share(lane), 0.001, 0.999);
  return std::clamp(static_cast<int>(std::ceil(1.3 * (1 - part) / part)), 1, kCalmSteps);
}

// How much longer than one step the holder's owed turn is: what was saved up, as far as no gap of
// the answer that waits gets longer by more than one of its own steps, or what a larger share asks.
Gang::Duration Gang::owed_more(size_t lane) const {
  const double part = std::min(share(lane), 0.999);
  const double steps = std::max(1.0, calm_steps(lane) * part / (1 - part));
  const Duration saved = owed_[lane] + (charged_ - begun_);
  const Duration most = std::min(saved, scaled(answers_step(lane), steps));
  return std::max(Duration{0}, most - seats_.at(*holder_).claim->step);
}

void Gang::begin(Member member, SteadyTime now) {
  Seat& seat = seats_.at(member);
  holder_ = member;
  begun_ = charged_ = now;
  asked_ = kNever;
  const size_t lane = index(seat.claim->lane);
  floor_[lane] = std::max(floor_[lane], seat.used[lane]);
  bool better_waits = false;
  for (size_t better = 0; better < lane; better++) better_waits = better_waits || waits_in(better);
  owed_turn_ = better_waits;
  if (!better_waits) owed_[lane] = std::min(owed_[lane], Duration{0});
  seat.waited += now - seat.since;
  seat.turns++;
}

// Of those that wait in a lane, who is next; nullptr when none waits.
const Gang::Seats::value_type* Gang::best_in(size_t lane) const {
  std::optional<Duration> least;
  for (const auto& entry : seats_) {
    if (!waits(entry) || index(entry.second.claim->lane) != lane) continue;
    const Duration used = entry.second.used[lane];
    least = least ? std::min(*least, used) : used;
  }
  if (!least) return nullptr;
  const Seats::value_type* best = nullptr;
  for (const auto& entry : seats_) {
    if (!waits(entry) || index(entry.second.claim->lane) != lane) continue;
    if (entry.second.used[lane] > *least + kLag) continue;
    const auto better = [](const Seat& a, const Seat& b) {
      return a.claim->work != b.claim->work ? a.claim->work < b.claim->work : a.since < b.since;
    };
    if (!best || better(entry.second, best->second)) best = &entry;
  }
  return best;
}

// What a lane must have saved up for its next step.
Gang::Duration Gang::price(const Seat& seat) {
  const Duration most = seat.claim->work == Work::Prompt ? kPressedStep : kSavedMax;
  return std::clamp(seat.claim->step, Duration{1}, most);
}

// Whether a lane has saved up for its next step, while better ones compute.
bool Gang::ripe(size_t lane, SteadyTime now) const {
  const auto* best = best_in(lane);
  // what is saved up is not spent all at once: better lanes compute in between
  if (!best || after_owed_ || now < calm_until_) return false;
  constexpr Duration kRounding = std::chrono::microseconds(1);
  return owed_[lane] + kRounding >= price(best->second);
}

// The lane that computes next; nullopt when nobody waits.
std::optional<size_t> Gang::next_lane(SteadyTime now) const {
  std::optional<size_t> first;
  std::optional<size_t> owed;
  SteadyTime since{};
  for (size_t lane = 0; lane < owed_.size(); lane++) {
    const auto* best = best_in(lane);
    if (!best) continue;
    if (!first) {
      first = lane;
    } else if (ripe(lane, now) && (!owed || best->second.since < since)) {
      owed = lane;
      since = best->second.since;
    }
  }
  return owed ? owed : first;
}

// When a worse lane will have saved up, if the holder goes on.
SteadyTime Gang::ripe_at(size_t lane, SteadyTime now) const {
  const auto* best = best_in(lane);
  if (!best) return kNever;
  const Duration missing = std::max(Duration{0}, price(best->second) - owed_[lane]);
  const double part = share(lane);
  if (part <= 0) return kNever;
  return std::max(now + scaled(missing, (1 - part) / part), calm_until_);
}

Gang::Orders Gang::orders_for_holder(SteadyTime now) {
  Orders orders;
  orders.holder = holder_;
  const Seat& seat = seats_.at(*holder_);
  const size_t lane = index(seat.claim->lane);
  const bool long_step = seat.claim->work == Work::Prompt && !owed_turn_;
  if (seat.claim->lane > worst_) {
    orders.until = begun_;
    orders.abort = long_step && seat.claim->step > kAbortOver;
  }
  for (size_t other = 0; other < owed_.size(); other++) {
    if (!waits_in(other)) continue;
    if (other < lane) {
      orders.until = std::min(orders.until, begun_ + (owed_turn_ ? owed_more(lane) : Duration{0}));
      orders.abort = orders.abort || (long_step && seat.claim->step > kAbortOver);
    } else if (other == lane) {
      // until it is as far ahead of the next as that will be of it: turns of kTurn, in equal parts
      const Duration ahead = seat.used[lane] - best_in(lane)->second.used[lane];
      orders.until = std::min(orders.until, std::clamp(charged_ + kTurn[lane] / 2 - ahead, begun_,
                                                       begun_ + kTurn[lane]));
      orders.abort = orders.abort || (long_step && seat.claim->step > kAbortOverSame);
    } else {
      orders.until = std::min(orders.until, ripe_at(other, now));
    }
    orders.pressed = orders.pressed || other <= lane;
  }
  return orders;
}

Gang::Orders Gang::decide(SteadyTime now) {
  charge(now);
  for (;;) {
    if (!holder_) {
      const auto lane = next_lane(now);
      if (!lane) return {};
      begin(best_in(*lane)->first, now);
    }
    Orders orders = orders_for_holder(now);
    if (orders.until == kNever) {
      asked_ = kNever;
      return orders;
    }
    asked_ = asked_ == kNever ? std::max(orders.until, now)
                              : std::min(asked_, std::max(orders.until, now));
    if (now < asked_ + kOverdue) {
      orders.again = asked_ + kOverdue;
      return orders;
    }
    // it does not answer: the others do not wait for it
    seats_.at(*holder_).overdue = true;
    seats_.at(*holder_).since = now;
    release(now);
  }
}

Gang::Seen Gang::seen(Member member, SteadyTime now) const {
  const Seat& seat = seats_.at(member);
  Seen seen{seat.claim, holder_ == member, seat.overdue, seat.held, seat.waited, seat.turns};
  if (seen.holds) seen.held += std::max(Duration{0}, now - charged_);
  if (seen.claim && !seen.holds) seen.waited += std::max(Duration{0}, now - seat.since);
  return seen;
}

std::array<Gang::Duration, 3> Gang::lane_held(SteadyTime now) const {
  std::array<Duration, 3> held = lane_held_;
  if (holder_)
    held[index(seats_.at(*holder_).claim->lane)] += std::max(Duration{0}, now - charged_);
  return held;
}

}  // namespace lares::sched
