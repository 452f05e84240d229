#include "engine/speculation.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

using Source = Speculation::Source;
using Said = std::vector<Token>;

RowsCost line(double fixed, double row) {
  return [=](size_t rows) { return fixed + row * static_cast<double>(rows); };
}

Said around(size_t count) {  // says the same again and again
  Said said;
  for (size_t i = 0; i < count; i++) said.push_back(static_cast<Token>(i % 50));
  return said;
}
Said fresh(size_t count) {  // says nothing twice
  Said said;
  for (size_t i = 0; i < count; i++) said.push_back(static_cast<Token>(i));
  return said;
}

Speculation::Step step_of(RowsCost cost) {
  Speculation::Step step;
  step.most = 8;
  step.cost = std::move(cost);
  step.remaining = 100;
  return step;
}
Speculation::Step with_model(RowsCost cost, RowsCost drafting, size_t behind = 1) {
  Speculation::Step step = step_of(std::move(cost));
  step.drafting = std::move(drafting);
  step.behind = [behind] { return std::optional<size_t>(behind); };
  step.rows_max = 64;
  return step;
}

// The draft model says these; how many it was asked for.
size_t say(Speculation& speculation, const Speculation::Plan& plan, Token token, float margin = 8) {
  size_t said = 0;
  while (said < plan.count) {
    said++;
    if (!speculation.drafted(token, margin)) break;
  }
  return said;
}

// --- what is worth its time

TEST(Worth, IsAsManyAsBringMost) {
  EXPECT_EQ(best_worth(8, 0, 0.9, line(10, 10)).count, 0U);
  EXPECT_EQ(best_worth(8, 0, 0.9, line(10, 0.1)).count, 8U);
  EXPECT_EQ(best_worth(8, 0, 0, line(10, 0.1)).count, 0U);
  const Worth some = best_worth(8, 0, 0.7, line(10, 1.5));
  EXPECT_GT(some.count, 0U);
  EXPECT_LT(some.count, 8U);
  EXPECT_GT(some.rate, 1 / 10.0);
}

TEST(Worth, IsNothingWhereCostsAreNotKnown) {
  EXPECT_EQ(best_worth(8, 0, 0.9, line(0, 0)).count, 0U);
  EXPECT_EQ(best_worth(8, 0, 0.9, line(0, 0)).rate, 0);
}

TEST(Worth, OthersInTheStepMakeDraftsDearer) {
  EXPECT_GT(best_worth(8, 0, 0.8, line(10, 2)).count, best_worth(8, 7, 0.8, line(10, 2)).count);
}

TEST(OddsOfADraftModel, GoByHowFarItsTokenWasAhead) {
  Odds odds;
  const double before = odds.likely(3);
  for (int i = 0; i < 50; i++) {
    odds.saw(0.5F, false);
    odds.saw(9, true);
  }
  EXPECT_LT(odds.likely(0.2F), 0.01);
  EXPECT_GT(odds.likely(5), 0.99);
  EXPECT_EQ(odds.likely(3), before);
}

// --- lookup

TEST(Speculation, DraftsWhatWasSaidBefore) {
  Speculation speculation;
  const auto plan = speculation.plan(around(100), step_of(line(10, 0.1)));
  EXPECT_EQ(plan.source, Source::Lookup);
  EXPECT_GE(plan.count, 4U);
  EXPECT_EQ(speculation.draft().size(), plan.count);
  EXPECT_EQ(speculation.draft().front(), 0);
  EXPECT_EQ(Speculation().plan(fresh(100), step_of(line(10, 0.1))).source, Source::None);
  EXPECT_EQ(Speculation().plan(around(100), step_of(line(10, 10))).source, Source::None);
}

TEST(Speculation, LearnsFromTokensThatWereNotComputedAhead) {
  Speculation wrong;
  for (int i = 0; i < 40; i++) {
    wrong.plan(around(100), step_of(line(10, 3)));
    wrong.computed();
    wrong.chosen(-1);
  }
  EXPECT_EQ(wrong.plan(around(100), step_of(line(10, 3))).source, Source::None);
  const auto counts = wrong.counts(Source::Lookup);
  EXPECT_GT(counts.drafted, 0U);
  EXPECT_EQ(counts.right, 0U);
  for (int i = 0; i < 40; i++) {
    wrong.plan(around(100), step_of(line(10, 1000)));
    wrong.computed();
    wrong.chosen(0);
  }
  EXPECT_EQ(wrong.counts(Source::Lookup).drafted, counts.drafted);
  EXPECT_GE(wrong.plan(around(100), step_of(line(10, 3))).count, 6U);
}

// --- the draft model

TEST(Speculation, ADraftModelDraftsWhatLookupDoesNotFind) {
  Speculation speculation;
  const auto plan = speculation.plan(fresh(100), with_model(line(20, 0.5), line(1, 0.1)));
  EXPECT_EQ(plan.source, Source::Model);
  EXPECT_EQ(plan.catch_up, 1U);
  EXPECT_EQ(say(speculation, plan, 7), 8U);
  EXPECT_EQ(speculation.draft().size(), 8U);
  speculation.computed();
  for (int i = 0; i < 3; i++) speculation.chosen(7);
  speculation.chosen(8);
  EXPECT_EQ(speculation.counts(Source::Model).drafted, 8U);
  EXPECT_EQ(speculation.counts(Source::Model).right, 3U);
}

