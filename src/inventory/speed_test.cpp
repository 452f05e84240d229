#include "inventory/speed.h"

#include <gtest/gtest.h>

namespace lares::inventory {
namespace {

Json machine() {
  return {{"threads", 2u},
          {"node_us", 2.0},
          {"logit_ns", 1.0},
          {"types",
           {{"Q4_K", {{"decode_bytes_per_s", 1e10}, {"prefill_values_per_s", 1e11}}},
            {"Q8_0", {{"decode_bytes_per_s", 2e10}, {"prefill_values_per_s", 2e11}}}}},
          {"attention", {{"decode_bytes_per_s", 1e10}, {"prefill_values_per_s", 1e10}}}};
}
Json model() {
  return {{"layers", 10u},
          {"vocabulary", 1'000u},
          {"work",
           {{"heads", 8u},
            {"head_size", 64u},
            {"state_bytes_per_token", 10'000u},
            {"weights",
             {{{"type", "Q4_K"},
               {"decode_bytes", 1'000'000'000u},
               {"prefill_values", 2'000'000'000u}}}},
            {"logit_type", "Q4_K"},
            {"logit_bytes", 0u}}}};
}

TEST(Speed, ATokenTakesTheTimeOfItsBytes) {
  const auto rates = predicted_rates(model(), *Speeds::from(machine()));
  ASSERT_TRUE(rates);
  // 100 ms for the bytes; steps, logits and attention are a hundredth of that
  EXPECT_NEAR(rates->tokens_per_s, 10, 0.15);
  // 512 tokens: 2e9 * 512 / 1e11 = 10.24 s and half a second of attention
  EXPECT_NEAR(rates->prompt_tokens_per_s, 512 / 10.5, 1);
}

TEST(Speed, EachPackingHasItsOwnRateAndAnUnknownOneTheSlowest) {
  Json eight = model();
  eight["work"]["weights"][0]["type"] = "Q8_0";
  const Speeds speeds = *Speeds::from(machine());
  EXPECT_GT(predicted_rates(eight, speeds)->tokens_per_s,
            1.8 * predicted_rates(model(), speeds)->tokens_per_s);
  Json other = model();
  other["work"]["weights"][0]["type"] = "IQ1_S";
  EXPECT_DOUBLE_EQ(predicted_rates(other, speeds)->tokens_per_s,
                   predicted_rates(model(), speeds)->tokens_per_s);
}

TEST(Speed, WhatSaysTooLittlePredictsNothing) {
  const Speeds speeds = *Speeds::from(machine());
  EXPECT_FALSE(predicted_rates(Json::object(), speeds));
  EXPECT_FALSE(predicted_rates({{"work", "much"}}, speeds));
  EXPECT_FALSE(predicted_rates({{"work", {{"weights", {7}}}}}, speeds));
  EXPECT_FALSE(predicted_rates({{"work", {{"weights", Json::array()}}}}, speeds));
}

TEST(Speed, AMeasurementThatMakesNoSenseIsNone) {
  EXPECT_FALSE(Speeds::from(nullptr));
  EXPECT_FALSE(Speeds::from(Json::object()));
  EXPECT_FALSE(
      Speeds::from({{"threads", 2u}, {"types", {{"Q4_K", {{"decode_bytes_per_s", -1}}}}}}));
  Json without_threads = machine();
  without_threads.erase("threads");
  EXPECT_FALSE(Speeds::from(without_threads));
  EXPECT_TRUE(Speeds::from(machine()));
}

TEST(Speed, BySizeItFallsAsTheBytesRise) {
  EXPECT_DOUBLE_EQ(rate_by_size(100, MiB(100), MiB(1000)), 10);
  EXPECT_EQ(rate_by_size(0, MiB(100), MiB(1000)), 0);
  EXPECT_EQ(rate_by_size(100, Bytes{0}, MiB(1000)), 0);
  EXPECT_EQ(rate_by_size(100, MiB(1), Bytes{0}), 0);
}

}  // namespace
}  // namespace lares::inventory
