// Gang: which model computes next on the device, of those that want to: one at a time, a step (one
// batch) at a time. Pure: no clock, no process; facts in, orders out. Not thread-safe: its owner
// holds a lock.
//
//   resting --wants()--> waiting --decide()--> holding --gives_back()--> waiting
//      ^                    |                     |
//      '------ rests() -----+---------------------'
//
// A member (a model's worker) that holds the device goes on, step after step, until it rests or is
// told when to give it back. Who is next:
//   - lanes before each other: interactive, agent, background. While a better lane computes, a
//   worse
//     one that waits is owed a share of that time, and has one step when it has saved up for it,
//     but few enough that few gaps between tokens show it (one for each kCalmSteps steps of an
//     answer at 5 %), and never one after another. Steps much shorter than the answer's come
//     several in such a turn;
//   - within a lane by fairness in measured time: a counter for each member, lifted to where the
//     lane's service has come when it comes back from resting, which earns it nothing (VTC, OSDI
//     '24, with the virtual time of start-time fair queuing, SIGCOMM '96); of those within kLag of
//     the least, answers in progress go before prompts, and then whoever has waited longest.
// An order to abort means that the running step is not worth waiting for; what it computed is lost,
// so a step that a lane was owed is never aborted.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "base/clock.h"
#include "sched/queue.h"

namespace lares::sched {

class Gang {
 public:
  using Member = uint64_t;
  using Duration = SteadyTime::duration;

  enum class Work : uint8_t { Decode, Prompt };  // Prompt: whatever is no next token
  struct Claim {
    Lane lane = Lane::Interactive;
    Work work = Work::Decode;
    Duration step{};  // how long the next step will take, as far as can be known
    bool operator==(const Claim&) const = default;
  };
  struct Shares {  // of the time that better lanes compute while somebody waits, below 1
    double agent = 0.10;
    double background = 0.05;
  };

  static constexpr SteadyTime kNever = SteadyTime::max();
  static constexpr Duration kLag = milliseconds(40);
  // How long a turn lasts beside others of the same lane. Handing over costs some 0.2 ms,
  // and the first step afterwards finds the weights of another model in the caches: with turns of
  // one step two models reached 0.79 of the speed of one alone, with 60 ms 0.95.
  static constexpr std::array<Duration, 3> kTurn = {milliseconds(60), milliseconds(80),
                                                    milliseconds(150)};
  static constexpr int kCalmSteps = 25;  // between two owed turns, at most
  // What a member makes of a prompt's step, at most, while others are pressing (Orders::pressed).
  static constexpr Duration kPressedStep = milliseconds(60);
  // A step of a prompt that takes longer is aborted for a better lane, and for the same one.
  static constexpr Duration kAbortOver = milliseconds(15);
  static constexpr Duration kAbortOverSame = milliseconds(80);
  // Whoever has not given back so long after it was due has lost the device to the others.
  static constexpr Duration kOverdue = milliseconds(3'000);

  explicit Gang(Shares shares) : shares_(shares) {}

  // Worse lanes do not compute until further notice, whoever else does (sched/restraint.h).
  void set_worst(Lane lane, SteadyTime now);

  void join(Member member);  // requires: it is no member
  void leave(Member member, SteadyTime now);

  // What a member says that it wants next. Also of one that holds the device: its next step.
  void wants(Member member, Claim claim, SteadyTime now);
  void gives_back(Member member, std::optional<Claim> next, SteadyTime now);
  void rests(Member member, SteadyTime now) { gives_back(member, std::nullopt, now); }

  struct Orders {
    std::optional<Member> holder;  // who computes; it may be new
    SteadyTime until = kNever;     // the holder gives back at the end of the step that runs then
    bool abort = false;            // the holder's running step is to be abandoned
    bool pressed = false;          // somebody of the same lane or a better one waits
    SteadyTime again = kNever;     // decide() is to be called then, if nothing happens before
  };
  // Brings who holds the device up to date.
  Orders decide(SteadyTime now);

  struct Seen {
    std::optional<Claim> claim;
    bool holds = false;
    bool overdue = false;  // it lost the device without giving it back
    Duration held{};       // all its turns
    Duration waited{};     // wanting and not holding
    uint64_t turns = 0;
  };
  Seen seen(Member member, SteadyTime now) const;
  std::array<Duration, 3> lane_held(SteadyTime now) const;  // by all members that ever were

 private:
  struct Seat {
    std::optional<Claim> claim;
    SteadyTime since{};              // it waits
    std::array<Duration, 3> used{};  // virtual, of each lane
    bool overdue = false;
    Duration held{}, waited{};
    uint64_t turns = 0;
  };
  using Seats = std::map<Member, Seat>;

  static size_t index(Lane lane) { return static_cast<size_t>(lane); }
  double share(size_t lane) const;
  void charge(SteadyTime now);
  bool waits(const Seats::value_type& entry) const;
  bool waits_in(size_t lane) const;
  const Seats::value_type* best_in(size_t lane) const;
  Duration level(size_t lane, Member member) const;
  static Duration price(const Seat& seat);
  bool ripe(size_t lane, SteadyTime now) const;
  Duration answers_step(size_t lane) const;
  int calm_steps(size_t lane) const;
  Duration owed_more(size_t lane) const;
  std::optional<size_t> next_lane(SteadyTime now) const;
  SteadyTime ripe_at(size_t lane, SteadyTime now) const;
  void begin(Member member, SteadyTime now);
  void release(SteadyTime now);
  Orders orders_for_holder(SteadyTime now);

  const Shares shares_;
  Lane worst_ = Lane::Background;
  Seats seats_;
  std::optional<Member> holder_;
  SteadyTime begun_{};         // of the turn
  SteadyTime charged_{};       // until when its time is counted
  bool owed_turn_ = false;     // of a lane that had saved up, while a better one waits
  bool after_owed_ = false;    // the last turn was one
  SteadyTime asked_ = kNever;  // when the holder was first due
  std::array<Duration, 3> owed_{};
  std::array<Duration, 3> floor_{};  // of `used`: how far the service of each lane has come
  SteadyTime calm_until_{};
  std::array<Duration, 3> lane_held_{};
};

}  // namespace lares::sched
