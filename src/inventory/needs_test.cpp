#include "inventory/needs.h"

#include <gtest/gtest.h>

#include "wire/message.h"

namespace lares::inventory {
namespace {

Model small(Json info) {
  Model model;
  model.id = "m";
  model.size = MiB(100);
  model.info = std::move(info);
  return model;
}

TEST(Needs, WithNothingKnownTheEstimateIsGenerous) {
  EXPECT_GE(needs(small(Json::object()), {}), MiB(300));
}

TEST(Needs, TheStateGrowsWithTheContextUpToALimit) {
  const Json info = {{"layers", 30u},
                     {"embedding_length", 576u},
                     {"context_train", 32768u},
                     {"vocabulary", 49152u}};
  const Bytes whole = needs(small(info), {});
  EXPECT_EQ(whole, needs(small(info), {.context = wire::kContextMax}));
  EXPECT_GT(whole, needs(small(info), {.context = 512}));
  EXPECT_GT(whole, MiB(600));  // 30 * 576 * 4 B * 8192 of state alone are 540 MiB
}

TEST(Needs, WhatWasMeasuredForTheSameOptionsIsBelieved) {
  const Shape shape{.context = 1024};
  const Json info = with_measured(Json::object(), shape, MiB(250));
  EXPECT_EQ(needs(small(info), shape), MiB(250) + kProcess);
  EXPECT_NE(needs(small(info), {.context = 2048}), MiB(250) + kProcess);
}

TEST(Needs, AWorkerCannotClaimLessThanItsFile) {
  const Json info = with_measured(Json::object(), {}, MiB(1));
  EXPECT_EQ(needs(small(info), {}), MiB(100) + kProcess);
}

TEST(Needs, AbsurdNumbersMakeAnAbsurdSizeNotASmallOne) {
  for (const uint64_t absurd : {UINT64_MAX, uint64_t{1} << 40, uint64_t{1} << 62}) {
    const Json info = {{"layers", absurd}, {"embedding_length", absurd}, {"vocabulary", absurd}};
    EXPECT_GT(needs(small(info), {}), GiB(1024));
  }
  const Json info = {{"layers", -1}, {"embedding_length", "wide"}};
  EXPECT_GE(needs(small(info), {}), MiB(300));
}

}  // namespace
}  // namespace lares::inventory
