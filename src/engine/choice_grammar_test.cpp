#include "engine/choice_grammar.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/text.h"

namespace lares::engine {
namespace {

// What the rule `name` of a grammar made here can say: quoted texts, rules and '?'.
std::set<std::string> says(const std::map<std::string, std::string>& rules,
                           const std::string& name) {
  std::set<std::string> all;
  for (const std::string& alternative : split(rules.at(name), '|')) {
    const std::string_view whole = trimmed(alternative);
    const size_t end = whole.rfind('"');
    const std::string text(whole.substr(1, end - 1));
    std::string next(trimmed(whole.substr(end + 1)));
    const bool may_end = next.empty() || next.ends_with('?');
    if (may_end) {
      EXPECT_TRUE(all.insert(text).second) << text;
    }
    if (next.ends_with('?')) next.pop_back();
    if (next.empty()) continue;
    for (const std::string& rest : says(rules, next))
      EXPECT_TRUE(all.insert(text + rest).second) << text + rest;
  }
  return all;
}

std::map<std::string, std::string> rules_of(const std::string& grammar) {
  std::map<std::string, std::string> rules;
  for (const std::string& line : split(grammar, '\n')) {
    if (const size_t at = line.find(" ::= "); at != std::string::npos)
      rules[line.substr(0, at)] = line.substr(at + 5);
  }
  return rules;
}

std::string group(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += cat(out.empty() ? "(" : " | ", "\"", text, "\"");
  return out + ")";
}

TEST(ChoiceGrammar, ATreeSaysTheSameTexts) {
  const std::vector<std::vector<std::string>> all = {
      {"a", "b", "c", "d", "e", "f", "g", "h"},
      {"v", "v0", "v00", "v01", "v1", "v10", "w", "wv", "wvv"},
      {"aa1", "aa2", "aa3", "ab1", "ab2", "b", "bb", "bbb", "bbbb"},
      {R"(\")", R"(\\)", R"(\n)", R"(\\n)", R"(\"a)", R"(\x41)", R"(\u00e4)", "ä", "äö"},
      {"x", "x", "x", "y1", "y2", "y3", "z1", "z2", "z3", "z4", "x"}};
  for (const auto& texts : all) {
    const auto rules = rules_of(choices_as_trees(cat("root ::= ", group(texts), " end\n")));
    EXPECT_EQ(rules.at("root"), cat("one-of-0 end")) << "the names go by their order";
    EXPECT_EQ(says(rules, "one-of-0"), std::set<std::string>(texts.begin(), texts.end()));
  }
}

TEST(ChoiceGrammar, AThousandThatBeginAlikeBranchWhereTheyDiffer) {
  std::vector<std::string> texts;
  for (int i = 0; i < 1000; i++) texts.push_back(cat("apple number ", i));
  const std::string grammar = choices_as_trees(cat("root ::= ", group(texts)));
  for (const auto& [name, rule] : rules_of(grammar))
    EXPECT_LE(split(rule, '|').size(), 10U) << name;
  EXPECT_EQ(says(rules_of(grammar), "one-of-0").size(), 1000U);
}

TEST(ChoiceGrammar, HowWideATreeIsIsCountedInCharacters) {
  EXPECT_EQ(most_branches({}), 0U);
  EXPECT_EQ(most_branches({"a"}), 1U);
  EXPECT_EQ(most_branches({"a", "a"}), 1U);
  EXPECT_EQ(most_branches({"a", "ab"}), 1U);
  EXPECT_EQ(most_branches({"", "b", "c", "d"}), 3U);
  EXPECT_EQ(most_branches({"xa", "xb", "xc", "y", "xca", "xcb"}), 3U);
  EXPECT_EQ(most_branches({"a1", "a2", "b1", "b2", "b3", "c"}), 3U);
  EXPECT_EQ(most_branches({"\xC3\xA4", "\xC3\xB6", "\xC3\xBC"}), 3U);
  std::vector<std::string> texts;
  for (int i = 0; i < 1000; i++) texts.push_back(cat("number ", i));
  EXPECT_EQ(most_branches(texts), 10U);
}

TEST(ChoiceGrammar, WhatIsNoGroupOfManyTextsStaysAsItIs) {
  const std::vector<std::string> all = {
      R"~(root ::= ("a" | "b"))~",
      R"~(root ::= ("a" | b | "c" | "d" | "e" | "f" | "g" | "h" | "i"))~",
      R"~(root ::= "(\"a\" | \"b\" | \"c\" | \"d\" | \"e\" | \"f\" | \"g\" | \"h\")")~",
      R"~(root ::= [("a" | "b" | "c" | "d" | "e" | "f" | "g" | "h"] ("x")?)~",
      R"~(root ::= ("a" | "b" | "c" | "d" | "e" | "f" | "g" | "h")~",
      R"~(root ::= ("a)~",
      R"~(root ::= "a\)~",
      "",
      "("};
  for (const std::string& grammar : all) EXPECT_EQ(choices_as_trees(grammar), grammar);
}

}  // namespace
}  // namespace lares::engine
