// Ladder: which rung of memory each model stands on, what everything else holds, and what has to
// come down before anything may go up. One ledger in bytes against one budget.
//
//   absent --> parked --> warm --> hot       a process with a tokenizer; its weights; its context
//
// Pure bookkeeping: no clock, no process, no I/O. The run loop tells it facts and carries out what
// it answers, so a test can reach any state and a seed can replay it. What it is not: the hand that
// starts or ends a process. Not thread-safe: the run-loop thread owns it.
//
//   rests --adopt()--> waits --begin()--> climbs --arrived()--> rests
//     |                  '--give_up()--> rests
//     '--adopt() as a victim, evict(), shed(), idle_steps(), set_budget()--> descends
//                                                     descends --arrived()--> rests
//   any --died()--> rests, absent
//
// A climb is planned as a whole before its first step. A model that descends counts at its higher
// rung until it has arrived; a climber counts at its higher rung from begin() on; in between, what
// its plan frees is promised to it. Plans are numbered as they are adopted, and each relies only on
// what was decided up to it: none waits for a later one, so that they cannot wait for each other.
//
// Who descends is chosen by benefit density: of all steps down the one that loses least for the
// bytes it frees, (worth of the next use x milliseconds to climb back) / bytes, and again until
// there is room; then each step that turned out not to be needed is taken back. This is the value
// of GreedyDual-Size (Cao and Irani, USITS 1997), cost / size, whose ageing by inflation is
// replaced by a prediction of the next use (sched/next_use.h). Of a part that several models have
// in common each counts its share there, since the last of them to go frees all of it.
//
// Invariants, asserted after every change by check():
//   I1  used() <= budget(), each shared part counted once; after a budget was lowered, used() never
//       grows until it is below it
//   I2  for each climb that waits: what is held once all that was decided up to it has come true,
//       its own climb included, is <= budget(), whatever else began meanwhile
//   I3  a model in use is hot or on its way there, and never descends
//   I4  a model counts at no less than the rung that it is at, and one that rests at just that
//   I5  no pin of an earlier life counts in a later one
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/rung.h"
#include "base/units.h"
#include "sched/model_id.h"
#include "sched/next_use.h"

namespace lares::sched {

// A file that several models may have in memory together: a draft model's weights, an adapter's,
// or the same file under two names. Held from Warm on.
struct SharedPart {
  std::string key;  // the file's digest
  Bytes bytes;
  bool operator==(const SharedPart&) const = default;
};

// What a model holds at each rung, itself alone and with what it holds at the rungs below, and how
// long each climb takes from the rung below.
struct Footprint {
  Bytes parked, warm, hot;
  double parked_ms = 0, warm_ms = 0, hot_ms = 0;
  std::vector<SharedPart> shared = {};

  Bytes at(Rung rung) const;  // without what is shared
  Bytes whole(Rung rung) const;
  double climb_ms(Rung from, Rung to) const;
};

class Ladder {
 public:
  class Pin;  // move-only: keeps one model hot while it lives; must not outlive the Ladder

  static constexpr size_t kModelsMax = 1024;
  static constexpr size_t kPartsMax = 8;  // of one model
  static constexpr size_t kHoldersMax = 64;
  static constexpr Bytes kBytesMax = GiB(1u << 20);  // more counts as this
  // What a new measurement of a climb counts beside the earlier ones.
  static constexpr double kNewest = 0.25;

