#include "engine/grammar_text.h"

#include <gtest/gtest.h>

#include <string>

namespace lares::engine {
namespace {

std::string wrong(const std::string& text) {
  const auto checked = check_grammar_text(text, "grammar");
  return checked ? "" : checked.error().message;
}

TEST(GrammarText, OrdinaryOnesPass) {
  EXPECT_EQ(wrong("root ::= \"a\" | [b-z{}()]{1,16} # ((((\nws ::= \" \"*\n"), "");
  EXPECT_EQ(wrong(""), "");
  EXPECT_EQ(wrong("root ::= \"\\\"(((\" [\\]]{2000}"), "");
}

TEST(GrammarText, DepthIsBoundedHoweverItIsMade) {
  EXPECT_NE(wrong("root ::= " + std::string(60'000, '(')).find("deep"), std::string::npos);
  EXPECT_EQ(wrong("root ::= " + std::string(100, '(') + std::string(100, ')')), "");
}

TEST(GrammarText, RepetitionsAreBoundedByWhatTheyComeTo) {
  const std::string long_text = "\"" + std::string(1000, 'x') + "\"";
  EXPECT_NE(wrong("root ::= " + long_text + "{2000}").find("elements"), std::string::npos);
  EXPECT_NE(wrong("root ::= [" + std::string(1000, 'x') + "]{1, 2000}").find("elements"),
            std::string::npos);
  EXPECT_NE(wrong("root ::= \"a\"{99999999999999999999}").find("elements"), std::string::npos);
  EXPECT_EQ(wrong("root ::= \"a\"{1,1000}"), "");
  std::string many;
  for (int i = 0; i < 200; i++) many += "\"a\"{1000} ";
  EXPECT_NE(wrong("root ::= " + many).find("elements"), std::string::npos);
}

TEST(GrammarText, ARepetitionWithItsEndsTheWrongWayRoundIsRefused) {
  for (const char* text : {"root ::= \"a\"{5,2}", "root ::= [0-9]{2,1}",
                           "root ::= (\"a\"|\"c\"){ 3 , 1 }", "root ::= a\na ::= \"b\"{1,0}"}) {
    const auto checked = check_grammar_text(text, "grammar");
    ASSERT_FALSE(checked) << text;
    EXPECT_NE(checked.error().message.find("which is never"), std::string::npos)
        << checked.error().message;
  }
  EXPECT_TRUE(check_grammar_text("root ::= \"a\"{2,5} \"b\"{3} \"c\"{2,} \"d\"{2,2}", "grammar"));
}

TEST(GrammarText, WhatIsNoGrammarDoesNoHarm) {
  for (const char* text : {"\"", "[", "{", "{,", "\"\\", "[\\", "#", "{1", "))))", "{-1}"})
    EXPECT_EQ(wrong(text), "") << text;
}

}  // namespace
}  // namespace lares::engine
