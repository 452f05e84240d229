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

TEST(Needs, ToDraftItNeedsNoProcessAndNothingOfWhatRests) {
  const Shape shape{.context = 1024};
  Json info = with_measured(Json::object(), shape, MiB(250));
  EXPECT_EQ(needs_to_draft(small(info), shape), MiB(250));
  info["memory"] = {{"weights_bytes", MiB(100).n},
                    {"state_bytes", MiB(60).n},
                    {"parked_bytes", MiB(60).n},
                    {"compute_bytes", MiB(30).n}};
  EXPECT_EQ(needs_to_draft(small(info), shape), MiB(190));
  EXPECT_GE(needs_to_draft(small(Json::object()), shape), MiB(100));
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

// What the head of a model with shared heads and a window says.
Json worked() {
  return {{"layers", 12u},
          {"embedding_length", 640u},
          {"context_train", 32768u},
          {"vocabulary", 10'000u},
          {"sliding_window", 512u},
          {"work",
           {{"heads", 4u},
            {"head_size", 256u},
            {"feed_forward", 2048u},
            {"state_bytes_per_token", 2'000u},
            {"window_state_bytes_per_token", 10'000u}}}};
}

TEST(Needs, TheStateIsCountedToTheByte) {
  const Shape shape{.context = 8192, .sequences = 4, .batch = 512};
  const auto parts = estimate(small(worked()), shape);
  ASSERT_TRUE(parts);
  // those behind the window keep it for each conversation, and what one step brings; and all of it
  // once more for conversations that rest
  EXPECT_EQ(parts->state, Bytes{uint64_t{2} * (2'000 * 8192 + 10'000 * (512 * 4 + 512))});
  EXPECT_EQ(parts->weights, MiB(100));
  EXPECT_GE(needs(small(worked()), shape), parts->total());
  EXPECT_LT(needs(small(worked()), shape).n, parts->total().n * 11 / 10);
}

TEST(Needs, AWindowThatIsLargerThanTheContextCostsNoMore) {
  const Shape shape{.context = 1024, .sequences = 8, .batch = 512};
  EXPECT_EQ(estimate(small(worked()), shape)->state, Bytes{uint64_t{2} * 12'000 * 1024});
}

TEST(Needs, WhatOnlyLooksKeepsNoState) {
  Model embedder = small(worked());
  embedder.use = Use::Embedding;
  EXPECT_EQ(estimate(embedder, {})->state, Bytes{0});
}

TEST(Needs, ThePartsThatWereMeasuredAreTold) {
  const Shape shape{.context = 1024};
  Json info = with_measured(worked(), shape, MiB(200));
  EXPECT_FALSE(measured(small(info), shape)) << "a worker of an earlier version told no parts";
  info["memory"] = {{"weights_bytes", MiB(120).n},
                    {"state_bytes", MiB(30).n},
                    {"parked_bytes", MiB(30).n},
                    {"compute_bytes", MiB(20).n}};
  const auto parts = measured(small(info), shape);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->total(), MiB(200) + kProcess);
  EXPECT_FALSE(measured(small(info), {.context = 2048})) << "with other options";
}

TEST(Needs, WhatTheEngineCopiesIsCounted) {
  Json info = worked();
  info["work"]["weights"] = {{{"type", "Q4_K"}, {"bytes", MiB(90).n}, {"decode_bytes", MiB(80).n}}};
  info["work"]["looked_up_bytes"] = MiB(20).n;
  const auto speeds = Speeds::from(
      {{"threads", 2u},
       {"types",
        {{"Q4_K",
          {{"decode_bytes_per_s", 1e9}, {"prefill_values_per_s", 1e9}, {"copied", 1.5}}}}}});
  ASSERT_TRUE(speeds);
  EXPECT_EQ(estimate(small(info), {})->weights, MiB(100));
  EXPECT_EQ(estimate(small(info), {}, &*speeds)->weights, MiB(100 + 120));
  // a dry run of the file knows better
  info["dry_run"] = {{"copied_bytes", MiB(110).n}};
  EXPECT_EQ(estimate(small(info), {}, &*speeds)->weights, MiB(20 + 110));
  info["dry_run"] = {{"copied_bytes", 0u}};
  EXPECT_EQ(estimate(small(info), {}, &*speeds)->weights, MiB(100));
}

TEST(Needs, AbsurdWorkMakesAnAbsurdSizeNotASmallOne) {
  for (const char* field : {"state_bytes_per_token", "feed_forward"}) {
    Json info = worked();
    info["work"][field] = UINT64_MAX;
    EXPECT_GT(needs(small(info), {}), GiB(1024)) << field;
  }
}

}  // namespace
}  // namespace lares::inventory
