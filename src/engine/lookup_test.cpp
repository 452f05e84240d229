#include "engine/lookup.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

using Tokens = std::vector<Token>;

Tokens after(Lookup& lookup, const Tokens& said) {
  const auto found = lookup.look(said);
  return {found.begin(), found.end()};
}

TEST(Lookup, FindsWhatCameLastTimeAfterTheSame) {
  Lookup lookup;
  EXPECT_EQ(after(lookup, {1, 2, 3, 4, 5, 6, 9, 1, 2, 3}), (Tokens{4, 5, 6, 9, 1, 2, 3}));
}

TEST(Lookup, TheNewestPlaceCounts) {
  Lookup lookup;
  EXPECT_EQ(after(lookup, {1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3}), (Tokens{5, 1, 2, 3}));
}

TEST(Lookup, FindsNothingWithoutSuchAPlace) {
  Lookup lookup;
  EXPECT_TRUE(after(lookup, {}).empty());
  EXPECT_TRUE(after(lookup, {1, 2, 3}).empty());
  EXPECT_TRUE(after(lookup, {1, 2, 3, 4, 5, 6}).empty());
}

TEST(Lookup, NeverFindsMoreThanADraftMayHave) {
  Lookup lookup;
  Tokens said;
  for (int i = 0; i < 200; i++) said.push_back(i % 40);
  EXPECT_EQ(after(lookup, said).size(), kDraftMax);
}

TEST(Lookup, LearnsFromWhatIsChosen) {
  Tokens said;
  for (int i = 0; i < 100; i++) said.push_back(i % 50);
  Lookup lookup;
  for (int i = 0; i < 40; i++) {
    lookup.look(said);
    lookup.chosen(0, -1);
  }
  EXPECT_LT(lookup.likely(), 0.05);
  for (int i = 0; i < 40; i++) {  // and it comes back when it would have been right
    lookup.look(said);
    lookup.chosen(0, said[said.size() % 50]);
  }
  EXPECT_GT(lookup.likely(), 0.9);
}

TEST(Lookup, WhatFollowsAWrongTokenIsNotCounted) {
  Tokens said;
  for (int i = 0; i < 100; i++) said.push_back(i % 50);
  Lookup lookup;
  lookup.look(said);
  lookup.chosen(0, -1);
  const double once = lookup.likely();
  lookup.chosen(1, -1);
  EXPECT_EQ(lookup.likely(), once);
}

}  // namespace
}  // namespace lares::engine
