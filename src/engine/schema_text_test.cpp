#include "engine/schema_text.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/text.h"

namespace lares::engine {
namespace {

std::string read(const std::string& schema, Strict strict = Strict::No) {
  const auto out = schema_for_grammar(schema, strict, "response_format");
  return out ? *out : out.error().message;
}
bool refuses(const std::string& schema, std::string_view words, Strict strict = Strict::No) {
  const auto out = schema_for_grammar(schema, strict, "response_format");
  if (out) return false;
  EXPECT_EQ(out.error().param, "response_format");
  EXPECT_NE(out.error().message.find(words), std::string::npos) << out.error().message;
  return out.error().message.find(words) != std::string::npos;
}

TEST(SchemaText, OrdinaryOnesStayAsTheyAreWithTheirOrder) {
  for (
      const char* schema :
      {R"({})",
       R"({"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer","minimum":3}}})",
       R"({"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"})",
       R"({"type":["string","null"]})", R"({"enum":[1,"a",null]})",
       R"({"type":"array","items":{"anyOf":[{"type":"number"},{"const":"x"}]},"maxItems":3})"})
    EXPECT_EQ(read(schema), schema);
}

TEST(SchemaText, APatternIsWrittenAnewOnceOnHoweverManyWays) {
  EXPECT_EQ(read(R"({"type":"string","pattern":"^\\d{2}$"})"),
            R"({"type":"string","pattern":"^([\\x30-\\x39]{2,2})$"})");
  const Json both = Json::parse(
      read(R"({"type":["object","null"],"properties":{"a":{"type":"string","pattern":"^\"$"},
               "b":{"$ref":"#/properties/a"}}})"));
  EXPECT_EQ(both["properties"]["a"]["pattern"], "^(([\\x5C][\\x22]))$");
}

TEST(SchemaText, ReferencesMustLeadSomewhere) {
  EXPECT_TRUE(refuses(R"({"$ref":"#/$defs/a"})", "which is not there"));
  EXPECT_TRUE(refuses(R"({"$ref":"https://x/y"})", "can be referred to"));
  EXPECT_TRUE(refuses(R"({"$ref":5})", "not a string"));
  EXPECT_TRUE(refuses(R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})",
                      "only refers to itself"));
  EXPECT_TRUE(refuses(R"({"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"$ref":"#/$defs/b"},
                          "b":{"$ref":"#/$defs/a"}}})",
                      "only refers to itself"));
  EXPECT_TRUE(refuses(R"({"$ref":"#/$defs/0/a","$defs":[{"a":1}]})", "which is no schema"));
}

TEST(SchemaText, IsBoundedInEveryDirection) {
  std::string deep = "{}";
  for (int i = 0; i < 3000; i++) deep = R"({"items":)" + deep + "}";
  EXPECT_TRUE(refuses(deep, "cannot be read"));
  EXPECT_TRUE(refuses(cat(R"({"pattern":")", std::string(60'000, '('), R"("})"), "bytes"));
  EXPECT_TRUE(refuses(R"x({"pattern":"(a{1,1000000}){1,1000}"})x", "at most 1000"));
  EXPECT_TRUE(refuses(R"({"minLength":5000})", "at most 1000"));
  EXPECT_EQ(read(R"({"maxLength":5000})"), R"({"maxLength":1000})");
  EXPECT_TRUE(refuses(R"({"maxItems":-1})", "whole number"));
  Json many = {{"type", "object"}, {"properties", Json::object()}};
  for (int i = 0; i < 150; i++) many["properties"][cat("p", i)] = Json::object();
  EXPECT_TRUE(refuses(dump(many), "not required"));
  for (int i = 0; i < 150; i++) many["required"].push_back(cat("p", i));
  EXPECT_EQ(Json::parse(read(dump(many))), many);
  EXPECT_TRUE(refuses(cat(R"({"properties":{")", std::string(500, 'n'), R"(":{}}})"), "name of"));
  // each level has two ways through the same properties
  std::string doubled = "{}";
  for (int i = 0; i < 20; i++)
    doubled = R"({"type":["object","object"],"properties":{"a":)" + doubled + "}}";
  EXPECT_TRUE(refuses(doubled, "parts"));
}

TEST(SchemaText, OnlyAStrictOneMindsWhatCannotBeEnforced) {
  for (const char* schema : {R"({"type":"number","minimum":0})", R"({"not":{"type":"null"}})",
                             R"({"uniqueItems":true})"}) {
    EXPECT_EQ(read(schema), schema);
    EXPECT_TRUE(refuses(schema, "cannot be enforced", Strict::Yes));
  }
  EXPECT_EQ(read(R"({"type":"integer","minimum":0})", Strict::Yes),
            R"({"type":"integer","minimum":0})");
}

TEST(SchemaText, WhatIsNoSchemaSaysWhere) {
  EXPECT_TRUE(refuses("[]", "at # is not an object"));
  EXPECT_TRUE(refuses("{", "cannot be read"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":5}})", "at #/properties/a is not an object"));
  EXPECT_TRUE(refuses(R"x({"pattern":"(?=x)"})x", "cannot be made into a grammar"));
}

}  // namespace
}  // namespace lares::engine
