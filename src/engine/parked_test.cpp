#include "engine/parked.h"

#include <gtest/gtest.h>

#include <numeric>

namespace lares::engine {
namespace {

std::vector<Token> tokens(Token from, size_t count) {
  std::vector<Token> list(count);
  std::iota(list.begin(), list.end(), from);
  return list;
}
Parked::Conversation conversation(Token from, size_t count, Position first = 0, size_t size = 100) {
  return {tokens(from, count), first, Block(size)};
}

TEST(Parked, FindsWhatHasMostInCommonAndLeavesOneTokenToCompute) {
  Parked parked(Bytes{1000});
  parked.add(conversation(0, 50));
  parked.add(conversation(0, 80));
  parked.add(conversation(500, 90));
  EXPECT_EQ(parked.count(), 2U) << "the first is the beginning of the second";
  EXPECT_EQ(parked.find(tokens(0, 100), 0, true)->keep, 80U);
  EXPECT_EQ(parked.find(tokens(0, 80), 0, true)->keep, 79U);
  EXPECT_EQ(parked.find(tokens(500, 10), 0, true)->keep, 9U);
  EXPECT_FALSE(parked.find(tokens(700, 10), 0, true));
}

TEST(Parked, WhatCannotBeCutIsFoundOnlyWhole) {
  Parked parked(Bytes{1000});
  parked.add(conversation(0, 50));
  EXPECT_FALSE(parked.find(tokens(0, 50), 0, false));
  EXPECT_EQ(parked.find(tokens(0, 51), 0, false)->keep, 50U);
}

TEST(Parked, ASeededPromptFindsWholePiecesThatWereComputedAsItsOwnWouldBe) {
  Parked parked(Bytes{1000});
  EXPECT_FALSE(parked.find_exact(tokens(0, 200)));
  parked.add(conversation(0, 150));
  EXPECT_FALSE(parked.find_exact(tokens(0, 200))) << "computed in others' company";
  auto exact = conversation(0, 140);
  exact.tokens.back() = 9;
  exact.exact = 96;
  parked.add(std::move(exact));
  EXPECT_EQ(parked.find_exact(tokens(0, 200))->keep, 96U);
  EXPECT_EQ(parked.find_exact(tokens(0, 97))->keep, 96U);
  EXPECT_EQ(parked.find_exact(tokens(0, 96))->keep, 64U) << "one is left to compute";
  EXPECT_FALSE(parked.find_exact(tokens(0, 32)));
  EXPECT_FALSE(parked.find_exact(tokens(0, 200), 1)) << "other adapters";
  EXPECT_EQ(parked.find(tokens(0, 200), 0, true)->keep, 150U);
}

TEST(Parked, AWindowMustBeWholeBeforeTheNextPosition) {
  Parked parked(Bytes{1000});
  parked.add(conversation(0, 100, 60));
  EXPECT_TRUE(parked.find(tokens(0, 120), 40, true));
  EXPECT_FALSE(parked.find(tokens(0, 90), 40, true)) << "position 49 was forgotten";
}

TEST(Parked, ForgetsWhatWasUsedLongestAgo) {
  Parked parked(Bytes{250});
  parked.add(conversation(0, 50));
  parked.add(conversation(100, 50));
  EXPECT_TRUE(parked.find(tokens(0, 60), 0, true));
  parked.add(conversation(200, 50));
  EXPECT_EQ(parked.size().n, 200U);
  EXPECT_TRUE(parked.holds(tokens(0, 50)));
  EXPECT_FALSE(parked.holds(tokens(100, 50)));
}

TEST(Parked, WhatIsLargerThanItsLimitIsNotKept) {
  Parked parked(Bytes{100});
  parked.add(conversation(0, 50, 0, 101));
  EXPECT_EQ(parked.count(), 0U);
  EXPECT_EQ(parked.size().n, 0U);
}

TEST(Parked, ABlockIsWrittenAndMoves) {
  Block block(5000);
  block.bytes()[4999] = std::byte{7};
  Block other = std::move(block);
  EXPECT_EQ(other.bytes()[4999], std::byte{7});
  EXPECT_EQ(Block().size(), 0U);
}

}  // namespace
}  // namespace lares::engine