TEST(Speculation, TheBetterSourceIsUsed) {
  Speculation speculation;
  const auto step = with_model(line(20, 0.5), line(4, 0.1));
  EXPECT_EQ(speculation.plan(around(100), step).source, Source::Lookup) << "it costs nothing";
  for (int i = 0; i < 30; i++) {
    speculation.plan(around(100), step);
    speculation.computed();
    speculation.chosen(-1);
  }
  EXPECT_EQ(speculation.plan(around(100), step).source, Source::Model);
}

TEST(Speculation, ADraftModelThatIsAsSlowAsTheOtherIsNeverAsked) {
  Speculation speculation;
  const auto step = with_model(line(20, 0.5), line(20, 0.5));
  for (int i = 0; i < 2000; i++) {
    EXPECT_EQ(speculation.plan(fresh(100), step).source, Source::None) << i;
    speculation.computed();
    speculation.chosen(5);
  }
}

TEST(Speculation, OneThatIsWrongIsTriedLessAndLessAndUsedAgainWhenItIsRight) {
  Speculation speculation;
  const auto step = with_model(line(20, 1), line(4, 0.1));
  std::vector<int> tries;
  int at = 0;
  const auto go = [&](Token says) {
    const auto plan = speculation.plan(fresh(100), step);
    const bool tried = plan.source == Source::Model;
    if (tried) say(speculation, plan, says);
    const auto draft = speculation.draft();
    const size_t count = draft.size();
    speculation.computed();
    speculation.chosen(5);
    for (size_t i = 0; i < count && says == 5; i++) speculation.chosen(5);
    at++;
    return tried;
  };
  for (int i = 0; i < 3000; i++) {
    if (go(6)) tries.push_back(at);
  }
  ASSERT_GE(tries.size(), 4U);
  EXPECT_LT(tries.size(), 40U);
  const size_t last = tries.size() - 1;
  EXPECT_GE(tries[last] - tries[last - 1], 500);
  EXPECT_LE(tries[last] - tries[last - 1], 520) << "but it is tried";
  int used = 0;
  for (int i = 0; i < 3000; i++) used += go(5) ? 1 : 0;
  EXPECT_GT(used, 1000);
}

TEST(Speculation, ItStopsWhereItsNextTokenIsUnsure) {
  Speculation speculation;
  const auto plan = speculation.plan(fresh(100), with_model(line(20, 5), line(1, 0.1)));
  ASSERT_EQ(plan.source, Source::Model);
  EXPECT_TRUE(speculation.drafted(1, 9));
  EXPECT_FALSE(speculation.drafted(2, 0.1F)) << "hardly ahead of the next";
  EXPECT_EQ(speculation.draft().size(), 1U) << "and not worth a row";
  speculation.computed();
  speculation.chosen(1);
  const double before = speculation.odds().likely(0.1F);
  speculation.chosen(2);
  EXPECT_GT(speculation.odds().likely(0.1F), before) << "it is learnt from all the same";
  EXPECT_EQ(speculation.counts(Source::Model).drafted, 1U);
}

TEST(Speculation, AnEndThatDoesNotComeCountsAsWrong) {
  Speculation speculation;
  int asked = 0;
  for (int i = 0; i < 1000; i++) {
    if (speculation.plan(fresh(100), with_model(line(20, 1), line(4, 0.1))).source ==
        Source::Model) {
      asked++;
      speculation.drafted_end(6, 8);
    }
    EXPECT_TRUE(speculation.draft().empty()) << "nothing to compute";
    speculation.computed();
    speculation.chosen(5);
  }
  EXPECT_GT(asked, 0);
  EXPECT_LT(asked, 20);
  EXPECT_EQ(speculation.counts(Source::Model).drafted, 0U);
}

TEST(Speculation, WhatItHasToReadFirstMustBeWonBack) {
  auto step = with_model(line(20, 0.5), line(1, 1), 2000);  // two seconds
  step.remaining = 20;
  EXPECT_EQ(Speculation().plan(fresh(2000), step).source, Source::None);
  step.remaining = 1000;
  const auto plan = Speculation().plan(fresh(2000), step);
  EXPECT_EQ(plan.source, Source::Model);
  EXPECT_EQ(plan.count, 0U) << "it reads";
  EXPECT_EQ(plan.catch_up, 64U) << "in pieces";
}

TEST(Speculation, ItIsNotAskedWhereItCannot) {
  auto step = with_model(line(20, 0.5), line(1, 0.1));
  step.behind = [] { return std::nullopt; };
  EXPECT_EQ(Speculation().plan(fresh(100), step).source, Source::None);
  step = with_model(line(20, 0.5), line(1, 0.1));
  step.most = 0;
  EXPECT_EQ(Speculation().plan(fresh(100), step).source, Source::None);
}

TEST(Speculation, AStepTakesNoLongerThanItsLimit) {
  auto step = with_model(line(20, 0.5), line(5, 0));
  step.limit = 38;  // 20 + 0.5 n + 5 n
  const auto plan = Speculation().plan(fresh(100), step);
  EXPECT_EQ(plan.source, Source::Model);
  EXPECT_LE(plan.count, 3U);
}

TEST(Speculation, AnAnswerBeginsWithWhatEarlierOnesHaveShown) {
  Odds bad;
  for (int i = 0; i < 50; i++) bad.saw(5, false);
  Speculation speculation;
  speculation.begin(bad);
  EXPECT_EQ(speculation.plan(fresh(100), with_model(line(20, 1), line(4, 0.1))).source,
            Source::None);
}

}  // namespace
}  // namespace lares::engine
