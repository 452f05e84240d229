#include "engine/lookup.h"

#include <gtest/gtest.h>

#include <random>

namespace lares::engine {
namespace {

using Tokens = std::vector<Token>;

double cheap(size_t more) { return 10 + 0.1 * static_cast<double>(more); }
double dear(size_t more) { return 10 + 10 * static_cast<double>(more); }

TEST(Lookup, DraftsWhatCameLastTimeAfterTheSame) {
  Lookup lookup;
  const Tokens said = {1, 2, 3, 4, 5, 6, 9, 1, 2, 3};
  EXPECT_EQ(lookup.draft(said, 3, 0, cheap), (Tokens{4, 5, 6}));
}

TEST(Lookup, TheNewestPlaceCounts) {
  Lookup lookup;
  const Tokens said = {1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3};
  EXPECT_EQ(lookup.draft(said, 1, 0, cheap), (Tokens{5}));
}

TEST(Lookup, DraftsNothingWithoutSuchAPlace) {
  Lookup lookup;
  EXPECT_TRUE(lookup.draft(Tokens{}, 5, 0, cheap).empty());
  EXPECT_TRUE(lookup.draft(Tokens{1, 2, 3}, 5, 0, cheap).empty());
  EXPECT_TRUE(lookup.draft(Tokens{1, 2, 3, 4, 5, 6}, 5, 0, cheap).empty());
}

TEST(Lookup, NeverDraftsMoreThanIsAllowed) {
  Lookup lookup;
  Tokens said;
  for (int i = 0; i < 200; i++) said.push_back(i % 40);
  EXPECT_TRUE(lookup.draft(said, 0, 0, cheap).empty());
  EXPECT_LE(lookup.draft(said, 1000, 0, cheap).size(), kDraftMax);
}

TEST(Lookup, DraftsOnlyWhatPays) {
  Tokens said;
  for (int i = 0; i < 100; i++) said.push_back(i % 50);
  Lookup lookup;
  EXPECT_TRUE(lookup.draft(said, 8, 0, dear).empty());
  EXPECT_FALSE(lookup.draft(said, 8, 0, cheap).empty());
  EXPECT_TRUE(lookup.draft(said, 8, 0, [](size_t) { return 0.0; }).empty()) << "not known";
}

TEST(Lookup, LearnsFromTokensThatWereNotComputedAhead) {
  Tokens said;
  for (int i = 0; i < 100; i++) said.push_back(i % 50);
  const auto some = [](size_t more) { return 10 + 3.0 * static_cast<double>(more); };
  Lookup wrong;
  for (int i = 0; i < 40; i++) {
    wrong.draft(said, 8, 0, some);
    wrong.chosen(0, -1);
  }
  EXPECT_LT(wrong.likely(), 0.05);
  EXPECT_TRUE(wrong.draft(said, 8, 0, some).empty());
  for (int i = 0; i < 40; i++) {  // and it comes back when they would have been right
    wrong.draft(said, 0, 0, some);
    wrong.chosen(0, said[(said.size()) % 50]);
  }
  EXPECT_GT(wrong.likely(), 0.9);
  EXPECT_GE(wrong.draft(said, 8, 0, some).size(), 6U);
}

TEST(Lookup, OthersInTheStepMakeDraftsDearer) {
  Tokens said;
  for (int i = 0; i < 100; i++) said.push_back(i % 50);
  const auto cost = [](size_t more) { return 10 + 2.0 * static_cast<double>(more); };
  Lookup lookup;
  const size_t alone = lookup.draft(said, 8, 0, cost).size();
  const size_t among = lookup.draft(said, 8, 7, cost).size();
  EXPECT_GT(alone, among);
}

TEST(Lookup, WhatFollowsAWrongTokenIsNotCounted) {
  Tokens said;
  for (int i = 0; i < 100; i++) said.push_back(i % 50);
  Lookup lookup;
  lookup.draft(said, 8, 0, cheap);
  lookup.chosen(0, -1);
  const double once = lookup.likely();
  lookup.chosen(1, -1);
  EXPECT_EQ(lookup.likely(), once);
}

}  // namespace
}  // namespace lares::engine
