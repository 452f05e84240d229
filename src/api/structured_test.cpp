#include "api/structured.h"

#include <gtest/gtest.h>

#include "api/requests.h"
#include "base/text.h"

namespace lares::api {
namespace {

const consent::Principal kApp{"app", consent::Right::App};

// Of a chat with these fields: the worker's body, or the error.
Result<Json> body(const std::string& fields) {
  auto read = read_chat(cat(R"({"messages":[{"role":"user","content":"hi"}],)", fields, "}"), kApp);
  if (!read) return read.error();
  return read->works.at(0).body;
}
std::string param_of(const std::string& fields) {
  const auto read = body(fields);
  if (read) return "";
  EXPECT_EQ(row(read.error().code).http_status, 400) << read.error().message;
  EXPECT_TRUE(read.error().message.starts_with("reading the request: ")) << read.error().message;
  return read.error().param;
}
Json must_of(const std::string& fields) {
  const auto read = body(fields);
  EXPECT_TRUE(read) << read.error().message;
  return read ? read->value("must", Json()) : Json();
}

constexpr std::string_view kTools =
    R"("tools":[{"type":"function","function":{"name":"f","description":"d",
       "parameters":{"type":"object","properties":{"z":{},"a":{}}}}},{"function":{"name":"g"}}])";
std::string with_tools(std::string_view more) { return cat(kTools, ",", more); }

TEST(Structured, EveryNameForWhatAnAnswerMustBeComesToOneShape) {
  const std::string schema = R"({"type":"object","properties":{"z":{},"a":{}}})";
  const auto is = [](const char* kind, const Json& value, const char* param) {
    return Json{{kind, value}, {"param", param}};
  };
  EXPECT_EQ(
      must_of(cat(R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":)",
                  schema, "}}")),
      is("schema", schema, "response_format"));
  EXPECT_EQ(must_of(R"("response_format":{"type":"json_object"})"),
            is("schema", R"({"type":"object"})", "response_format"));
  EXPECT_EQ(must_of(cat(R"("json_schema":)", schema)), is("schema", schema, "json_schema"));
  EXPECT_EQ(must_of(R"("grammar":"root ::= [0-9]")"), is("grammar", "root ::= [0-9]", "grammar"));
  EXPECT_EQ(must_of(cat(R"("guided_json":)", schema)), is("schema", schema, "guided_json"));
  EXPECT_EQ(must_of(cat(R"("guided_json":)", dump(Json(schema)))),
            is("schema", schema, "guided_json"));
  EXPECT_EQ(must_of(R"("guided_regex":"a+")"), is("regex", "a+", "guided_regex"));
  EXPECT_EQ(must_of(R"("structured_outputs":{"choice":["a","b"],"regex":null})"),
            is("choice", {"a", "b"}, "structured_outputs.choice"));
  EXPECT_TRUE(must_of(R"("response_format":{"type":"json_schema","json_schema":{"strict":true,
                         "schema":{"type":"null"}}})")["strict"]
                  .get<bool>());
  for (const char* nothing :
       {R"("response_format":{"type":"text"})", R"("grammar":"")", R"("json_schema":null)"})
    EXPECT_TRUE(must_of(nothing).is_null()) << nothing;
}

TEST(Structured, ToolsKeepTheOrderOfTheirParameters) {
  const auto read = body(std::string(kTools));
  ASSERT_TRUE(read) << read.error().message;
  const Json& tools = (*read)["tools"];
  EXPECT_EQ(tools[0]["parameters"], R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(tools[0]["description"], "d");
  EXPECT_EQ(tools[1], Json({{"name", "g"}, {"description", ""}, {"parameters", "{}"}}));
  EXPECT_EQ((*read)["tool_choice"], "auto");
  EXPECT_EQ((*read)["parallel_tool_calls"], true);
}

TEST(Structured, AToolThatIsStrictSaysSoToTheEngine) {
  const auto read = body(R"("tools":[{"function":{"name":"f","strict":true}},
      {"function":{"name":"g","strict":false}},{"function":{"name":"h","strict":null}}])");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ((*read)["tools"][0].value("strict", Json()), true);
  EXPECT_FALSE((*read)["tools"][1].contains("strict"));
  EXPECT_FALSE((*read)["tools"][2].contains("strict"));
  EXPECT_EQ(param_of(R"("tools":[{"function":{"name":"f","strict":1}}])"),
            "tools[0].function.strict");
}

