#include "engine/schema_text.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

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

TEST(SchemaText, GivesEachPatternForACheckOfItsOwn) {
  std::set<std::string> patterns;
  EXPECT_TRUE(schema_for_grammar(
      R"({"properties":{"pattern":{"type":"string","pattern":"^a$"},"b":{"items":{"pattern":"^b$"}},
          "c":{"default":{"pattern":"^c$"}},"d":{"pattern":"^a$"}}})",
      Strict::No, "x", &patterns));
  EXPECT_EQ(patterns, (std::set<std::string>{"^(a)$", "^(b)$"}));
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

TEST(SchemaText, AlternativesThatOnlyRequireLeaveTheirPropertiesInForce) {
  const auto kept = Json::parse(read(
      R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"anyOf":[{"required":["a"]}]})"));
  EXPECT_FALSE(kept.contains("anyOf"));
  EXPECT_EQ(kept["properties"]["a"]["type"], "integer");
  const auto more = Json::parse(read(
      R"({"properties":{"a":{}},"required":["b"],"anyOf":[{"required":["a"]},{"minProperties":2}]})"));
  EXPECT_TRUE(more["properties"].contains("b")) << "and what is required besides";
  EXPECT_TRUE(
      Json::parse(read(R"({"properties":{"a":{}},"anyOf":[{"type":"null"}]})")).contains("anyOf"));
}

TEST(SchemaText, AStrictOneOfIsMetOnce) {
  for (const char* list :
       {R"([{"type":"integer"},{"type":"number"}])", R"([{"enum":["b"]},{"enum":["b","c"]}])",
        R"([{"type":"string"},{"const":"x"}])"}) {
    const std::string schema = cat(R"({"oneOf":)", list, "}");
    EXPECT_TRUE(refuses(schema, "may meet two alternatives", Strict::Yes)) << schema;
    EXPECT_TRUE(schema_for_grammar(schema, Strict::No, "x")) << schema;
  }
  for (const char* list :
       {R"([{"type":"integer"},{"type":["string","null"]}])",
        R"([{"enum":["a"]},{"enum":["b","c"]}])", R"([{"type":"integer"},{"enum":["x",null]}])"})
    EXPECT_TRUE(schema_for_grammar(cat(R"({"oneOf":)", list, "}"), Strict::Yes, "x")) << list;
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

void strict_takes(std::initializer_list<const char*> schemas) {
  for (const char* schema : schemas) {
    const auto out = schema_for_grammar(schema, Strict::Yes, "x");
    EXPECT_TRUE(out) << schema << ": " << (out ? "" : out.error().message);
  }
}
// Each names what is overlooked, and is taken where nobody is strict.
void only_strict_refuses(
    std::initializer_list<std::pair<const char*, std::string_view>> schemas_and_words) {
  for (const auto& [schema, words] : schemas_and_words) {
    EXPECT_TRUE(refuses(schema, words, Strict::Yes)) << schema;
    EXPECT_TRUE(refuses(schema, "cannot be enforced", Strict::Yes)) << schema;
    EXPECT_TRUE(schema_for_grammar(schema, Strict::No, "x")) << schema;
  }
}

TEST(SchemaText, ValuesAreAllThatIsKeptOfWhatStandsBesideThem) {
  only_strict_refuses({
      {R"({"type":"string","pattern":"^[a-c]$","enum":["x"]})", "'pattern' beside 'enum'"},
      {R"({"type":"string","maxLength":1,"const":"xx"})", "'maxLength' beside 'const'"},
      {R"({"enum":["x"],"minLength":3})", "'minLength' beside 'enum'"},
      {R"({"type":"string","format":"date","enum":["x"]})", "'format' beside 'enum'"},
      {R"({"type":"integer","minimum":20,"enum":[1]})", "'minimum' beside 'enum'"},
      {R"({"type":"integer","multipleOf":2,"enum":[1]})", "'multipleOf'"},
      {R"({"type":"array","items":{"type":"null"},"const":[1]})", "'items' beside 'const'"},
      {R"({"type":"object","properties":{"a":{}},"required":["a"],"const":{"b":1}})",
       "'properties' beside 'const'"},
      {R"({"type":"object","required":["a"],"const":{"b":1}})", "'required' beside 'const'"},
      {R"({"type":"object","additionalProperties":false,"enum":[{"b":1}]})",
       "'additionalProperties' beside 'enum'"},
      {R"({"enum":[1],"allOf":[{"type":"null"}]})", "'allOf' beside 'enum'"},
  });
  EXPECT_TRUE(refuses(R"({"enum":[1,2],"const":3})", "is not in its 'enum'"));
  strict_takes({R"({"type":"string","enum":["a","b"],"description":"x","title":"T","default":"a",
                    "examples":["a"],"$comment":"c","deprecated":true,"readOnly":true})",
                R"({"type":["string","null"],"enum":["a",null]})", R"({"const":3,"enum":[1,3]})",
                R"({"type":"number","enum":[1,2.5]})", R"({"type":"integer","const":1.0})"});
}

