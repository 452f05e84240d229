#include "app/draft_models.h"

#include <gtest/gtest.h>

namespace lares::app {
namespace {

TEST(DraftModels, IsForAllOrByModel) {
  EXPECT_EQ(parse_draft_models("")->of("any"), "");
  EXPECT_EQ(parse_draft_models("small")->of("any"), "small");
  const auto both = parse_draft_models(" large=tiny  small other= same=same");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->of("large"), "tiny");
  EXPECT_EQ(both->of("other"), "");
  EXPECT_EQ(both->of("any"), "small");
  EXPECT_EQ(both->of("small"), "") << "nothing drafts for itself";
  EXPECT_EQ(both->of("same"), "same") << "unless it was named so";
}

TEST(DraftModels, WhatIsWrongIsNamed) {
  for (const auto& [text, word] : {std::pair{"=small", "=small"},
                                   {"a=b=c", "a=b=c"},
                                   {"one two", "two"},
                                   {"a=b a=c", "a=c"}}) {
    const auto read = parse_draft_models(text);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().message.find(std::string("'") + word + "'"), std::string::npos)
        << read.error().message;
  }
}

}  // namespace
}  // namespace lares::app
