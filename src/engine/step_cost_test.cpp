#include "engine/step_cost.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

TEST(StepCost, KnowsNothingBeforeTheFirstStep) {
  StepCost cost;
  EXPECT_FALSE(cost.known());
  EXPECT_EQ(cost.ms(100), 0);
  EXPECT_EQ(cost.rows_within(1000), 0U);
  EXPECT_EQ(cost.share(1, 4, 2), 0.25);
  cost.learn(0, 10);
  cost.learn(10, 0);
  cost.learn(10, -1);
  EXPECT_FALSE(cost.known());
}

TEST(StepCost, FromOneStepReckonsByRows) {
  StepCost cost;
  cost.learn(100, 50);
  EXPECT_DOUBLE_EQ(cost.ms(200), 100);
  EXPECT_EQ(cost.rows_within(60), 120U);
}

TEST(StepCost, FindsTheLineBehindStepsOfManySizes) {
  StepCost cost;
  for (int round = 0; round < 40; round++) {
    for (double rows = 1; rows <= 400; rows = rows * 1.5 + 1) cost.learn(rows, 8 + 0.5 * rows);
  }
  EXPECT_NEAR(cost.ms(1), 8.5, 0.2);
  EXPECT_NEAR(cost.ms(64), 40, 1);
  EXPECT_NEAR(cost.ms(800), 408, 5);
  EXPECT_NEAR(static_cast<double>(cost.rows_within(60)), 104, 3);
  EXPECT_EQ(cost.rows_within(5), 0U);
}

TEST(StepCost, FollowsAMachineThatBecomesSlower) {
  StepCost cost;
  for (int i = 0; i < 50; i++) cost.learn(32, 20);
  for (int i = 0; i < 12; i++) cost.learn(32, 60);
  EXPECT_NEAR(cost.ms(32), 60, 1);
}

TEST(StepCost, MoreRowsNeverTakeLess) {
  StepCost cost;
  cost.learn(1, 30);  // the conversation has grown since
  cost.learn(8, 20);
  cost.learn(64, 40);
  for (double rows = 1; rows < 200; rows++) EXPECT_LE(cost.ms(rows), cost.ms(rows + 1)) << rows;
}

// One slow step of a few rows, which may not come again, does not make more rows seem free.
TEST(StepCost, WhatManyRowsTookIsNoLessThanFewTake) {
  StepCost cost;
  cost.learn(1, 300);
  cost.learn(9, 40);
  cost.learn(17, 72);
  EXPECT_LE(cost.ms(1), 40);
  EXPECT_NEAR(cost.ms(9), 40, 1e-9);
  EXPECT_NEAR(cost.ms(13), 56, 1e-9);
}

TEST(StepCost, ARowThatATokenIsChosenFromMayCostMore) {
  StepCost cost;
  cost.learn(8 * 1.25, 30);
  cost.learn(100, 300);
  EXPECT_NEAR(cost.ms(9 * 1.25) - cost.ms(8 * 1.25), 1.25 * 3, 1e-9);
  EXPECT_EQ(cost.rows_within(90), 30U);
}

TEST(StepCost, SharesAStepOutWhollyAndTheFixedPartAlike) {
  StepCost cost;
  cost.learn(1, 11);
  cost.learn(101, 111);  // 10 ms and 1 ms for each row
  const double prompt = cost.share(98, 100, 3);
  const double answer = cost.share(1, 100, 3);
  EXPECT_NEAR(prompt + 2 * answer, 1, 1e-9);
  EXPECT_NEAR(answer * cost.ms(100), 10.0 / 3 + 1, 0.01);
}

}  // namespace
}  // namespace lares::engine