TEST(SchemaText, AFormatIsKeptAlone) {
  only_strict_refuses(
      {{R"({"type":"string","format":"date","maxLength":3})", "'format' together with 'maxLength'"},
       {R"({"type":"string","format":"uuid","minLength":3})", "'format' together with 'minLength'"},
       {R"({"type":"string","pattern":"^[a-c]$","format":"date"})",
        "'format' together with 'pattern'"}});
  strict_takes({R"({"type":"string","format":"date","title":"D"})",
                R"({"type":"string","pattern":"^[a-c]$"})",
                R"({"type":"string","minLength":1,"maxLength":3})"});
}

TEST(SchemaText, ATypeIsKeptBesideAlternativesThatAreWithinIt) {
  only_strict_refuses({
      {R"({"type":"string","anyOf":[{"type":"integer"}]})", "'type' beside 'anyOf'"},
      {R"({"type":"string","oneOf":[{"type":"string"},{}]})", "'type' beside 'oneOf'"},
      {R"({"$ref":"#/$defs/a","type":"string","$defs":{"a":{"type":"integer"}}})",
       "'type' beside '$ref'"},
      {R"({"type":"integer","anyOf":[{"type":"number"}]})", "'type' beside 'anyOf'"},
      {R"({"type":"string","allOf":[{"type":"integer"}]})", "'type' beside 'allOf'"},
      {R"({"type":"string","anyOf":[{"enum":["a",1]}]})", "'type' beside 'anyOf'"},
      {R"({"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"b":{"type":"integer"},
          "a":{"$ref":"#/$defs/b","minimum":3}}})",
       "#/$defs/a has 'minimum' beside '$ref'"},
      {R"({"$ref":"#/$defs/a","anyOf":[{}],"$defs":{"a":{}}})", "'anyOf' beside '$ref'"},
      {R"({"$ref":"#/$defs/a","not":{},"$defs":{"a":{}}})", "'not'"},
  });
  strict_takes({
      R"({"anyOf":[{"type":"string"},{"type":"null"}],"title":"T"})",
      R"({"type":["string","null"],"anyOf":[{"type":"string"},{"type":"null"}]})",
      R"({"type":"number","anyOf":[{"type":"integer"},{"const":2.5}]})",
      R"({"$ref":"#/$defs/a","type":"object","$defs":{"a":{"type":"object","properties":{}}}})",
      R"({"type":"object","oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],"$defs":{
          "a":{"properties":{"x":{"type":"null"}},"required":["x"]},"b":{"$ref":"#/$defs/c"},
          "c":{"type":"object","properties":{"y":{"enum":["c"]}}}}})",
      R"({"allOf":[{"$ref":"#/$defs/x"}],"description":"d","$defs":{"x":{"type":"string"}}})",
  });
  // one that comes to itself has no end of types, and an end of looking
  EXPECT_TRUE(refuses(R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"null",
                          "anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}}})",
                      "'type' beside 'anyOf'", Strict::Yes));
}

