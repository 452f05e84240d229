#include "app/tool_fragments.h"

#include <gtest/gtest.h>

namespace lares::app {
namespace {

const std::set<std::string> kOffered = {"f", "g"};

Json fragment(int index, const char* id, const char* name, const char* arguments) {
  return {{"index", index}, {"id", id}, {"name", name}, {"arguments", arguments}};
}
bool passes(ToolFragments& fragments, Json list) {
  return static_cast<bool>(fragments.check(list, kOffered));
}

TEST(ToolFragments, CallsInTheirOrderPass) {
  ToolFragments fragments;
  EXPECT_TRUE(passes(fragments, Json()));
  EXPECT_TRUE(passes(fragments, Json::array({fragment(0, "a", "f", "{")})));
  EXPECT_TRUE(
      passes(fragments, Json::array({fragment(0, "", "", "}"), fragment(1, "b", "g", "")})));
  EXPECT_TRUE(passes(fragments, Json::array({fragment(1, "", "", "{}")})));
  EXPECT_EQ(fragments.calls(), 2U);
}

TEST(ToolFragments, WhatDoesNotFollowIsCorrupt) {
  for (const Json& wrong :
       {fragment(1, "a", "f", ""), fragment(0, "", "f", ""), fragment(0, "a", "", ""),
        fragment(0, "a", "h", ""), fragment(-1, "a", "f", ""), Json(7), Json::object(),
        fragment(0, std::string(300, 'x').c_str(), "f", "")}) {
    ToolFragments fragments;
    EXPECT_FALSE(passes(fragments, Json::array({wrong}))) << dump(wrong);
  }
  ToolFragments fragments;
  EXPECT_FALSE(passes(fragments, Json::array()));
  EXPECT_TRUE(passes(fragments, Json::array({fragment(0, "a", "f", "{")})));
  EXPECT_FALSE(passes(fragments, Json::array({fragment(0, "a", "f", "{")})));
}

TEST(ToolFragments, WhereNoToolsWereOfferedThereIsNoCall) {
  ToolFragments fragments;
  Json list = Json::array({fragment(0, "a", "f", "{}")});
  EXPECT_FALSE(fragments.check(list, {}));
}

TEST(ToolFragments, OnlyWhatIsKnownPassesOnAndInWholeCharacters) {
  ToolFragments fragments;
  Json one = fragment(0, "a", "f", "\xFF");
  one["more"] = 1;
  Json list = Json::array({one});
  ASSERT_TRUE(fragments.check(list, kOffered));
  EXPECT_EQ(list[0], fragment(0, "a", "f", "\xEF\xBF\xBD"));
}

TEST(ToolFragments, ThereAreNotMoreCallsThanAnybodyWouldMake) {
  ToolFragments fragments;
  for (size_t i = 0; i < kCallsMax; i++)
    ASSERT_TRUE(passes(fragments, Json::array({fragment(static_cast<int>(i), "a", "f", "")})));
  EXPECT_FALSE(passes(fragments, Json::array({fragment(kCallsMax, "a", "f", "")})));
}

}  // namespace
}  // namespace lares::app
