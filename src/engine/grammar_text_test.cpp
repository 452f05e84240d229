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

TEST(GrammarText, TextsAreBoundedWithOtherWordsThanRepetitions) {
  std::string many = "root ::= \"x\"";
  for (int i = 0; i < 2000; i++) many += " | \"" + std::string(100, 'x') + "\"";
  EXPECT_NE(wrong(many).find("fewer of them, or shorter ones"), std::string::npos) << wrong(many);
  EXPECT_EQ(wrong(many).find("repetitions"), std::string::npos);
}

TEST(GrammarText, AClassWithoutCharactersIsRefused) {
  for (const char* text : {"root ::= []", "root ::= \"a\" []* \"b\"", "root ::= ([] | \"a\")"})
    EXPECT_NE(wrong(text).find("has '[]', a class that no character is in"), std::string::npos);
  EXPECT_NE(wrong("root ::= [^]").find("write '.' for any character"), std::string::npos);
  for (const char* text : {"root ::= \"\"", "root ::= [\\]]", "root ::= \"[]\"", "root ::= [^^]",
                           "root ::= \"a\" # []\n", "root ::= <[5]>"})
    EXPECT_EQ(wrong(text), "") << text;
}

TEST(GrammarText, HalfOfACharacterIsRefused) {
  for (const char* text : {"root ::= \"\\ud800\"", "root ::= \"a\\uDFFF\"", "root ::= [\\uD83D]",
                           "root ::= \"\\ud83d\\ude00\"", "root ::= \"\\U0000d800\""})
    EXPECT_NE(wrong(text).find("half of a character"), std::string::npos) << text;
  EXPECT_NE(wrong("root ::= \"\\U00110000\"").find("up to"), std::string::npos);
  for (const char* text :
       {"root ::= \"\\U0001F600\"", "root ::= \"\\\\ud800\"", "root ::= \"\\ud8\"",
        "root ::= [^\\ud800-\\udfff]", "root ::= [\\x00-\\U0010FFFF]"})
    EXPECT_EQ(wrong(text), "") << text;
}

TEST(GrammarText, WhatIsNoGrammarDoesNoHarm) {
  for (const char* text : {"\"", "[", "{", "{,", "\"\\", "[\\", "#", "{1", "))))", "{-1}"})
    EXPECT_EQ(wrong(text), "") << text;
}

}  // namespace
}  // namespace lares::engine