TEST(SchemaText, WithoutATypeNothingIsKeptThatDoesNotTellIt) {
  only_strict_refuses({{R"({"required":["a"]})", "'required' without a 'type'"},
                       {R"({"minItems":2})", "'minItems' without a 'type'"},
                       {R"({"maxItems":2,"additionalProperties":true})", "'maxItems' without"}});
  strict_takes({R"({"properties":{"a":{}},"required":["a"]})", R"({"items":true,"minItems":2})",
                R"({"minLength":2})", R"({"type":"object","required":["a"]})"});
}

TEST(SchemaText, OfAlternativesOneListIsKeptAndNoneIsThereTwice) {
  only_strict_refuses(
      {{R"({"oneOf":[{"type":"null"}],"anyOf":[{"type":"string"}]})", "'anyOf' beside 'oneOf'"}});
  EXPECT_TRUE(refuses(R"({"oneOf":[{"type":"null","title":"a"},{"type":"string"},
                          {"title":"a","type":"null"}]})",
                      "#/oneOf/2 is the same as another alternative"));
  strict_takes({R"({"oneOf":[{"type":"null"},{"type":"string"}]})",
                R"({"anyOf":[{"type":"null"},{"type":"null"}]})"});
}

TEST(SchemaText, PartsOfOneObjectMustNotMeet) {
  only_strict_refuses({
      {R"({"allOf":[{"properties":{"a":{"type":"null"}}},{"properties":{"a":{"type":"string"}}}]})",
       "'a' in more than one of its parts"},
      {R"({"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}},"required":["a"]}]})",
       "'a' in more than one of its parts"},
      {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]})",
       "an 'additionalProperties' that is about it"},
      {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":{"type":"null"}},
                    {"properties":{"b":{}}}]})",
       "an 'additionalProperties' that is about it"},
      {R"({"allOf":[{"enum":[1]},{"enum":[2]}]})", "'enum' within an 'allOf'"},
      {R"({"allOf":[{"properties":{"a":{}}},{"anyOf":[{"properties":{"b":{}},"required":["b"]}]}]})",
       "'anyOf' within an 'allOf'"},
      {R"({"allOf":[{"properties":{"a":{}}},{"type":["object","null"],"properties":{"b":{}}}]})",
       "another 'type' than 'object'"},
      {R"({"allOf":[{"properties":{"a":{}}}],"required":["a"]})", "'required' beside 'allOf'"},
  });
  EXPECT_TRUE(refuses(R"({"allOf":[{"$ref":"#/$defs/a"},{"properties":{"b":{}},"required":["b"]}],
                          "$defs":{"a":{"properties":{"a":{}},"additionalProperties":false}}})",
                      "requires 'b' and another takes none but its own, so nothing is allowed",
                      Strict::Yes));
  strict_takes({R"({"allOf":[{"$ref":"#/$defs/a"},{"type":"object","properties":{"b":{}}}],
                    "type":"object","$defs":{"a":{"type":"object","properties":{"a":{}}}}})"});
}

TEST(SchemaText, NamesAreTextsAndNotEmpty) {
  for (const char* schema :
       {R"({"properties":{"a":{}},"required":"a"})", R"({"properties":{"a":{}},"required":[1]})",
        R"({"properties":{"a":{"type":"string","required":true}}})"})
    EXPECT_TRUE(refuses(schema, "'required' that is not a list of names"));
  EXPECT_TRUE(refuses(R"({"properties":{"":{}}})", "at # has a property named ''"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":{"items":{"properties":{"":{}}}}}})",
                      "#/properties/a/items has a property named ''"));
  EXPECT_TRUE(refuses(R"({"properties":{"*":{}}})", "has a property named '*'"));
  EXPECT_TRUE(refuses(R"({"type":"object","required":[""]})", "requires ''"));
  strict_takes({R"({"properties":{" ":{},"a*":{}},"required":[]})"});
}

