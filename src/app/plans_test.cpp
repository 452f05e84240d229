// Core's answers about models before they are loaded.
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>

#include "app/testing/fake_house.h"

namespace lares::app {
namespace {

using testing::House;

Json ask(House& house, const std::string& question, const Json& arguments) {
  auto answer = house.ask(question, arguments);
  return answer ? *std::move(answer) : Json(answer.error().message);
}

TEST(Plans, SaysWhatAModelNeedsAndWhoWouldLeave) {
  House house({{"alpha", MiB(300)}, {"beta", MiB(300)}}, MiB(500), /*preload=*/true);
  house.load("alpha");
  Json plan = ask(house, "plan", {{"name", "beta"}});
  EXPECT_EQ(plan["model"], "beta");
  EXPECT_TRUE(plan["fits"].get<bool>());
  EXPECT_EQ(plan["would_evict"], Json({"alpha"}));
  EXPECT_EQ(plan["needs_bytes"], MiB(300).n);
  EXPECT_EQ(plan["budget_bytes"], MiB(500).n);
  EXPECT_TRUE(plan["predicted"].is_null()) << "a file that says nothing, a machine not measured";
  plan = ask(house, "plan", {{"name", "alpha"}});
  EXPECT_TRUE(plan["in_memory"].get<bool>());
  EXPECT_TRUE(plan["would_evict"].empty());
}

TEST(Plans, WhatIsTooLargeDoesNotFit) {
  House house({{"alpha", MiB(600)}}, MiB(500));
  const Json plan = ask(house, "plan", {{"name", "alpha"}});
  EXPECT_FALSE(plan["fits"].get<bool>());
  EXPECT_FALSE(plan["room_now"].get<bool>());
}

TEST(Plans, OfAnUnknownModelIsNotFound) {
  House house({{"alpha", MiB(300)}}, MiB(500));
  EXPECT_NE(ask(house, "plan", {{"name", "nothing"}}).get<std::string>().find("no model 'nothing'"),
            std::string::npos);
}

TEST(Plans, TheCatalogueGoesByTheBudget) {
  House house({{"alpha", MiB(300)}}, GiB(4));
  const Json all = ask(house, "catalogue", Json::object());
  ASSERT_GE(all.size(), 15u);
  EXPECT_TRUE(all.front()["fits"].get<bool>());
  EXPECT_TRUE(all.front()["recommended"].get<bool>());
  EXPECT_FALSE(all.back()["fits"].get<bool>());
  const Json some = ask(house, "catalogue", {{"query", "gemma"}});
  EXPECT_LT(some.size(), all.size());
  for (const Json& one : some) EXPECT_EQ(one["family"], "Gemma");
}

TEST(Plans, TheCatalogueWaitsUntilTheEngineIsChosenAndMeasured) {
  House house({}, GiB(64), /*preload=*/false, 8, {}, House::Engine::Later);
  house.speeds = {
      {"threads", 2u},
      {"node_us", 1.0},
      {"logit_ns", 0.5},
      {"types",
       {{"Q4_K",
         {{"decode_bytes_per_s", 1e10}, {"prefill_values_per_s", 1e11}, {"copied", 0.5}}}}}};
  // as the daemon does when it starts
  ASSERT_TRUE(house.slow.post([&] { house.loop.post_end([&] { house.choose_engine(); }); }));
  const Json all = ask(house, "catalogue", {{"query", "q4_k_m"}});
  ASSERT_FALSE(all.empty());
  for (const Json& one : all) EXPECT_FALSE(one["predicted"].is_null()) << one["id"];
  EXPECT_GT(all.front()["read"].size(), 1u);
}

TEST(Plans, SpeedsMeasuredBesideOtherProgramsHoldForAWhileOnly) {
  House house({}, GiB(64));
  const auto measured = [](double rate) {
    return Json{
        {"threads", 2u},
        {"node_us", 1.0},
        {"logit_ns", 0.5},
        {"types",
         {{"Q4_K",
           {{"decode_bytes_per_s", rate}, {"prefill_values_per_s", 1e11}, {"copied", 0.5}}}}}};
  };
  const auto rate = [&] {
    const Json all = ask(house, "catalogue", {{"query", "q4_k_m"}});
    return all.front()["predicted"]["tokens_per_s"].get<double>();
  };
  house.speeds = measured(1e9);
  house.speeds["passing"] = true;
  const double slow = rate();
  house.speeds = measured(1e10);
  EXPECT_EQ(rate(), slow);
  house.clock.advance(std::chrono::minutes(6));
  const double quick = rate();
  EXPECT_GT(quick, slow * 2);
  house.speeds = measured(1e9);
  house.clock.advance(std::chrono::hours(24));
  EXPECT_EQ(rate(), quick) << "on a quiet machine it is measured once";
}

TEST(Plans, WhoAsksDoesNotWaitForSpeedsThatTakeLongToMeasure) {
  House house({{"alpha", MiB(300)}}, MiB(500));
  house.speeds = {{"threads", 2u}, {"types", Json::object()}};
  std::atomic<int> measured = 0;
  std::counting_semaphore<8> go(0);
  house.measuring = [&] {
    measured++;
    go.acquire();
  };
  int answers = 0;
  const auto ask = [&] {
    house.core->ask("plan", {{"name", "alpha"}}, [&](const Result<Json>& plan) {
      EXPECT_TRUE(plan);
      answers++;
    });
    house.settle();
  };
  ask();
  house.advance(Core::kSpeedsWaitMax - milliseconds(1));
  EXPECT_EQ(answers, 0);
  house.advance(milliseconds(1));
  EXPECT_EQ(answers, 1);
  ask();  // who comes later waits for the same measuring
  ask();
  EXPECT_EQ(answers, 1);
  go.release(8);
  for (int i = 0; i < 10'000'000 && answers < 3; i++) house.settle();
  EXPECT_EQ(measured, 1);
  house.advance(Core::kSpeedsWaitMax);
  EXPECT_EQ(answers, 3) << "each is answered once";
}

TEST(Plans, TheCatalogueHasTheSizeOfAFileThatIsHere) {
  House house({{"llama-3.2-1b-instruct-q4_0", MiB(300)}}, GiB(4));
  const Json all = ask(house, "catalogue", {{"query", "llama-3.2-1b-instruct-q4_0"}});
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all.front()["have"].get<bool>());
  EXPECT_EQ(all.front()["size_bytes"], 8u) << "of the test's file";
}

TEST(Plans, TakesNamesOfTheCatalogueToo) {
  House house({{"alpha", MiB(300)}}, GiB(64));
  const Json all = ask(house, "catalogue", Json::object());
  const Json plan = ask(house, "plan", {{"name", all.front()["id"]}});
  EXPECT_EQ(plan["model"], all.front()["id"]);
  EXPECT_EQ(plan["needs_bytes"], all.front()["needs_bytes"]);
  EXPECT_FALSE(plan["in_memory"].get<bool>());
  EXPECT_GT(plan["weights_bytes"].get<uint64_t>(), all.front()["size_bytes"].get<uint64_t>());
}

}  // namespace
}  // namespace lares::app
