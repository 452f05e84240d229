#include "engine/regex_text.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

std::string text(std::string_view regex) {
  const auto out = regex_for_grammar(regex, RegexOf::Text);
  return out ? *out : std::string(row(out.error().code).name) + ": " + out.error().message;
}
std::string json(std::string_view regex) {
  const auto out = regex_for_grammar(regex, RegexOf::JsonString);
  return out ? *out : out.error().message;
}

TEST(RegexText, WordsStayAndTheRestIsWrittenAsClasses) {
  EXPECT_EQ(text("abc"), "^(abc)$");
  EXPECT_EQ(text("^ab|c$"), "^(ab|c)$");
  EXPECT_EQ(text("a-b"), "^(a[\\x2D]b)$");
  EXPECT_EQ(text("a\\.*"), "^(a[\\x2E]*)$");
  EXPECT_EQ(text("a\\$"), "^(a[\\x24])$");
  EXPECT_EQ(text("ab+?c{2,}"), "^(a[\\x62]+[\\x63]{2,})$");
  EXPECT_EQ(text("\xC3\xA9?"), "^([\\xE9]?)$");
  EXPECT_EQ(text("\\d{3}"), "^([\\x30-\\x39]{3,3})$");
  EXPECT_EQ(text("(?:a)(?<n>b)(?P<m>c)"), "^((a)(b)(c))$");
}

TEST(RegexText, ClassesAreSetsOfCharacters) {
  EXPECT_EQ(text("[a-cb-d_]"), "^([\\x5F\\x61-\\x64])$");
  EXPECT_EQ(text("[\\d\\-.]"), "^([\\x2D-\\x2E\\x30-\\x39])$");
  EXPECT_EQ(text("[a-]"), "^([\\x2D\\x61])$");
  EXPECT_EQ(text("[^\\x00-\\x7F]"), "^([\\x80-\\U0010FFFF])$");
  EXPECT_EQ(text("."), "^([\\x00-\\x09\\x0B-\\x0C\\x0E-\\U0010FFFF])$");
}

TEST(RegexText, InAJsonStringNothingStandsThatWouldEndIt) {
  EXPECT_EQ(json("^a\"$"), "^(a([\\x5C][\\x22]))$");
  EXPECT_EQ(json("^\\\\$"), "^(([\\x5C][\\x5C]))$");
  EXPECT_EQ(json("^\\n$"), "^(([\\x5C]n))$");
  EXPECT_EQ(json("^[ -~]$"),
            "^(([\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]|[\\x5C][\\x22]|[\\x5C][\\x5C]))$");
  EXPECT_EQ(json("^\\d$"), "^([\\x30-\\x39])$");
  EXPECT_NE(json("^[\\x00-\\x08]$").find("no character"), std::string::npos);
}

TEST(RegexText, WithoutAnchorsAJsonStringHasItAnywhere) {
  const std::string any =
      "([\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E\\x80-\\U0010FFFF]|[\\x5C][\\x22]|[\\x5C][\\x5C])*";
  EXPECT_EQ(json("a"), "^" + any + "(a)" + any + "$");
  EXPECT_EQ(json("^a"), "^(a)" + any + "$");
  EXPECT_EQ(json("a\\$"), "^" + any + "(a[\\x24])" + any + "$");
}

TEST(RegexText, WhatIsNoRegexSaysWhy) {
  for (const char* wrong : {"a)", "(a", "*a", "a**", "[a", "a{", "a{x}", "a{2,1}", "a{1001}", "a\\",
                            "[z-a]", "\\xZZ", "a|*", "a{99999999999}", "[a\\"})
    EXPECT_TRUE(text(wrong).starts_with("invalid")) << wrong << ": " << text(wrong);
  for (const char* wrong :
       {"(?=a)", "(?<=a)", "a^b", "\\bword", "(a)\\1", "a*+", "\\p{L}", "(?i)a"})
    EXPECT_TRUE(text(wrong).starts_with("unsupported")) << wrong << ": " << text(wrong);
}

TEST(RegexText, HalvesOfCharactersAreOneTogetherAndNoneAlone) {
  EXPECT_EQ(text("\\ud83d\\ude00"), "^([\\U0001F600])$");
  EXPECT_EQ(text("[\\uD83D\\uDE00-\\uD83D\\uDE02]"), "^([\\U0001F600-\\U0001F602])$");
  for (const char* wrong : {"\\ud800", "\\udc00", "\\ud83da", "\\ud83d\\u0041", "\\ude00\\ud83d",
                            "[\\ud800-\\udfff]", "\\ud83d\\ud83d"})
    EXPECT_TRUE(text(wrong).starts_with("invalid: has '\\uD") ||
                text(wrong).starts_with("invalid: has '\\uDC"))
        << wrong << ": " << text(wrong);
  EXPECT_EQ(text("[^\\x00-\\ud7ff]"), "^([\\uE000-\\U0010FFFF])$");
}

TEST(RegexText, OfNothingTheTextIsEmpty) {
  EXPECT_EQ(text(""), "^()$");
  EXPECT_EQ(text("^$"), "^()$");
  EXPECT_TRUE(text("[]").starts_with("unsupported: has a class that no character"));
}

TEST(RegexText, SixtyThousandParenthesesAreTooMany) {
  EXPECT_NE(text(std::string(60'000, '(')).find("bytes"), std::string::npos);
  EXPECT_NE(text(std::string(100, '(') + "a" + std::string(100, ')')).find("deep"),
            std::string::npos);
}

}  // namespace
}  // namespace lares::engine