TEST(SchemaText, AReferenceThatIsNotReadSaysWhy) {
  EXPECT_TRUE(refuses(R"({"$ref":"#/$defs/a~1b","$defs":{"a/b":{}}})", "escapes"));
  EXPECT_TRUE(
      refuses(R"({"$ref":"#/$defs/a%20b","$defs":{"a b":{}}})", "are not read in a '$ref'"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":{"$ref":"#"}}})", "'#', the whole schema"));
  strict_takes({R"({"$ref":"#/$defs/a b","$defs":{"a b":{}}})",
                R"({"$ref":"#/$defs/a~b","$defs":{"a~b":{}}})",
                R"({"properties":{"a":{"$ref":"#/$defs/a-b"},"b":{"$ref":"#/$defs/a--b"}},
                    "$defs":{"a-b":{},"a--b":{}}})"});
}

// The converter's rules of them have one name (schema_names.h).
TEST(SchemaText, ReferencesThatWouldBeTakenForAnotherPlaceLeadToOneOfTheirOwn) {
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {"a_b", "a.b"}, {"a", "a-x"}, {"a", "a-b-c"}, {"a", "a x"}, {"\xC3\xA4", "\xC3\xB6"}}) {
    const Json all = Json::parse(read(cat(
        R"({"properties":{"x":{"$ref":"#/$defs/)", a, R"("},"y":{"$ref":"#/$defs/)", b,
        R"("}},"$defs":{")", a, R"(":{"properties":{"x":{"const":1}}},")", b,
        R"(":{"type":["string","null"],"anyOf":[{"$ref":"#/$defs/)", a, R"("},{"const":2}]}}})")));
    ASSERT_TRUE(all.contains("places")) << all;
    EXPECT_FALSE(all.contains("$defs"));
    const auto at = [&](const Json& schema) {
      const std::string to = schema["$ref"];
      EXPECT_TRUE(to.starts_with("#/places/")) << to;
      return all["places"][to.substr(9)];
    };
    EXPECT_EQ(at(all["properties"]["x"])["properties"]["x"]["const"], 1) << a;
    EXPECT_EQ(at(all["properties"]["y"])["anyOf"][1]["const"], 2) << b;
    EXPECT_EQ(at(at(all["properties"]["y"])["anyOf"][0]), at(all["properties"]["x"]));
  }
  // those of properties beside them, and one within the other
  for (const char* schema :
       {R"({"properties":{"ref":{"type":"null"},"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{}}})",
        R"({"properties":{"ref defs":{"type":"null"},"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{}}})",
        R"({"type":"object","required":["ref-defs-a"],"$ref":"#/$defs/a","$defs":{"a":
            {"type":"object","required":["ref-defs-a"]}}})",
        R"({"$ref":"#/$defs/a","$defs":{"a":{"items":{"items":{"$ref":"#/$defs/a-item"}}},
            "a-item":{"type":"null"}}})",
        R"({"$ref":"#/$defs/a","$defs":{"a":{"properties":{"b":{"items":{"$ref":
            "#/$defs/a/properties/b"}}}},"a-b":{"type":"null"}}})"})
    EXPECT_TRUE(Json::parse(read(schema)).contains("places")) << read(schema);
}

TEST(SchemaText, OrdinaryReferencesStay) {
  for (const char* schema :
       {R"({"properties":{"x":{"$ref":"#/$defs/Item"},"y":{"$ref":"#/$defs/Item2"}},
            "$defs":{"Item":{"type":"null"},"Item2":{"type":"string"}}})",
        R"({"properties":{"reference":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"null"}}})",
        R"({"properties":{"ref":{"type":"null"}},"$defs":{"a":{"type":"null"}}})"})
    EXPECT_EQ(Json::parse(read(schema)), Json::parse(schema));
}

