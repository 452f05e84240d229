#include "engine/slots.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

const Slots::Usable kAny = [](Sequence, size_t) { return true; };

void fill(Slots& slots, Sequence sequence, std::span<const Token> tokens) {
  slots.take(sequence);
  for (const Token token : tokens) slots.extend(sequence, token);
}

std::vector<Token> run_of(Token first, size_t count) {
  std::vector<Token> tokens;
  for (size_t i = 0; i < count; i++) tokens.push_back(first + static_cast<Token>(i));
  return tokens;
}

TEST(Slots, AnEmptyHouseGivesAnEmptySequence) {
  const Slots slots(2, 100);
  const auto place = slots.place(run_of(1, 10), kAny, true);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->to, 0);
  EXPECT_EQ(place->from, -1);
  EXPECT_EQ(place->keep, 0U);
}

TEST(Slots, AFollowUpGoesOnInPlace) {
  Slots slots(2, 100);
  fill(slots, 1, run_of(1, 10));
  slots.release(1);
  const auto place = slots.place(run_of(1, 20), kAny, true);
  EXPECT_EQ(place->to, 1);
  EXPECT_EQ(place->from, 1);
  EXPECT_EQ(place->keep, 10U);
}

TEST(Slots, OneTokenIsAlwaysLeftToCompute) {
  Slots slots(2, 100);
  fill(slots, 0, run_of(1, 10));
  slots.release(0);
  EXPECT_EQ(slots.place(run_of(1, 10), kAny, true)->keep, 9U);
  EXPECT_EQ(slots.place(run_of(1, 4), kAny, true)->keep, 3U);
}

TEST(Slots, ALongTailIsKeptForItsOwnerAndThePrefixShared) {
  Slots slots(2, 500);
  fill(slots, 0, run_of(1, 200));
  slots.release(0);
  auto prompt = run_of(1, 50);
  prompt.push_back(999);
  const auto place = slots.place(prompt, kAny, true);
  EXPECT_EQ(place->from, 0);
  EXPECT_EQ(place->to, 1);
  EXPECT_EQ(place->keep, 50U);
}

TEST(Slots, ABusySequenceIsSharedFromNeverTaken) {
  Slots slots(2, 100);
  fill(slots, 0, run_of(1, 10));
  const auto place = slots.place(run_of(1, 20), kAny, true);
  EXPECT_EQ(place->from, 0);
  EXPECT_EQ(place->to, 1);
  slots.take(1);
  EXPECT_FALSE(slots.place(run_of(1, 20), kAny, true));
}

TEST(Slots, WhatIsUnusableIsPassedOver) {
  Slots slots(3, 100);
  fill(slots, 0, run_of(1, 10));
  slots.release(0);
  fill(slots, 1, run_of(1, 5));
  slots.release(1);
  const auto only_one = [](Sequence sequence, size_t) { return sequence == 1; };
  EXPECT_EQ(slots.place(run_of(1, 20), only_one, true)->keep, 5U);
}

TEST(Slots, WhatCannotBeCutIsOnlyGoneOnWith) {
  Slots slots(2, 100);
  fill(slots, 0, run_of(1, 10));
  slots.release(0);
  EXPECT_EQ(slots.place(run_of(1, 20), kAny, false)->keep, 10U);
  auto other = run_of(1, 9);
  other.push_back(77);
  other.push_back(78);
  EXPECT_EQ(slots.place(other, kAny, false)->keep, 0U);
}

TEST(Slots, SharedCellsCountOnceAndAreFreedLast) {
  Slots slots(3, 100);
  fill(slots, 0, run_of(1, 40));
  slots.share(0, 1, 30);
  slots.take(1);
  slots.extend(1, 5);
  EXPECT_EQ(slots.cells_free(), 59U);
  EXPECT_EQ(slots.cells_busy(-1), 41U);
  slots.cut(0, 0);
  EXPECT_EQ(slots.cells_free(), 69U);
  slots.cut(1, 0);
  EXPECT_EQ(slots.cells_free(), 100U);
}

TEST(Slots, TheOldestIdleGoesFirst) {
  Slots slots(3, 100);
  for (Sequence s : {2, 0, 1}) {
    fill(slots, s, run_of(100 * s, 5));
    slots.release(s);
  }
  EXPECT_EQ(slots.oldest_idle(), 2);
  EXPECT_EQ(slots.oldest_idle(2), 0);
  EXPECT_EQ(slots.place(run_of(1000, 5), kAny, true)->to, 2);
}

}  // namespace
}  // namespace lares::engine
