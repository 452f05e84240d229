#include "engine/structure.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lares::engine {
namespace {

std::string wrong(Json must) {
  must["param"] = "p";
  const auto read = read_structure({{"must", std::move(must)}}, true);
  if (read) return "";
  EXPECT_EQ(read.error().code, Code::Invalid);
  EXPECT_EQ(read.error().param, "p");
  return read.error().message;
}

TEST(Structure, WhatIsEmptySaysNothingOfAnAnswer) {
  for (const char* kind : {"regex", "grammar", "schema"})
    EXPECT_EQ(wrong({{kind, ""}}),
              cat("'p' has an empty '", kind, "', which says nothing of an answer; leave it out"));
  EXPECT_EQ(wrong({{"regex", nullptr}, {"grammar", "root ::= \"a\""}}), "");
}

TEST(Structure, AChoiceIsNamedByItsPlace) {
  EXPECT_EQ(wrong({{"choice", {"a", ""}}}),
            "'p' has a choice (the 2. of them) that is empty; leave it out");
  EXPECT_EQ(wrong({{"choice", {"a", "b", 7}}}),
            "'p' has a choice (the 3. of them) that is not a string");
  EXPECT_EQ(wrong({{"choice", {"\xED\xA0\x80"}}}),
            "'p' has a choice (the 1. of them) that is not UTF-8");
  EXPECT_EQ(wrong({{"choice", std::vector<std::string>(2'000, "x")}}),
            "'p' has 2,000 choices, at most 1,000 are taken");
  EXPECT_EQ(wrong({{"choice", Json::array()}}), "'p' is not an array of 1 to 1000 strings");
}

TEST(Structure, TextsAreUtf8WithoutNull) {
  for (const char* kind : {"regex", "grammar", "schema"}) {
    EXPECT_EQ(wrong({{kind, "a\xED\xA0\x80"}}), cat("'p' has a '", kind, "' that is not UTF-8"));
    EXPECT_EQ(
        wrong({{kind, std::string("a\0b", 3)}}),
        cat("'p' has a '", kind, "' with the sign U+0000, which no grammar can hold; take it out"));
  }
}

}  // namespace
}  // namespace lares::engine