TEST(SchemaText, WhatIsOnlyAValueOrIsNamedPlacesStays) {
  const Json all = Json::parse(read(R"({"properties":{"places":{"const":{"$ref":"#/$defs/a"}},
      "b":{"$ref":"#/$defs/a"},"c":{"$ref":"#/$defs/a-b"}},"$defs":{"a":{},"a-b":{}}})"));
  EXPECT_EQ(all["properties"]["places"]["const"]["$ref"], "#/$defs/a");
  EXPECT_EQ(all["properties"]["b"]["$ref"], "#/placesx/0-a");
}

TEST(SchemaText, SchemasOfOneGrammarReferToPlacesOfTheirOwn) {
  const char* schema = R"({"properties":{"a":{"$ref":"#/$defs/Item"}},"$defs":{"Item":{}}})";
  for (const char* called : {"1", "10"}) {
    const auto out = schema_for_grammar(schema, Strict::No, "x", nullptr, called);
    ASSERT_TRUE(out);
    EXPECT_EQ(Json::parse(*out)["properties"]["a"]["$ref"], cat("#/places", called, "/0-Item"));
    EXPECT_EQ(*schema_for_grammar(R"({"type":"null"})", Strict::No, "x", nullptr, called),
              R"({"type":"null"})");
  }
}

TEST(SchemaText, PlacesWithinEachOtherAreBoundedTogether) {
  std::string within = cat(R"({"enum":[")", std::string(60'000, 'x'), R"("]})");
  std::string refs = R"({"$ref":"#/$defs/a-b"})", path = "#/$defs/a";
  for (int i = 0; i < 25; i++) {
    within = R"({"items":)" + within + "}";
    refs += cat(R"(,{"$ref":")", path, R"("})");
    path += "/items";
  }
  EXPECT_TRUE(refuses(cat(R"({"anyOf":[)", refs, R"(],"$defs":{"a":)", within, R"(,"a-b":{}}})"),
                      "put them into '$defs', one beside the other"));
}

TEST(SchemaText, APropertyWithTheNameOfATypesRuleIsNotOneWhereTheSchemaIsAlone) {
  for (const char* name : {"date_time", "date time", "integral_part", "decimal.part"}) {
    const std::string schema = cat(R"({"properties":{")", name, R"(":{}},"$defs":{}})");
    const Json alone = Json::parse(schema_alone(schema));
    EXPECT_EQ(alone["anyOf"], Json::array({Json::parse(schema)}));
    EXPECT_TRUE(alone.contains("$defs"));
  }
  for (const char* schema : {R"({"properties":{"date-time":{},"date":{},"datetime":{}}})",
                             R"({"anyOf":[{"properties":{"date_time":{}}}]})", "{}", "[", "7"})
    EXPECT_EQ(schema_alone(schema), schema);
}

