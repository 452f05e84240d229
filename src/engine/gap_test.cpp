#include "engine/gap.h"

#include <gtest/gtest.h>

#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

constexpr FillTokens kFill{.prefix = 901, .suffix = 902, .middle = 903};
constexpr FillTokens kFillFiles{901, 902, 903, 904, 905};
using Tokens_ = std::vector<Token>;

Tokens_ some(Token first, size_t count) {
  Tokens_ tokens;
  for (size_t i = 0; i < count; i++) tokens.push_back(first + static_cast<Token>(i));
  return tokens;
}

TEST(Gap, WhatStandsBeforeAndBehindComesInOrder) {
  const GapTokens parts{.prefix = {1, 2}, .suffix = {3}, .prompt = {4}};
  EXPECT_EQ(*assemble(parts, kFill, -1, 100), (Tokens_{901, 1, 2, 4, 902, 3, 903}));
  EXPECT_EQ(*assemble(parts, kFill, 900, 100), (Tokens_{900, 901, 1, 2, 4, 902, 3, 903}));
}

TEST(Gap, OtherFilesComeFirstWhereTheyHaveRoom) {
  const GapTokens parts{.prefix = {1},
                        .suffix = {2},
                        .repository = {10},
                        .extra = {{905, 11, 12, 13, 14, 15}, {905, 16}},
                        .file = {17}};
  EXPECT_EQ(*assemble(parts, kFillFiles, -1, 100),
            (Tokens_{904, 10, 905, 11, 12, 13, 14, 15, 905, 16, 905, 17, 901, 1, 902, 2, 903}));
  // the nearest only
  EXPECT_EQ(*assemble(parts, kFillFiles, -1, 12),
            (Tokens_{904, 10, 905, 16, 905, 17, 901, 1, 902, 2, 903}));
  EXPECT_EQ(*assemble(parts, kFillFiles, -1, 10), (Tokens_{901, 1, 902, 2, 903}));
}

TEST(Gap, OfLongTextsWhatIsNearTheGapStays) {
  const GapTokens both{.prefix = some(100, 50), .suffix = some(200, 50)};
  const auto tokens = assemble(both, kFill, -1, 23);
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->size(), 23U);
  EXPECT_EQ((*tokens)[1], 135);  // 15 before
  EXPECT_EQ((*tokens)[15], 149);
  EXPECT_EQ((*tokens)[16], 902);
  EXPECT_EQ((*tokens)[17], 200);  // and 5 behind
  EXPECT_EQ((*tokens)[21], 204);
  const GapTokens little{.prefix = some(100, 2), .suffix = some(200, 50)};
  EXPECT_EQ(assemble(little, kFill, -1, 23)->size(), 23U);  // who needs little leaves the rest
}

TEST(Gap, NeverMoreThanAsked) {
  for (size_t before = 0; before < 12; before++) {
    for (size_t behind = 0; behind < 12; behind++) {
      for (size_t most = 8; most < 30; most++) {
        GapTokens parts{.prefix = some(100, before), .suffix = some(200, behind)};
        parts.repository = {10};
        parts.extra = {some(300, 4), some(400, 3)};
        parts.file = {11};
        const auto tokens = assemble(parts, kFillFiles, 900, most);
        ASSERT_TRUE(tokens);
        EXPECT_LE(tokens->size(), most);
        if (before + behind + 4 <= most) {
          EXPECT_GE(tokens->size(), before + behind + 4);
        }
      }
    }
  }
}

TEST(Gap, APromptThatLeavesNoRoomIsRefused) {
  const GapTokens parts{.prefix = {1}, .suffix = {2}, .prompt = some(0, 20)};
  const auto tokens = assemble(parts, kFill, -1, 20);
  ASSERT_FALSE(tokens);
  EXPECT_EQ(tokens.error().code, Code::TooLong);
  EXPECT_EQ(tokens.error().param, "prompt");
}

TEST(Gap, IsFilledAndLeavesTheAnswerItsRoom) {
  testing::Talk t({}, {.context = 64});
  t.batcher.generate(1, {"infill",
                         {{"input_prefix", std::string(200, 'x') + "\nrepeat: "},
                          {"input_suffix", "behind"},
                          {"prompt", "mid"},
                          {"max_tokens", 8}}});
  ASSERT_TRUE(t.run());
  ASSERT_TRUE(t[1].done) << t[1].failed->message;
  EXPECT_EQ(t[1].text, "mid");
  EXPECT_EQ(t[1].done->prompt_tokens, 56U);
  t.batcher.generate(2, {"infill", {{"input_prefix", "\xFF"}, {"input_suffix", ""}}});
  EXPECT_EQ(t[2].failed->code, Code::Invalid);
}

}  // namespace
}  // namespace lares::engine