  struct Step {
    ModelId model;
    Rung from = Rung::Absent, to = Rung::Absent;
    bool kept = false;  // a person keeps it where it is, and this goes against that
    bool operator==(const Step&) const = default;
  };
  struct Plan {
    std::vector<Step> descents;  // of others, the most useless first; all begin when it is adopted
    Step climb;                  // from == to: nothing is to be done
    std::string holder;          // whose bytes grow, instead of a climb
    Bytes bytes;                 // that the climber will hold, with what it shares
    Bytes frees;                 // by the descents
    double climb_ms = 0;         // without the descents
    double back_ms = 0;          // that bringing back who descended would take
    SteadyTime now{};
    uint64_t generation = 0;
  };
  enum class Remedy : uint8_t {
    Wait,    // until answers in progress, moves or other work have ended
    Unkeep,  // waiting does not help: models that a person keeps are in the way
    Never,   // it is larger than the budget
  };
  struct Shortfall {
    Remedy remedy = Remedy::Wait;
    Bytes needs;       // what the climber will hold, with what it shares
    Bytes missing;     // after everything that may go has gone
    Bytes by_answers;  // held by models in use
    Bytes by_person;   // by models that a person keeps, beside those
    Bytes by_moves;    // by models on their way and climbs that wait
    Bytes by_others;   // by caches, index, images, training
  };
  struct Begun {
    std::vector<Step> climbs;
    std::vector<std::string> holders;
  };
  struct Relief {
    std::vector<Step> descents;
    std::vector<ModelId> given_up;             // climbs that waited
    std::vector<std::string> holders_refused;  // reservations that waited; what was held stays
    Bytes still_over;                          // when these have arrived: held by what may not go
  };
  struct IdleTimes {  // since the last use; negative: for ever
    milliseconds hot{5 * 60'000};
    milliseconds warm{15 * 60'000};
    milliseconds parked{60 * 60'000};
  };
  enum class Move : uint8_t { Rests, Waits, Climbs, Descends };
  struct Seen {
    Rung at = Rung::Absent;
    Rung to = Rung::Absent;
    Move move = Move::Rests;
    Bytes held;  // with what it shares
    bool in_use = false;
    bool kept = false;
    SteadyTime used_at{};
    double back_ms = 0;  // from where it is to hot
    double worth = 0;    // of its next use, 0 to 1
  };

  // `next_use` must outlive this.
  Ladder(Bytes budget, const NextUse& next_use) : budget_(budget), next_use_(next_use) {}
  Ladder(const Ladder&) = delete;
  Ladder& operator=(const Ladder&) = delete;

  // --- what is known of models

  // A model and its footprint, as estimated, or as it will be (with one adapter more). Invalid: the
  // footprint contradicts itself or what another model says of a shared part. NoRoom: the model
  // holds memory, and more does not fit; nothing was changed. Busy: kModelsMax are known.
  Result<> know(const ModelId& model, Footprint footprint);
  // Requires: absent, and no climb of it waits.
  void forget(const ModelId& model);
  // What it holds itself at `rung`, as measured; the other rungs follow so that none holds less
  // than one below. False: more does not fit now; it holds what it did in this ledger, and has to
  // be sent away, after which the measured size counts. Requires: known.
  [[nodiscard]] bool measured(const ModelId& model, Rung rung, Bytes bytes);
  // As measured, for all that hold it. False, and nothing changed, when more does not fit.
  [[nodiscard]] bool part_measured(const std::string& key, Bytes bytes);
  // How long the climb to `rung` from the one below took: a running mean.
  void climb_took(const ModelId& model, Rung rung, double ms);

  // --- other holders, by name

  // Holds so many bytes from now on, more or fewer than before. NoRoom: they are not free (see
  // plan_reserve()); it holds what it did. Busy: there are kHoldersMax. A larger reservation of the
  // same holder that waits is given up.
  Result<> reserve(const std::string& holder, Bytes bytes);
  void release(const std::string& holder);  // no effect when there is none
  Bytes reserved(const std::string& holder) const;

  // --- climbing

  // How `model` gets to `to`: who descends for it, and its climb. Changes nothing.
  // NoRoom: why there is none, in words; shortfall() has the numbers. Busy: it is moving already.
  // NotFound: it is not known.
  Result<Plan> plan(const ModelId& model, Rung to, SteadyTime now) const;
  // The same for a holder that is to hold `bytes` in all.
  Result<Plan> plan_reserve(const std::string& holder, Bytes bytes, SteadyTime now) const;
  // Makes all of it happen: the descents begin now, the climb when begin() says so. Busy, and
  // nothing changed, when anything else has changed since it was planned.
  Result<> adopt(const Plan& plan);
  // The climbs for which there is room now, in the order of their plans: carry them out. Ask again
  // after every change that may free something.
  Begun begin();
  // A climb that waits is wanted no more; whoever descends for it goes on. No effect when it does
  // not wait.
  void give_up(const ModelId& model);

  // nullopt: there is room for it.
  std::optional<Shortfall> shortfall(const ModelId& model, Rung to) const;
  // The models in use that must come to rest before this climb has room, least recently used first;
  // empty when plan() is enough, or that would not be.
  std::vector<ModelId> to_drain(const ModelId& model, Rung to) const;
  // It has room as things are, without any descent, and nothing promised to others is taken.
  bool fits(const ModelId& model, Rung to) const;
  // There would be room for `footprint` in place of the one of `model`, after descents.
  bool could_fit(const ModelId& model, const Footprint& footprint, Rung to) const;

  // --- what happened

  // It is at `rung` now. A rung on the way up is progress; one on the way down that is not the last
  // of it is not counted yet. Requires: it climbs or descends.
  void arrived(const ModelId& model, Rung rung);
  // Its process is gone, in whatever state it was: it is absent, its pins are stale, a climb of it
  // that waited is given up. Who descends for it goes on; a plan that it descended for goes on.
  void died(const ModelId& model);

  // --- staying

  // nullopt: not hot and not climbing there. Counts as a use.
  std::optional<Pin> pin(const ModelId& model, SteadyTime now);
  void use(const ModelId& model, SteadyTime now);  // without a pin
  // A person's wish, which outlives the model's process. Requires: known.
  void keep(const ModelId& model, bool kept);
  // nullopt: by the rungs' times. Else it stays where it is for so long after its last use, and
  // then walks down to parked, a rung each time. 0: at once, and on to absent; negative: for ever.
  void set_keep_alive(const ModelId& model, std::optional<milliseconds> time);

  // --- going down. What these answer is decided: carry it out.

  // As a person or the program says, a kept model too (the step says so). Busy: in use, or it
  // climbs and `to` is not Absent. from == to: it is there or lower, or on its way there.
  Result<Step> evict(const ModelId& model, Rung to);
  // Models that were unused for longer than their rung's time go one rung down.
  std::vector<Step> idle_steps(const IdleTimes& times, SteadyTime now);
  // Pressure: idle models go to parked, the most useless first and kept ones last, until so many
  // bytes are freed; nullopt: all of them.
  std::vector<Step> shed(std::optional<Bytes> bytes, SteadyTime now);
  // From now on. Below what is held: idle models descend, kept ones last; climbs that waited and do
  // not fit any more are given up, the latest first. Until used() is below it nothing climbs.
  Relief set_budget(Bytes budget, SteadyTime now);
  // The same again, after pins have ended or climbs arrived, while over_by() says so.
  Relief relieve(SteadyTime now);

  // --- to be seen

  Bytes budget() const { return budget_; }
  Bytes used() const { return held_up_to(0); }
  Bytes over_by() const;                      // how much more than the budget is held
  Bytes promised() const;                     // held when all that was decided has come true
  Bytes size_of(const ModelId& model) const;  // held by it, with what it shares; 0: absent
  Seen seen(const ModelId& model, SteadyTime now) const;
  const Footprint* footprint(const ModelId& model) const;  // nullptr: not known
  std::vector<ModelId> models() const;
  uint64_t generation() const { return generation_; }

 private:
  struct Entry {
    Footprint footprint;
    std::vector<size_t> parts;            // of parts_
    std::optional<Footprint> correction;  // measured, for its next life
    std::array<bool, 4> timed{};          // climbs that were measured
    Rung at = Rung::Absent;
    Rung to = Rung::Absent;
    Rung counted = Rung::Absent;
    Move move = Move::Rests;
    uint64_t order = 0;  // of the decision that it waits or descends by
    int pins = 0;
    uint64_t life = 0;
    bool kept = false;
    bool just_used = false;  // a pin has ended since it was last looked at
    std::optional<milliseconds> keep_alive;
    SteadyTime used_at{};
    uint64_t use = 0;  // the order of last uses
  };
  struct Holder {
    Bytes bytes;
    std::optional<Bytes> wants;  // waits to hold so much
    uint64_t order = 0;
  };
  struct Part {
    std::string key;
    Bytes bytes;
  };
  class Tally;
  struct Candidate;
  struct Wanted;
  using Entries = std::map<ModelId, Entry, std::less<>>;

  Entry& at(const ModelId& model);
  const Entry* find(const ModelId& model) const;
  static bool idle(const Entry& entry);
  static Rung rung_up_to(const Entry& entry, uint64_t order);
  Tally tally_up_to(uint64_t order) const;
  Bytes held_up_to(uint64_t order) const;
  std::vector<uint64_t> orders_waiting() const;
  std::vector<Bytes> holdings() const;
  bool holds_within(const std::vector<Bytes>& before) const;
  bool replace(Entry& entry, Footprint footprint);
  static void apply_to(Footprint& footprint, Rung rung, Bytes bytes);
  void apply_correction(Entry& entry);
  Result<> check_footprint(const ModelId& model, const Footprint& footprint) const;
  void index_parts();
  bool begin_at(uint64_t order, Begun& begun);

  // in ladder_plan.cpp
  Bytes beside(const Tally& tally, const Footprint& footprint, Rung rung) const;
  Tally least(const Wanted& wanted) const;
  std::optional<Shortfall> shortfall_of(const Wanted& wanted) const;
  Error no_room(const Shortfall& shortfall) const;
  Result<Plan> plan_for(const Wanted& wanted, SteadyTime now) const;
  std::vector<Candidate> candidates(const ModelId& but, bool kept_too, SteadyTime now) const;
  static void choose(Tally& tally, std::vector<Candidate>& from, Bytes limit, Rung floor);
  static void take_back(Tally& tally, std::vector<Candidate>& from, Bytes limit);
  static std::vector<Step> steps_of(std::vector<Candidate> chosen);
  void descend(const std::vector<Step>& steps);
  bool give_up_latest(Relief& relief);
  void renumber_waiting();
  void changed();
  void check();

  Bytes budget_;
  Bytes ceiling_ = budget_;  // at most so much is held: more than budget_ after it was lowered
  const NextUse& next_use_;
  Entries entries_;
  std::map<std::string, Holder> holders_;
  std::vector<Part> parts_;
  uint64_t generation_ = 1;
  uint64_t order_ = 0;
  uint64_t lives_ = 0;
  uint64_t uses_ = 0;
};

class Ladder::Pin {
 public:
  Pin(Pin&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)),
        model_(std::move(other.model_)),
        life_(other.life_) {}
  Pin& operator=(Pin&&) = delete;
  ~Pin();

 private:
  friend class Ladder;
  Pin(Ladder* owner, ModelId model, uint64_t life)
      : owner_(owner), model_(std::move(model)), life_(life) {}
  Ladder* owner_;
  ModelId model_;
  uint64_t life_;
};

}  // namespace lares::sched