TEST(SchemaText, AsManyValuesAsAreTakenAreNamed) {
  const auto values = [](int from, int until) {
    Json list = Json::array();
    for (int i = from; i < until; i++) list.push_back(cat("value ", i));
    return list;
  };
  const std::string many = dump(Json{{"enum", values(0, 9'999)}});
  EXPECT_EQ(Json::parse(read(many)), Json::parse(many));
  EXPECT_TRUE(
      refuses(dump(Json{{"enum", values(0, 12'000)}}),
              "an 'enum' of 12,000 values, with which the schema has 12,000; at most 10,000"));
  EXPECT_TRUE(refuses(
      dump(Json{{"anyOf", {{{"enum", values(0, 6'000)}}, {{"enum", values(6'000, 12'000)}}}}}),
      "#/anyOf/1 has an 'enum' of 6,000 values, with which the schema has 12,000"));
  Json letters = Json::array();
  for (unsigned i = 0; i < 2'000; i++)
    letters.push_back(std::string{static_cast<char>(0xE4 + (i >> 12)),
                                  static_cast<char>(0x80 | (i >> 6)),
                                  static_cast<char>(0x80 | (i & 0x3F))});
  EXPECT_TRUE(refuses(dump(Json{{"enum", letters}}),
                      "2,000 values that go on with 2,000 different characters"));
}

TEST(SchemaText, ANameThatCannotBeToldFromOthersIsRefusedBesideThem) {
  for (const char* name : {"^a", "a]", R"(a\\b)", R"(a\u0000)"}) {
    const std::string properties = cat(R"("properties":{")", name, R"(":{}})");
    EXPECT_TRUE(refuses(cat("{", properties, R"(,"additionalProperties":true})"),
                        "set 'additionalProperties' to false"));
    EXPECT_TRUE(schema_for_grammar(cat("{", properties, "}"), Strict::Yes, "x")) << name;
    EXPECT_TRUE(refuses(cat(R"({"type":"object","required":[")", name, R"("]})"),
                        "set 'additionalProperties' to false"));
  }
}

// As pydantic writes them.
TEST(SchemaText, ModelsWithWhatIsNullableAreTakenByAStrictOne) {
  strict_takes({R"({"$defs":{"Kind":{"enum":["a","b"],"title":"Kind","type":"string"},
      "Home":{"properties":{"street":{"title":"Street","type":"string"},"number":{"anyOf":[
        {"type":"integer"},{"type":"null"}],"default":null,"title":"Number"}},
        "required":["street","number"],"title":"Home","type":"object","additionalProperties":false}},
      "properties":{"name":{"type":"string","maxLength":9},"kind":{"$ref":"#/$defs/Kind"},
        "home":{"anyOf":[{"$ref":"#/$defs/Home"},{"type":"null"}],"default":null},
        "homes":{"items":{"$ref":"#/$defs/Home"},"type":"array","maxItems":3,"title":"Homes"},
        "old":{"allOf":[{"$ref":"#/$defs/Home"}],"description":"d"},
        "day":{"format":"date","type":"string"},
        "pet":{"discriminator":{"propertyName":"k"},"oneOf":[{"$ref":"#/$defs/Home"},
          {"$ref":"#/$defs/Kind"}]}},
      "required":["name","kind","home","homes","day"],"title":"Person","type":"object",
      "additionalProperties":false})"});
}

// A '$ref' into what is rewritten leads to where it led before.
TEST(SchemaText, WhatIsRewrittenIsFoundByReferencesFromWithin) {
  const Json all = Json::parse(read(R"({"$ref":"#/$defs/n/items","$defs":{"n":{"type":
      ["integer","array"],"minimum":1.5,"required":["q"],"items":{"properties":{"x":{"$ref":"#/$defs/n"},
      "y":{"type":"string","pattern":"^a$"}},"required":["z"]}}}})"));
  ASSERT_TRUE(all.contains("places"));
  EXPECT_EQ(all["places"]["0-n"]["minimum"], 2);
  EXPECT_EQ(all["places"]["1-items"]["properties"].size(), 3U);
  EXPECT_EQ(all["places"]["1-items"], all["places"]["0-n"]["items"]);
}

TEST(SchemaText, WhatIsNoSchemaSaysWhere) {
  EXPECT_TRUE(refuses("[]", "at # is not an object"));
  EXPECT_TRUE(refuses("{", "cannot be read"));
  EXPECT_TRUE(refuses(R"({"properties":{"a":5}})", "at #/properties/a is not an object"));
  EXPECT_TRUE(refuses(R"x({"pattern":"(?=x)"})x", "cannot be made into a grammar"));
  EXPECT_TRUE(refuses(R"({"const":"\ud800"})", "cannot be read"));
  EXPECT_TRUE(refuses(R"({"pattern":"\\ud800"})", "'\\uD800', half of a character"));
}

}  // namespace
}  // namespace lares::engine