TEST(Structured, ANamedFunctionIsTheOnlyOneAndRequired) {
  const auto named =
      body(with_tools(R"("tool_choice":{"type":"function","function":{"name":"g"}})"));
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ((*named)["tools"].size(), 1u);
  EXPECT_EQ((*named)["tools"][0]["name"], "g");
  EXPECT_EQ((*named)["tool_choice"], "required");
  EXPECT_FALSE(body(with_tools(R"("tool_choice":"none")"))->contains("tools"));
  EXPECT_EQ((*body(with_tools(
                R"("tool_choice":"required","parallel_tool_calls":false)")))["parallel_tool_calls"],
            false);
}

TEST(Structured, BadToolsSayWhichIsWrong) {
  const std::string name = R"("tools":[{"type":"function","function":{"name":)";
  for (const char* bad : {R"("")", R"("a b")", R"("../x")", R"("\u00e9")", "7"})
    EXPECT_EQ(param_of(cat(name, bad, "}}]")), "tools[0].function.name") << bad;
  EXPECT_EQ(param_of(cat(name, '"', std::string(65, 'x'), R"("}}])")), "tools[0].function.name");
  EXPECT_EQ(param_of(R"("tools":[{"function":{}}])"), "tools[0].function.name");
  EXPECT_EQ(param_of(R"("tools":[{}])"), "tools[0].function");
  EXPECT_EQ(param_of(R"("tools":[7])"), "tools[0]");
  EXPECT_EQ(param_of(R"("tools":[{"function":{"name":"f","parameters":[]}}])"),
            "tools[0].function.parameters");
  EXPECT_EQ(param_of(R"("tools":[{"function":{"name":"f"}},{"function":{"name":"f"}}])"),
            "tools[1].function.name");
  std::string many;
  for (int i = 0; i < 129; i++)
    many += cat(i > 0 ? "," : "", R"({"function":{"name":"f)", i, "\"}}");
  EXPECT_EQ(param_of(cat(R"("tools":[)", many, "]")), "tools");
}

TEST(Structured, AChoiceMustBeOfWhatIsOffered) {
  EXPECT_EQ(param_of(with_tools(R"("tool_choice":{"type":"function","function":{"name":"h"}})")),
            "tool_choice.function.name");
  EXPECT_EQ(param_of(with_tools(R"("tool_choice":"any")")), "tool_choice");
  EXPECT_EQ(param_of(with_tools(R"("tool_choice":{})")), "tool_choice");
  EXPECT_EQ(param_of(with_tools(R"("tool_choice":{"type":"allowed_tools"})")), "tool_choice.type");
  EXPECT_EQ(param_of(R"("tool_choice":"required")"), "tool_choice");
  EXPECT_EQ(param_of(R"("tools":[],"tool_choice":{"function":{"name":"f"}})"), "tool_choice");
  EXPECT_EQ(param_of(R"("tool_choice":"none")"), "");
}

