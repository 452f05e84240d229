#include "app/thinking_max.h"

#include <gtest/gtest.h>

namespace lares::app {
namespace {

TEST(ThinkingMax, IsForAllOrByModel) {
  EXPECT_EQ(parse_thinking_max("")->of("any"), -1);
  EXPECT_EQ(parse_thinking_max("512")->of("any"), 512);
  const auto both = parse_thinking_max(" tiny=0  512 qwen3:4b=2048");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->of("tiny"), 0);
  EXPECT_EQ(both->of("qwen3:4b"), 2048);
  EXPECT_EQ(both->of("any"), 512);
  EXPECT_EQ(parse_thinking_max("auto tiny=5")->of("any"), wire::kThinkByQuestion);
  EXPECT_EQ(parse_thinking_max("5 tiny=auto")->of("tiny"), wire::kThinkByQuestion);
}

TEST(ThinkingMax, WhatIsWrongIsNamed) {
  for (const char* wrong :
       {"x", "-1", "=5", "tiny=", "tiny=x", "5k", "99999999999", "=auto", "autos"}) {
    const auto read = parse_thinking_max(wrong);
    ASSERT_FALSE(read) << wrong;
    EXPECT_NE(read.error().message.find(wrong), std::string::npos) << read.error().message;
  }
}

}  // namespace
}  // namespace lares::app
