#include "engine/logits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace lares::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_values(size_t size, uint32_t seed, int kinds = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 5);
  std::vector<float> values(size);
  for (float& value : values) value = normal(random);
  if (kinds > 0) {
    for (float& value : values) value = static_cast<float>(static_cast<int>(value) % kinds);
  }
  return values;
}

TEST(Logits, TheFirstOfTheLargestIsFound) {
  Logits logits;
  for (const size_t size : {1U, 15U, 1024U, 1025U, 4095U, 49'152U, 50'001U}) {
    for (uint32_t seed = 0; seed < 20; seed++) {
      const auto values = random_values(size, seed, seed % 2 == 0 ? 0 : 7);
      const auto best = std::max_element(values.begin(), values.end());
      const Greatest found = logits.read(values);
      EXPECT_EQ(found.value, *best);
      EXPECT_EQ(found.at, static_cast<size_t>(best - values.begin())) << size << " " << seed;
      EXPECT_TRUE(found.all_numbers);
    }
  }
}

TEST(Logits, WhatIsNoNumberIsSeenWhereverItIs) {
  Logits logits;
  for (const size_t size : {7U, 1024U, 3000U}) {
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      for (const float bad : {kNan, INFINITY, -kNan}) {
        auto values = random_values(size, 1);
        values[at] = bad;
        EXPECT_FALSE(logits.read(values).all_numbers) << size << " " << at << " " << bad;
      }
    }
  }
  std::vector<float> none(3000, -INFINITY);
  const Greatest found = logits.read(none);
  EXPECT_TRUE(found.all_numbers);
  EXPECT_EQ(found.value, -INFINITY);
  none[2999] = -1;
  EXPECT_EQ(logits.read(none).at, 2999U);
}

TEST(Logits, NoneOfTheLargestIsLeftOut) {
  Logits logits;
  for (const size_t size : {10U, 1024U, 2000U, 20'000U, 50'001U}) {
    for (const size_t count : {1U, 40U, 128U}) {
      for (uint32_t seed = 0; seed < 10; seed++) {
        const auto values = random_values(size, seed, seed % 2 == 0 ? 0 : 9);
        logits.read(values);
        std::vector<float> found;
        std::vector<size_t> places = logits.largest(count);
        for (const size_t at : places) found.push_back(values[at]);
        std::sort(places.begin(), places.end());
        EXPECT_EQ(std::unique(places.begin(), places.end()), places.end());
        std::sort(found.rbegin(), found.rend());
        auto expected = values;
        std::sort(expected.rbegin(), expected.rend());
        const size_t n = std::min(count, size);
        ASSERT_GE(found.size(), n);
        EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(n),
                               found.begin()))
            << size << " " << count << " " << seed;
      }
    }
  }
}

TEST(Logits, FewBesideTheLargestAreGiven) {
  const auto values = random_values(50'000, 3);
  Logits logits;
  logits.read(values);
  EXPECT_LT(logits.largest(40).size(), 80U);
  const std::vector<float> same(50'000, 1);  // all are the largest
  logits.read(same);
  EXPECT_EQ(logits.largest(40).size(), same.size());
}

}  // namespace
}  // namespace lares::engine
