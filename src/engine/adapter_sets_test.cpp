#include "engine/adapter_sets.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

TEST(AdapterSets, ASetHasOneNumberAndNoneHasNone) {
  AdapterSets sets;
  EXPECT_EQ(sets.number_of({}), 0U);
  const uint64_t one = sets.number_of({{0, 1}});
  const uint64_t stronger = sets.number_of({{0, 2}});
  const uint64_t both = sets.number_of({{0, 1}, {1, 1}});
  EXPECT_NE(one, 0U);
  EXPECT_NE(one, stronger);
  EXPECT_NE(one, both);
  EXPECT_EQ(sets.number_of({{0, 1}}), one);
  EXPECT_EQ(sets.number_of({{0, 1}, {1, 1}}), both);
}

TEST(AdapterSets, AForgottenSetNeverGetsItsOldNumber) {
  AdapterSets sets;
  const uint64_t first = sets.number_of({{0, 1}});
  for (size_t i = 0; i < kAdapterSetsMax; i++) {
    sets.number_of({{0, 2 + static_cast<float>(i)}});
  }
  EXPECT_GT(sets.number_of({{0, 1}}), first + kAdapterSetsMax);
}

// --- as the batcher computes with them. The fake refuses a step whose cells were filled with other
// adapters, and ends an answer with the first adapter's number.

wire::Load with_adapters(Tokens context = 512) {
  return {.context = context, .sequences = 4, .batch = 64, .adapters = {"one", "two", "broken"}};
}
Json lora(std::initializer_list<std::pair<const char*, double>> adapters) {
  Json list = Json::array();
  for (const auto& [id, scale] : adapters) list.push_back({{"id", id}, {"scale", scale}});
  return {{"lora", std::move(list)}};
}

TEST(AdapterSets, TwoServedAtOnceGiveWhatEachGivesAlone) {
  testing::Talk t({}, with_adapters());
  const std::string order = "repeat: " + std::string(100, 'x');
  t.complete(1, order, lora({{"one", 1}}));
  t.complete(2, order, lora({{"two", 1}}));
  t.complete(3, order);
  t.complete(4, order, lora({{"one", 1}}));
  ASSERT_TRUE(t.run());
  for (uint64_t id = 1; id <= 4; id++) ASSERT_TRUE(t[id].done) << id << t[id].failed->message;
  EXPECT_EQ(t[1].text, std::string(100, 'x') + " 1");
  EXPECT_EQ(t[2].text, std::string(100, 'x') + " 2");
  EXPECT_EQ(t[3].text, std::string(100, 'x'));
  EXPECT_EQ(t[4].text, t[1].text);
}

TEST(AdapterSets, WhatWasComputedWithOneIsNoBeginningForAnother) {
  testing::Talk t({{"parked", "64KiB"}}, with_adapters());
  const std::string order = "repeat: " + std::string(100, 'x');
  const auto reused = [&](uint64_t id, Json more) {
    t.complete(id, order, std::move(more));
    EXPECT_TRUE(t.run());
    EXPECT_TRUE(t[id].done) << id << ": " << t[id].failed->message;
    return t[id].started->reused_tokens;
  };
  EXPECT_EQ(reused(1, Json::object()), 0U);
  EXPECT_GT(reused(2, Json::object()), 90U);
  EXPECT_EQ(reused(3, lora({{"one", 1}})), 0U);
  EXPECT_GT(reused(4, lora({{"one", 1}})), 90U);
  EXPECT_EQ(reused(5, lora({{"one", 0.5}})), 0U);
  EXPECT_EQ(reused(6, lora({{"two", 1}})), 0U);
  EXPECT_EQ(reused(7, lora({{"one", 1}, {"two", 1}})), 0U);
  EXPECT_GT(reused(8, lora({{"two", 1}, {"one", 1}})), 90U);  // the same set
  EXPECT_GT(reused(9, lora({{"one", 0}})), 90U);              // none
}

// Parked and back, preempted and placed anew, with little room: nothing is ever mixed.
TEST(AdapterSets, NeverMixHoweverLittleRoomThereIs) {
  testing::Talk t({{"parked", "4KiB"}}, with_adapters(160));
  uint64_t id = 0;
  for (int round = 0; round < 12; round++) {
    for (const char* name : {"one", "two", ""}) {
      const std::string order = cat("repeat: ", std::string(20 + round * 4, 'y'));
      t.complete(++id, order, *name ? lora({{name, 1}}) : Json::object());
    }
    ASSERT_TRUE(t.run());
  }
  for (uint64_t i = 1; i <= id; i++) {
    ASSERT_TRUE(t[i].done) << i << ": " << t[i].failed->message;
    const std::string end = t[i].text.substr(t[i].text.find_last_of('y') + 1);
    EXPECT_EQ(end, i % 3 == 1 ? " 1" : i % 3 == 2 ? " 2" : "") << i;
  }
}

TEST(AdapterSets, OneThatCannotBeLoadedFailsItsRequestAlone) {
  testing::Talk t({}, with_adapters());
  t.complete(1, "repeat: a", lora({{"broken", 1}}));
  t.complete(2, "repeat: a", lora({{"one", 1}}));
  t.complete(3, "repeat: a", lora({{"nobody", 1}}));
  ASSERT_TRUE(t.run());
  EXPECT_EQ(t[1].failed->param, "lora");
  EXPECT_EQ(t[2].text, "a 1");
  EXPECT_EQ(t[3].failed->param, "lora");
}

}  // namespace
}  // namespace lares::engine