TEST(Structured, AToolThatIsNamedIsCalledOnce) {
  const auto parallel = [](const std::string& choice) {
    const std::string body =
        cat(R"({"tools":[{"function":{"name":"f"}}],"tool_choice":)", choice, "}");
    Json out;
    EXPECT_TRUE(read_structured(Json::parse(body), body, out));
    return out["parallel_tool_calls"].get<bool>();
  };
  EXPECT_FALSE(parallel(R"({"function":{"name":"f"}})"));
  EXPECT_TRUE(parallel(R"("required")"));
  EXPECT_EQ(param_of(R"("tools":[{"function":{"name":"f","parameters":{"type":"string"}}}])"),
            "tools[0].function.parameters.type");
  EXPECT_EQ(param_of(R"("structured_outputs":{"jsn":{}})"), "structured_outputs.jsn");
}

TEST(Structured, OneAnswerIsOneThing) {
  EXPECT_EQ(param_of(R"("response_format":{"type":"json_object"},"grammar":"root ::= [0-9]")"),
            "grammar");
  EXPECT_EQ(param_of(R"("structured_outputs":{"regex":"a","choice":["b"]})"),
            "structured_outputs.choice");
  EXPECT_EQ(param_of(with_tools(R"("response_format":{"type":"json_object"})")), "response_format");
  EXPECT_EQ(
      param_of(with_tools(R"("response_format":{"type":"json_object"},"tool_choice":"none")")), "");
  EXPECT_EQ(param_of(with_tools(R"("lares":{"conversation":"c-0000000000000000"})")), "tools");
}

TEST(Structured, WhatIsTooMuchIsToldBeforeAnybodyLooksIntoIt) {
  const std::string much(70 << 10, '(');
  EXPECT_EQ(param_of(cat(R"("grammar":")", much, '"')), "grammar");
  EXPECT_EQ(param_of(cat(R"("guided_regex":")", much, '"')), "guided_regex");
  EXPECT_EQ(param_of(cat(R"("structured_outputs":{"regex":")", much, "\"}")),
            "structured_outputs.regex");
  EXPECT_EQ(param_of(cat(R"("json_schema":{"pattern":")", much, much, "\"}")), "json_schema");
  EXPECT_EQ(param_of(cat(R"("tools":[{"function":{"name":"f","description":")", much, much, much,
                         much, "\"}}]")),
            "tools");
  EXPECT_EQ(param_of(R"("guided_choice":[])"), "guided_choice");
  for (const char* name : {"guided_regex", "guided_grammar"})
    EXPECT_EQ(param_of(cat('"', name, R"(":"")")), name);
  EXPECT_EQ(param_of(R"("structured_outputs":{"regex":""})"), "structured_outputs.regex");
  EXPECT_EQ(param_of(R"("structured_outputs":{})"), "structured_outputs");
  EXPECT_EQ(param_of(R"("structured_outputs":{"regex":null})"), "structured_outputs");
  EXPECT_EQ(param_of(R"("guided_choice":["a",""])"), "guided_choice[1]");
  EXPECT_EQ(param_of(R"("guided_choice":["a","b\u0000c"])"), "guided_choice[1]");
  const auto nul = body(R"("guided_choice":["\u0000"])");
  ASSERT_FALSE(nul);
  EXPECT_NE(nul.error().message.find("U+0000"), std::string::npos) << nul.error().message;
}

TEST(Structured, AFormatSaysWhatIsMissing) {
  for (const auto& [format, param] : std::vector<std::pair<const char*, const char*>>{
           {R"({"schema":{}})", "response_format.type"},
           {R"({"type":"xml"})", "response_format.type"},
           {R"({"type":"json_schema"})", "response_format.json_schema"},
           {R"({"type":"json_schema","json_schema":{"name":"x"}})",
            "response_format.json_schema.schema"},
           {R"({"type":"json_schema","json_schema":{"schema":7}})",
            "response_format.json_schema.schema"},
           {R"({"type":"json_schema","json_schema":{"schema":{},"strict":1}})",
            "response_format.json_schema.strict"}})
    EXPECT_EQ(param_of(cat(R"("response_format":)", format)), param) << format;
  EXPECT_EQ(param_of(R"("guided_json":"{")"), "guided_json");
}

}  // namespace
}  // namespace lares::api
