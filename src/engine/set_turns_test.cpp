#include "engine/set_turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lares::engine {
namespace {

// Requests whose answers never end, each with its set, on a worker whose steps take 10 ms and 1 ms
// a row.
class Sets {
 public:
  void add(Lane lane, uint64_t set, size_t prompt = 0, uint32_t owner = 1) {
    shares_.enter(lane, owner);
    wants_.push_back({lane, owner, std::max<size_t>(prompt, 1), prompt > 0, 0, set});
    ms_.push_back(0);
    gaps_.push_back(0);
    waits_.push_back(0);
  }

  // The set that computes in the next step.
  uint64_t step() {
    shares_.step_begins();
    const uint64_t set = turns_.next(wants_, planned(wants_), shares_);
    std::vector<Want> own;
    std::vector<size_t> which;
    for (size_t i = 0; i < wants_.size(); i++) {
      if (wants_[i].set != set) continue;
      own.push_back(wants_[i]);
      which.push_back(i);
    }
    const std::vector<Turn> turns = planned(own);
    EXPECT_FALSE(turns.empty());
    size_t rows = 0;
    for (const Turn& turn : turns) rows += turn.rows;
    const double took = ms(rows);
    for (size_t& wait : waits_) wait++;
    for (const Turn& turn : turns) {
      const size_t i = which[turn.want];
      const double own_ms = took * cost_.share(static_cast<double>(turn.rows),
                                               static_cast<double>(rows), turns.size());
      shares_.charge(wants_[i].lane, wants_[i].owner, own_ms);
      wants_[i].served = ++served_;
      ms_[i] += own_ms;
      waits_[i] = 0;
      if (!wants_[i].prompt) continue;
      wants_[i].rows -= turn.rows;
      wants_[i].prompt = wants_[i].rows > 0;
      wants_[i].rows = std::max<size_t>(wants_[i].rows, 1);
    }
    for (size_t i = 0; i < waits_.size(); i++) gaps_[i] = std::max(gaps_[i], waits_[i]);
    cost_.learn(static_cast<double>(rows), took);
    return set;
  }
  std::vector<uint64_t> steps(size_t count) {
    std::vector<uint64_t> sets;
    while (sets.size() < count) sets.push_back(step());
    return sets;
  }

  double computed_ms(size_t request) const { return ms_[request]; }
  size_t longest_wait(size_t request) const { return gaps_[request]; }  // in steps

 private:
  static double ms(size_t rows) { return 10 + static_cast<double>(rows); }
  std::vector<Turn> planned(std::span<const Want> wants) const {
    return plan_step(wants, shares_, cost_, {512, 60, 1});
  }

  std::vector<Want> wants_;
  std::vector<double> ms_;
  std::vector<size_t> gaps_, waits_;
  Shares shares_;
  StepCost cost_;
  SetTurns turns_;
  uint64_t served_ = 0;
};

TEST(SetTurns, TwoThatAreAsUrgentTakeTurnsOfSomeSteps) {
  Sets sets;
  sets.add(Lane::Interactive, 0);
  sets.add(Lane::Interactive, 7);
  const auto steps = sets.steps(10 * kSetSteps);
  size_t changes = 0;
  for (size_t i = 1; i < steps.size(); i++) changes += steps[i] != steps[i - 1];
  EXPECT_EQ(changes, 9U);
  EXPECT_EQ(std::count(steps.begin(), steps.end(), 7), static_cast<ptrdiff_t>(5 * kSetSteps));
}

TEST(SetTurns, OneSetAloneNeverChanges) {
  Sets sets;
  sets.add(Lane::Interactive, 3);
  sets.add(Lane::Interactive, 3, 400);
  for (const uint64_t set : sets.steps(40)) EXPECT_EQ(set, 3U);
}

TEST(SetTurns, WhoHasComputedForLongMakesWayAtOnce) {
  Sets sets;
  sets.add(Lane::Agent, 1);
  sets.steps(100);
  sets.add(Lane::Agent, 2);
  EXPECT_EQ(sets.step(), 2U);
}

TEST(SetTurns, AMoreUrgentOneDoesNotWaitForTheEndOfATurn) {
  Sets sets;
  sets.add(Lane::Agent, 1);
  sets.add(Lane::Agent, 2);
  sets.steps(kSetSteps + 2);
  sets.add(Lane::Interactive, 3);
  EXPECT_EQ(sets.step(), 3U);
}

TEST(SetTurns, APromptOfAnotherSetDoesNotWaitForTheEndOfAnswers) {
  Sets sets;
  for (int i = 0; i < 4; i++) sets.add(Lane::Interactive, 0);
  sets.add(Lane::Interactive, 5, 300);
  sets.steps(200);
  EXPECT_LE(sets.longest_wait(4), kSetSteps);
  EXPECT_LE(sets.longest_wait(0), kSetSteps);
}

TEST(SetTurns, OfManySetsNoneStarves) {
  Sets sets;
  for (uint64_t set = 0; set < 12; set++) sets.add(Lane::Agent, set, set % 3 == 0 ? 100 : 0);
  sets.steps(2000);
  for (size_t i = 0; i < 12; i++) EXPECT_LE(sets.longest_wait(i), 12 * kSetSteps) << i;
}

TEST(SetTurns, ALessUrgentSetGetsTheShareThatItIsOwedAndNoMore) {
  Sets sets;
  sets.add(Lane::Interactive, 1);
  sets.add(Lane::Background, 2);
  sets.steps(3000);
  const double part = sets.computed_ms(1) / (sets.computed_ms(0) + sets.computed_ms(1));
  EXPECT_GT(part, 0.03);
  EXPECT_LT(part, 0.08);
  EXPECT_LE(sets.longest_wait(0), 1U);
}

TEST(SetTurns, OwnersShareEvenlyAcrossSets) {
  Sets sets;
  for (int i = 0; i < 4; i++) sets.add(Lane::Agent, 1, 0, 1);
  sets.add(Lane::Agent, 2, 0, 2);
  sets.steps(4000);
  double first = 0;
  for (size_t i = 0; i < 4; i++) first += sets.computed_ms(i);
  EXPECT_NEAR(first / sets.computed_ms(4), 1, 0.1);
}

}  // namespace
}  // namespace lares::engine
