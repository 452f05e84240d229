#include "base/places.h"

#include <gtest/gtest.h>

#include <string>

namespace lares {
namespace {

using People = Places<std::string>;
using Holder = People::Holder;

People taken(size_t places, Lane lane, const std::string& owner, size_t count) {
  People people(places);
  for (size_t i = 0; i < count; i++) people.has_one(lane, owner);
  return people;
}

TEST(Places, TheMoreUrgentTakeThoseOfTheLeastUrgent) {
  People people = taken(3, Lane::Background, "indexer", 1);
  people.has_one(Lane::Agent, "agent");
  people.has_one(Lane::Agent, "agent");
  people.waits(Lane::Interactive, "person");
  EXPECT_EQ(people.giver(Lane::Interactive, "person"), (Holder{Lane::Background, "indexer"}));
  people.waits(Lane::Background, "person");
  EXPECT_FALSE(people.giver(Lane::Background, "person")) << "one place is one owner's";
}

TEST(Places, OfTheLeastUrgentTheGreediestGivesItsUp) {
  People people = taken(3, Lane::Background, "b", 2);
  people.has_one(Lane::Background, "a");
  people.waits(Lane::Agent, "c");
  EXPECT_EQ(people.giver(Lane::Agent, "c"), (Holder{Lane::Background, "b"}));
}

TEST(Places, AnEvenPartIsEverybodys) {
  People people = taken(8, Lane::Interactive, "many", 8);
  for (size_t had = 0; had < 4; had++) {
    people.waits(Lane::Interactive, "few");
    EXPECT_EQ(people.giver(Lane::Interactive, "few"), (Holder{Lane::Interactive, "many"}));
    people.has_one(Lane::Interactive, "few");
  }
  EXPECT_FALSE(people.giver(Lane::Interactive, "few")) << "that is its part";
  EXPECT_FALSE(people.giver(Lane::Interactive, "many"));
}

TEST(Places, WithMoreOwnersThanPlacesNobodyTakesAnotherOnes) {
  People people(2);
  people.has_one(Lane::Agent, "a");
  people.has_one(Lane::Agent, "b");
  people.waits(Lane::Agent, "c");
  EXPECT_FALSE(people.giver(Lane::Agent, "c"));
}

TEST(Places, WhatBetterLanesHaveIsNotShared) {
  People people = taken(4, Lane::Interactive, "person", 2);
  people.has_one(Lane::Agent, "a");
  people.has_one(Lane::Agent, "a");
  people.waits(Lane::Agent, "b");
  EXPECT_EQ(people.giver(Lane::Agent, "b"), (Holder{Lane::Agent, "a"})) << "one of two each";
  people.has_one(Lane::Interactive, "person");
  EXPECT_EQ(people.giver(Lane::Agent, "b"), (Holder{Lane::Agent, "a"}));
}

// As the daemon sees it, which hands its worker more than there are places, the rest waiting there.
TEST(Places, ThoseWithoutAPlaceGiveNoneUp) {
  People people = taken(2, Lane::Background, "indexer", 2);
  people.has_one(Lane::Interactive, "person");
  people.waits(Lane::Interactive, "person");
  EXPECT_TRUE(people.giver(Lane::Interactive, "person"));
  people.has_one(Lane::Interactive, "person");
  EXPECT_FALSE(people.giver(Lane::Interactive, "person"));
  people.waits(Lane::Agent, "agent");
  EXPECT_FALSE(people.giver(Lane::Agent, "agent"));
}

}  // namespace
}  // namespace lares
