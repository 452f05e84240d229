#include "engine/shares.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

TEST(Shares, OneOwnerAloneIsNeverAhead) {
  Shares shares;
  shares.enter(Lane::Interactive, 1);
  shares.charge(Lane::Interactive, 1, 5'000);
  EXPECT_EQ(shares.ahead(Lane::Interactive, 1), 0);
  EXPECT_EQ(shares.ahead(Lane::Interactive, 2), 0) << "has no work";
}

TEST(Shares, WhoHasHadMoreIsAheadOfWhoHasHadLeast) {
  Shares shares;
  for (const uint32_t owner : {1, 2, 3}) shares.enter(Lane::Agent, owner);
  shares.charge(Lane::Agent, 1, 30);
  shares.charge(Lane::Agent, 2, 10);
  shares.charge(Lane::Agent, 3, 20);
  EXPECT_DOUBLE_EQ(shares.ahead(Lane::Agent, 1), 20);
  EXPECT_DOUBLE_EQ(shares.ahead(Lane::Agent, 2), 0);
  shares.leave(Lane::Agent, 2);
  EXPECT_DOUBLE_EQ(shares.ahead(Lane::Agent, 1), 10);
}

TEST(Shares, WhoComesBackFromARestHasSavedNothingUp) {
  Shares shares;
  shares.enter(Lane::Interactive, 1);
  shares.charge(Lane::Interactive, 1, 10'000);
  shares.enter(Lane::Interactive, 2);
  EXPECT_EQ(shares.ahead(Lane::Interactive, 1), 0);
  shares.charge(Lane::Interactive, 2, 50);
  shares.leave(Lane::Interactive, 2);
  shares.leave(Lane::Interactive, 1);
  shares.enter(Lane::Interactive, 3);  // nobody is at work, and yet
  shares.enter(Lane::Interactive, 1);
  EXPECT_EQ(shares.ahead(Lane::Interactive, 1), 0);
}

TEST(Shares, WhoAsksOneThingAfterAnotherHasNotRested) {
  Shares shares;
  shares.enter(Lane::Interactive, 1);
  shares.enter(Lane::Interactive, 2);
  shares.charge(Lane::Interactive, 1, 90);
  shares.leave(Lane::Interactive, 2);  // its answer ends, and it reads it
  shares.charge(Lane::Interactive, 1, 150);
  shares.enter(Lane::Interactive, 2);
  EXPECT_DOUBLE_EQ(shares.ahead(Lane::Interactive, 1), 240);
  shares.leave(Lane::Interactive, 2);
  shares.charge(Lane::Interactive, 1, 60'000);
  shares.enter(Lane::Interactive, 2);
  EXPECT_DOUBLE_EQ(shares.ahead(Lane::Interactive, 1), kRestKeepsMs);
}

TEST(Shares, NorIsADebtForgottenByARest) {
  Shares shares;
  shares.enter(Lane::Interactive, 1);
  shares.enter(Lane::Interactive, 2);
  shares.charge(Lane::Interactive, 1, 400);
  shares.leave(Lane::Interactive, 1);
  shares.enter(Lane::Interactive, 1);
  EXPECT_DOUBLE_EQ(shares.ahead(Lane::Interactive, 1), 400);
}

TEST(Shares, ALaneBehindAnotherIsOwedItsPartOfWhatTheOtherTakes) {
  Shares shares;
  shares.enter(Lane::Background, 1);
  shares.charge(Lane::Background, 1, 1'000);
  EXPECT_FALSE(shares.owed(Lane::Background)) << "it waits behind nobody";
  shares.enter(Lane::Interactive, 1);
  shares.charge(Lane::Interactive, 1, 100);
  EXPECT_TRUE(shares.owed(Lane::Background));
  EXPECT_FALSE(shares.owed(Lane::Agent)) << "it has no work";
  shares.charge(Lane::Background, 1, 6);
  EXPECT_TRUE(shares.owed(Lane::Background)) << "that was in passing";
  shares.step_begins();
  shares.charge(Lane::Background, 1, 6);
  EXPECT_FALSE(shares.owed(Lane::Background));
  EXPECT_FALSE(shares.owed(Lane::Interactive));
}

TEST(Shares, NoLaneSavesUpForEver) {
  Shares shares;
  shares.enter(Lane::Background, 1);
  shares.enter(Lane::Interactive, 1);
  for (int i = 0; i < 1000; i++) shares.charge(Lane::Interactive, 1, 1'000);
  shares.step_begins();
  shares.charge(Lane::Background, 1, kOwedMaxMs + 60);
  EXPECT_FALSE(shares.owed(Lane::Background));
  shares.charge(Lane::Interactive, 1, 1'000);
  shares.leave(Lane::Background, 1);
  EXPECT_FALSE(shares.owed(Lane::Background)) << "nothing of it waits";
}

TEST(Shares, ForgetsOwnersThatRestWhenTheyAreMany) {
  Shares shares;
  shares.enter(Lane::Interactive, 0);
  shares.charge(Lane::Interactive, 0, 7);
  for (uint32_t owner = 1; owner < 3 * kRestingOwnersMax; owner++) {
    shares.enter(Lane::Interactive, owner);
    shares.charge(Lane::Interactive, owner, 10);
    shares.leave(Lane::Interactive, owner);
  }
  EXPECT_LE(shares.owners(), kRestingOwnersMax + 1);
  EXPECT_EQ(shares.ahead(Lane::Interactive, 0), 0);
}

}  // namespace
}  // namespace lares::engine
