#include "sched/next_use.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/text.h"
#include "sched/ladder.h"

namespace lares::sched {
namespace {

SteadyTime at_s(double seconds) {
  return SteadyTime{
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds))};
}
constexpr milliseconds kMinute{60'000};

TEST(NextUse, AModelThatWasNeverUsedHasNoChance) {
  NextUse next_use;
  EXPECT_EQ(next_use.chance("a", at_s(1), kMinute), 0);
  next_use.used("chat", "b", at_s(1));
  EXPECT_EQ(next_use.worth("a", at_s(2)), 0);
}

TEST(NextUse, OfModelsSeenOnceTheLastOneIsWorthMost) {
  NextUse next_use;
  const char* apps[] = {"x", "y", "z"};
  const char* models[] = {"a", "b", "c"};
  for (size_t i = 0; i < 3; i++) next_use.used(apps[i], models[i], at_s(100.0 * double(i)));
  EXPECT_LT(next_use.worth("a", at_s(300)), next_use.worth("b", at_s(300)));
  EXPECT_LT(next_use.worth("b", at_s(300)), next_use.worth("c", at_s(300)));
}

TEST(NextUse, WhatFollowsIsLearntForEachApp) {
  NextUse next_use;
  double s = 0;
  for (int i = 0; i < 20; i++) {
    next_use.used("chat", "a", at_s(s += 30));
    next_use.used("chat", "b", at_s(s += 30));
    next_use.used("chat", "c", at_s(s += 30));
  }
  next_use.used("chat", "a", at_s(s += 30));
  const auto soon = [&](const char* model) {
    return next_use.chance(model, at_s(s + 5), milliseconds(40'000));
  };
  EXPECT_GT(soon("b"), 0.7);
  EXPECT_LT(soon("c"), 0.5);
  EXPECT_LT(soon("a"), 0.3);
}

TEST(NextUse, AHabitIsWorthLittleAfterItsUseAndMuchBeforeTheNext) {
  NextUse next_use;
  for (int hour = 0; hour < 12; hour++) next_use.used("digest", "a", at_s(3600.0 * hour));
  const double just_after = next_use.chance("a", at_s(3600.0 * 11 + 120), 5 * kMinute);
  const double before = next_use.chance("a", at_s(3600.0 * 12 - 120), 30 * kMinute);
  EXPECT_LT(just_after, 0.1);
  EXPECT_GT(before, 0.5);
}

TEST(NextUse, ChancesAreBetweenZeroAndOneAndGrowWithTheHorizon) {
  std::mt19937_64 random(7);
  NextUse next_use;
  double s = 0;
  for (int i = 0; i < 3'000; i++) {
    s += static_cast<double>(random() % 1'000);
    next_use.used(cat("app", random() % 5), cat("m", random() % 9), at_s(s));
    const std::string model = cat("m", random() % 9);
    const SteadyTime then = at_s(s + static_cast<double>(random() % 100'000));
    double before = 0;
    for (const milliseconds horizon : NextUse::kHorizons) {
      const double chance = next_use.chance(model, then, horizon);
      ASSERT_GE(chance, before - 1e-12);
      ASSERT_LE(chance, 1);
      before = chance;
    }
  }
}

TEST(NextUse, TheSameFactsGiveTheSameNumbers) {
  NextUse one, two;
  for (NextUse* each : {&one, &two}) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 500; i++)
      each->used(cat("app", random() % 3), cat("m", random() % 5), at_s(i * 10.0));
  }
  EXPECT_EQ(one.worth("m1", at_s(5'001)), two.worth("m1", at_s(5'001)));
}

TEST(NextUse, StaysBoundedAndForgetsTheOldestFirst) {
  NextUse next_use;
  for (size_t i = 0; i < 3 * NextUse::kAppsMax; i++)
    next_use.used(cat("app", i), cat("m", i), at_s(double(i)));
  EXPECT_EQ(next_use.apps(), NextUse::kAppsMax);
  EXPECT_EQ(next_use.worth("m0", at_s(300)), 0);
  EXPECT_GT(next_use.worth(cat("m", 3 * NextUse::kAppsMax - 1), at_s(300)), 0);

  NextUse of_one;
  for (size_t i = 0; i < 3 * NextUse::kModelsMax; i++)
    of_one.used("x", cat("m", i), at_s(double(i)));
  EXPECT_EQ(of_one.worth("m0", at_s(300)), 0);
  EXPECT_GT(of_one.worth(cat("m", 2 * NextUse::kModelsMax), at_s(300)), 0);
}

TEST(NextUse, NamesOfAnyLengthAreTaken) {
  NextUse next_use;
  const std::string long_name(1'000'000, 'x');
  next_use.used(long_name, "a", at_s(1));
  next_use.used(long_name + "y", "b", at_s(2));
  EXPECT_EQ(next_use.apps(), 1U);  // cut, they are one
  next_use.used("", "a", at_s(3));
  EXPECT_EQ(next_use.apps(), 2U);
}

TEST(NextUse, TimeThatStandsStillOrGoesBackBreaksNothing) {
  NextUse next_use;
  for (int i = 0; i < 10; i++) next_use.used("x", "a", at_s(5));
  next_use.used("x", "a", at_s(1));
  const double chance = next_use.chance("a", at_s(0), kMinute);
  EXPECT_GE(chance, 0);
  EXPECT_LE(chance, 1);
}

TEST(NextUse, WhatIsForgottenIsForgottenEverywhere) {
  NextUse next_use;
  for (int i = 0; i < 10; i++) {
    next_use.used("x", "a", at_s(i * 20));
    next_use.used("x", "b", at_s(i * 20 + 10));
  }
  next_use.forget("b");
  EXPECT_EQ(next_use.worth("b", at_s(201)), 0);
  EXPECT_GT(next_use.worth("a", at_s(201)), 0);
  next_use.used("x", "a", at_s(210));
}

// --- against the least recently used, over seeded traces

struct Ask {
  double s;
  const char* app;
  size_t model;
};
struct Trace {
  const char* name;
  double of_lru_max;  // milliseconds spent climbing, of what LRU spends
  std::vector<Ask> asks = {};
  std::vector<uint64_t> mib = {};
  std::vector<double> ms = {};
  uint64_t budget_mib = 300;
};

double by_ladder(const Trace& trace) {
  NextUse next_use;
  Ladder ladder(MiB(trace.budget_mib), next_use);
  for (size_t i = 0; i < trace.mib.size(); i++) {
    const Bytes size = MiB(trace.mib[i]);
    EXPECT_TRUE(ladder.know(cat("m", i), {{}, size, size, 0, trace.ms[i], 0}));
  }
  double sum = 0;
  for (const Ask& ask : trace.asks) {
    const SteadyTime now = at_s(ask.s);
    const ModelId model = cat("m", ask.model);
    next_use.used(ask.app, model, now);
    auto plan = ladder.plan(model, Rung::Hot, now);
    EXPECT_TRUE(plan);
    if (!plan) return 1e18;
    sum += plan->climb_ms;
    EXPECT_TRUE(ladder.adopt(*plan));
    for (const auto& step : plan->descents) ladder.arrived(step.model, step.to);
    for (const auto& step : ladder.begin().climbs) ladder.arrived(step.model, step.to);
    EXPECT_TRUE(ladder.pin(model, now));
  }
  return sum;
}

double by_lru(const Trace& trace) {
  std::vector<size_t> resident;  // least recently used first
  uint64_t used = 0;
  double sum = 0;
  for (const Ask& ask : trace.asks) {
    if (std::erase(resident, ask.model) == 0) {
      sum += trace.ms[ask.model];
      used += trace.mib[ask.model];
    }
    resident.push_back(ask.model);
    while (used > trace.budget_mib) {
      used -= trace.mib[resident.front()];
      resident.erase(resident.begin());
    }
  }
  return sum;
}

class Traces {
 public:
  explicit Traces(uint64_t seed) : random_(seed) {}

  std::vector<Trace> all() {
    return {loop(),   two_apps(), scans(),  habits(), uniform(),
            skewed(), phases(),   sticky(), sizes()};
  }

 private:
  double uniform_number() { return static_cast<double>(random_() >> 11) / 9007199254740992.0; }
  double about(double mean) { return -mean * std::log(1 - uniform_number()); }
  size_t any(size_t of) { return random_() % of; }
  static Trace equal(const char* name, double of_lru_max, size_t models) {
    Trace trace{name, of_lru_max};
    trace.mib.assign(models, 100);
    trace.ms.assign(models, 1'000);
    return trace;
  }
  static void sort(Trace& trace) {
    std::sort(trace.asks.begin(), trace.asks.end(),
              [](const Ask& a, const Ask& b) { return a.s < b.s; });
  }

  Trace loop() {
    Trace trace = equal("a loop of four, room for three", 0.45, 4);
    double s = 0;
    for (size_t i = 0; i < 2'000; i++) trace.asks.push_back({s += about(30), "x", i % 4});
    return trace;
  }
  Trace two_apps() {
    Trace trace = equal("two apps that alternate", 0.70, 5);
    double chat = 0, mail = 0;
    for (size_t i = 0; i < 1'000; i++) {
      trace.asks.push_back({chat += 20 + about(20), "chat", i % 2});
      trace.asks.push_back({mail += 20 + about(20), "mail", 2 + i % 3});
    }
    sort(trace);
    return trace;
  }
  Trace scans() {
    Trace trace = equal("two in use and scans of six", 0.85, 50);
    double s = 0;
    size_t scanned = 0;
    while (trace.asks.size() < 2'000) {
      for (int i = 0; i < 20; i++) trace.asks.push_back({s += about(30), "chat", any(2)});
      for (int i = 0; i < 6; i++)
        trace.asks.push_back({s += about(5), "compare", 2 + scanned++ % 48});
    }
    return trace;
  }
  Trace habits() {
    Trace trace = equal("two each hour beside others", 0.85, 7);
    for (int h = 0; h < 300; h++) {
      const double hour = h * 3600.0;
      trace.asks.push_back({hour + about(5), "digest", 2});
      trace.asks.push_back({hour + 60 + about(5), "digest", 3});
      for (double s = hour + 120; (s += about(400)) < hour + 3600;)
        trace.asks.push_back({s, "chat", any(4) == 0 ? 1U : 0U});
      for (double s = hour; (s += about(2'500)) < hour + 3600;)
        trace.asks.push_back({s, "other", 4 + any(3)});
    }
    sort(trace);
    return trace;
  }
  Trace uniform() {
    Trace trace = equal("any of six, all alike", 1.05, 6);
    double s = 0;
    for (int i = 0; i < 2'000; i++) trace.asks.push_back({s += about(60), "x", any(6)});
    return trace;
  }
  Trace skewed() {
    Trace trace = equal("any of ten, some more often", 0.95, 10);
    double s = 0;
    for (int i = 0; i < 2'000; i++) {
      const auto model = static_cast<size_t>(std::pow(10, uniform_number())) - 1;
      trace.asks.push_back({s += about(60), "x", std::min<size_t>(model, 9)});
    }
    return trace;
  }
  Trace phases() {
    Trace trace = equal("others every fifty minutes", 1.10, 9);
    double s = 0;
    for (size_t i = 0; i < 2'000; i++)
      trace.asks.push_back({s += about(30), "x", (i / 100 * 3 + any(4)) % 9});
    return trace;
  }
  // What LRU is made for: nothing counts but the order of the last uses.
  Trace sticky() {
    Trace trace = equal("one of the last few", 1.15, 8);
    std::vector<size_t> last = {0, 1, 2, 3, 4, 5, 6, 7};
    double s = 0;
    for (int i = 0; i < 2'000; i++) {
      const auto place = static_cast<std::ptrdiff_t>(std::min(7.0, about(1.6)));
      std::rotate(last.begin(), last.begin() + place, last.begin() + place + 1);
      trace.asks.push_back({s += about(60), "x", last.front()});
    }
    return trace;
  }
  Trace sizes() {
    Trace trace{"large and small, dear and cheap", 0.90};
    trace.mib = {100, 400, 150, 300, 50, 200};
    trace.ms = {800, 900, 150, 2'500, 700, 100};
    trace.budget_mib = 600;
    double s = 0;
    for (int i = 0; i < 2'000; i++) trace.asks.push_back({s += about(60), "x", any(6)});
    return trace;
  }

  std::mt19937_64 random_;
};

TEST(NextUse, SpendsNeverMuchMoreThanLruAndLessWhereThereIsStructure) {
  for (const uint64_t seed : {1, 2, 3}) {
    for (const Trace& trace : Traces(seed).all()) {
      const double ladder = by_ladder(trace);
      const double lru = by_lru(trace);
      RecordProperty(cat(trace.name, ", seed ", seed), cat(ladder / lru));
      std::printf("%-34s seed %d: %5.0f s of climbs, LRU %5.0f s: %.2f\n", trace.name,
                  static_cast<int>(seed), ladder / 1'000, lru / 1'000, ladder / lru);
      EXPECT_LE(ladder, lru * trace.of_lru_max) << trace.name << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace lares::sched
