#include "app/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace lares::app {
namespace {

TEST(Background, RunsTasksInTheirOrder) {
  std::string order;
  {
    Background background;
    for (char c = 'a'; c <= 'f'; c++) ASSERT_TRUE(background.post([&order, c] { order += c; }));
  }
  EXPECT_EQ(order, "abcdef");
}

TEST(Background, AFullQueueSaysNo) {
  Background background;
  std::latch busy(1);
  std::latch go(1);
  ASSERT_TRUE(background.post([&] {
    busy.count_down();
    go.wait();
  }));
  busy.wait();
  for (size_t i = 0; i < Background::kQueueMax; i++) ASSERT_TRUE(background.post([] {}));
  EXPECT_FALSE(background.post([] {}));
  go.count_down();
}

TEST(Background, AfterItsEndNothingIsTaken) {
  Background background;
  std::atomic<int> ran = 0;
  ASSERT_TRUE(background.post([&] { ran++; }));
  background.end();
  background.end();
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(background.post([&] { ran++; }));
}

}  // namespace
}  // namespace lares::app
