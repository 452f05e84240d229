#include "engine/repetition.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace lares::engine {
namespace {

struct Answer {
  bool add(Token token) {
    tokens.push_back(token);
    return repetition.grown(tokens);
  }
  std::vector<Token> tokens;
  Repetition repetition;
};

// After how many tokens of `piece`, over and over, it is told; nullopt: not within `most`.
std::optional<size_t> told_after(const std::vector<Token>& piece, size_t most = 4096) {
  Answer repetition;
  for (size_t i = 0; i < most; i++) {
    if (repetition.add(piece[i % piece.size()])) return i + 1;
  }
  return std::nullopt;
}

std::vector<Token> counted(size_t length) {
  std::vector<Token> piece;
  for (size_t i = 0; i < length; i++) piece.push_back(static_cast<Token>(i));
  return piece;
}

TEST(Repetition, APieceOverAndOverIsTold) {
  EXPECT_EQ(told_after({7}), Repetition::kTokensMin);
  EXPECT_EQ(told_after(counted(15)), Repetition::kTokensMin);
  EXPECT_EQ(told_after(counted(100)), 400u);
  EXPECT_EQ(told_after(counted(Repetition::kPeriodMax)),
            Repetition::kTimesMin * Repetition::kPeriodMax);
}

TEST(Repetition, WhatStandsBeforeItDoesNotMatter) {
  Answer repetition;
  for (Token token = 1000; token < 2000; token++) EXPECT_FALSE(repetition.add(token));
  size_t after = 1;
  while (!repetition.add(static_cast<Token>(after % 10))) after++;
  EXPECT_EQ(after, Repetition::kTokensMin);
}

TEST(Repetition, WhatChangesIsNotTold) {
  EXPECT_FALSE(told_after(counted(Repetition::kPeriodMax + 1)));
  Answer list;  // "1. the same", "2. the same", ...
  for (Token i = 0; i < 4000; i++) EXPECT_FALSE(list.add(i % 12 == 0 ? 5000 + i : i % 12));
  Answer line;  // a rule of a table, thrice
  for (Token i = 0; i < 3 * 120; i++) EXPECT_FALSE(line.add(i % 120 == 0 ? 9 : 3));
}

}  // namespace
}  // namespace lares::engine
