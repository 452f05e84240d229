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

TEST(SchemaText, WhatAllowsNothingIsRefusedWithItsNumbers) {
  EXPECT_TRUE(refuses(R"({"type":"string","minLength":5,"maxLength":2})",
                      "a 'minLength' of 5 above its 'maxLength' of 2"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":{"type":"array","minItems":5,"maxItems":2}}})",
                      "#/properties/a has a 'minItems' of 5"));
  EXPECT_TRUE(refuses(R"({"type":"integer","minimum":10,"maximum":5})",
                      "none is at least 10 and at most 5"));
  EXPECT_TRUE(refuses(R"({"type":"integer","exclusiveMinimum":7,"exclusiveMaximum":8})",
                      "none is at least 8 and at most 7"));
  EXPECT_TRUE(refuses(R"({"type":["integer","null"],"minimum":1.2,"maximum":1.8})",
                      "none is at least 2 and at most 1"));
  EXPECT_TRUE(refuses(R"({"const":5,"type":"string"})", "not of its 'type'"));
  EXPECT_TRUE(refuses(R"({"enum":[5,true],"type":["string","null"]})", "nothing of its 'type'"));
  EXPECT_TRUE(
      refuses(R"({"properties":{"b":{}},"required":["b","a"],"additionalProperties":false})",
              "requires 'a', which is none of its 'properties'"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":false}})", "is 'false', which allows nothing"));
}

TEST(SchemaText, BoundsOfWholeNumbersAreWrittenAsTheConverterKeepsThem) {
  EXPECT_EQ(read(R"({"type":"integer","exclusiveMinimum":7})"),
            R"({"type":"integer","minimum":8})");
  EXPECT_EQ(read(R"({"type":"integer","exclusiveMaximum":7.5,"maximum":9})"),
            R"({"type":"integer","maximum":7})");
  EXPECT_EQ(read(R"({"type":"integer","minimum":2.5,"maximum":1e3})"),
            R"({"type":"integer","minimum":3,"maximum":1000})");
  // one end alone that is far away
  EXPECT_EQ(read(R"({"type":"integer","minimum":1234567890123456})"),
            R"({"type":"integer","minimum":1234567890123456,"maximum":999999999999999999})");
  EXPECT_EQ(read(R"({"type":"integer","maximum":-9007199254740993})"),
            R"({"type":"integer","minimum":-999999999999999999,"maximum":-9007199254740993})");
  for (const char* far : {"1e30", "9223372036854775807", "-9223372036854775808", "1e18"})
    EXPECT_TRUE(refuses(cat(R"({"type":"integer","minimum":)", far, "}"), "18 digits"));
  EXPECT_TRUE(refuses(R"({"type":"integer","minimum":"3"})", "'minimum' that is not a number"));
}

TEST(SchemaText, WhatTheConverterWouldLeaveOutIsWrittenForIt) {
  EXPECT_EQ(read(R"({"properties":{"b":{}},"required":["a","b"]})"),
            R"({"properties":{"b":{},"a":{}},"required":["a","b"]})");
  EXPECT_EQ(
      read(R"({"type":"object","required":["a"]})"),
      R"({"type":"object","required":["a"],"additionalProperties":true,"properties":{"a":{}}})");
  EXPECT_EQ(read(R"({"properties":{"a":true}})"), R"({"properties":{"a":{}}})");
  EXPECT_EQ(read(R"({"prefixItems":[{"type":"null"}],"items":false})"),
            R"({"prefixItems":[{"type":"null"}]})");
  const Json one =
      Json::parse(read(R"({"allOf":[{"$ref":"#/$defs/s"}],"$defs":{"s":{"type":"string"}}})"));
  EXPECT_EQ(one["anyOf"], one["allOf"]) << "an 'allOf' of no object would become one";
  EXPECT_TRUE(refuses(R"({"allOf":[{"type":"integer"},{"minimum":100}]})", "#/allOf/0 is part of"));
  EXPECT_EQ(read(R"({"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})"),
            R"({"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})");
}

TEST(SchemaText, WhatIsOverlookedBesideOthersIsNamedToAStrictOne) {
  for (const char* schema :
       {R"({"anyOf":[{"type":"null"}],"properties":{"a":{}}})",
        R"({"$ref":"#/$defs/a","minimum":3,"$defs":{"a":{}}})",
        R"({"anyOf":[{"type":"integer"}],"exclusiveMaximum":3})", R"({"minimum":3})",
        R"({"type":["number","null"],"minimum":3})", R"({"type":"string","format":"email"})",
        R"({"unevaluatedProperties":false})", R"({"dependencies":{}})",
        R"({"prefixItems":[{}],"items":{"type":"null"}})", R"({"prefixItems":[{}],"minItems":2})",
        R"({"properties":{"a":{}},"allOf":[{"properties":{"b":{}}}]})",
        R"({"enum":[1,"a"],"type":"string"})"}) {
    EXPECT_TRUE(refuses(schema, "cannot be enforced", Strict::Yes)) << schema;
    EXPECT_TRUE(schema_for_grammar(schema, Strict::No, "x")) << schema;
  }
  for (const char* schema : {R"({"type":"string","format":"date-time","description":"d"})",
                             R"({"type":"string","format":"uuid4"})",
                             R"({"anyOf":[{"type":"null"},{"type":"integer","minimum":3}]})"})
    EXPECT_EQ(read(schema, Strict::Yes), schema);
}

// A '$ref' into what is rewritten leads to where it led before.
TEST(SchemaText, WhatIsRewrittenIsFoundByReferencesFromWithin) {
  const Json all = Json::parse(read(R"({"$ref":"#/$defs/n/items","$defs":{"n":{"type":
      ["integer","array"],"minimum":1.5,"required":["q"],"items":{"properties":{"x":{"$ref":"#/$defs/n"},
      "y":{"type":"string","pattern":"^a$"}},"required":["z"]}}}})"));
  EXPECT_EQ(all["$defs"]["n"]["minimum"], 2);
  EXPECT_EQ(all["$defs"]["n"]["items"]["properties"].size(), 3U);
}

TEST(SchemaText, WhatIsNoSchemaSaysWhere) {
  EXPECT_TRUE(refuses("[]", "at # is not an object"));
  EXPECT_TRUE(refuses("{", "cannot be read"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":5}})", "at #/properties/a is not an object"));
  EXPECT_TRUE(refuses(R"x({"pattern":"(?=x)"})x", "cannot be made into a grammar"));
}

}  // namespace
}  // namespace lares::engine
