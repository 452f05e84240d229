// Answers that have to be something, with a real model: schemas, regular expressions, choices and
// grammars; what from outside would end a worker; and what reading an answer costs.
#include <chat.h>
#include <json-schema-to-grammar.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>

#include "base/json.h"
#include "engine/answer_reader.h"
#include "engine/backends/llama_chat.h"
#include "engine/backends/llama_structure.h"
#include "engine/schema_text.h"
#include "engine/testing/talk.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

const std::vector<std::string> kSmall = {"smollm2", "instruct"};

class Structured : public ::testing::Test {
 protected:
  void SetUp() override {
    wire::Load shape;
    shape.context = 1024;
    shape.sequences = 2;
    shape.threads = 1;
    Pulse pulse;
    auto tried = load(kSmall, shape, pulse, true);
    if (!tried && tried.error().code == Code::NotFound) GTEST_SKIP() << tried.error().message;
    talk = std::make_unique<Talk>([shape](Pulse& p) {
      auto model = load(kSmall, shape, p);
      EXPECT_TRUE(model);
      return *std::move(model);
    });
  }
  Heard& ask(const std::string& question, Json must, Json more = {{"temperature", 0}},
             Tokens tokens = 160) {
    more["must"] = std::move(must);
    if (!more.contains("max_tokens")) more["max_tokens"] = tokens;
    talk->chat(++last, question, std::move(more));
    EXPECT_TRUE(talk->run());
    return (*talk)[last];
  }
  // The error of a request, which must come within a second.
  Error refused(Json must) {
    const auto from = std::chrono::steady_clock::now();
    talk->complete(++last, "Once", {{"must", std::move(must)}, {"max_tokens", 4}});
    talk->run();
    const auto took = std::chrono::steady_clock::now() - from;
    EXPECT_LT(took, std::chrono::milliseconds(kSanitized ? 10'000 : 1'000));
    const Heard& heard = (*talk)[last];
    EXPECT_TRUE(heard.failed) << "it was answered: " << heard.text;
    return heard.failed ? *heard.failed : Error{Code::Io, ""};
  }
#if defined(__SANITIZE_ADDRESS__)
  static constexpr bool kSanitized = true;
#else
  static constexpr bool kSanitized = false;
#endif
  std::unique_ptr<Talk> talk;
  uint64_t last = 0;
};

TEST_F(Structured, ASchemaIsKeptToWhateverTheTemperature) {
  const std::string schema =
      R"({"type":"object","properties":{"name":{"type":"string","maxLength":20},
          "code":{"type":"string","pattern":"^[A-Z]{2}-\\d{3}\"?$"},
          "age":{"type":"integer","minimum":3,"maximum":120},
          "tags":{"type":"array","items":{"enum":["red","green"]},"maxItems":3}},
          "required":["name","code","age","tags"],"additionalProperties":false})";
  for (const double temperature : {0.0, 1.5}) {
    for (int seed = 0; seed < 2; seed++) {
      const Heard& heard =
          ask("Tell me of a person.", {{"schema", schema}, {"param", "p"}},
              {{"temperature", temperature}, {"seed", seed}, {"ignore_eos", true}});
      ASSERT_TRUE(heard.done) << heard.failed->message;
      EXPECT_EQ(heard.done->reason, "stop") << heard.text;
      const auto read = parse_json(heard.text);
      ASSERT_TRUE(read) << heard.text;
      EXPECT_LE((*read)["name"].get<std::string>().size(), 80U);
      EXPECT_GE((*read)["age"].get<int>(), 3);
      EXPECT_LE((*read)["age"].get<int>(), 120);
      const auto code = (*read)["code"].get<std::string>();
      EXPECT_TRUE(code.size() >= 6 && code[2] == '-' && code[0] >= 'A' && code[0] <= 'Z') << code;
      for (const Json& tag : (*read)["tags"]) EXPECT_TRUE(tag == "red" || tag == "green");
    }
  }
}

TEST_F(Structured, ARegexAChoiceAndAGrammarAreKeptTo) {
  const Heard& regex = ask("When?", {{"regex", "\\d{4}-\\d{2}-\\d{2}( at noon)?"}, {"param", "p"}});
  ASSERT_TRUE(regex.done) << regex.failed->message;
  EXPECT_EQ(regex.done->reason, "stop");
  EXPECT_TRUE(regex.text.size() == 10 || regex.text.size() == 18) << regex.text;
  EXPECT_EQ(regex.text[4], '-');

  const std::set<std::string> words = {"yes", "no", "it \"depends\"\n"};
  const Heard& choice = ask("Is water wet?", {{"choice", Json(words)}, {"param", "p"}});
  ASSERT_TRUE(choice.done) << choice.failed->message;
  EXPECT_TRUE(words.contains(choice.text)) << choice.text;

  const Heard& grammar =
      ask("Count.", {{"grammar", "root ::= [0-9] (\", \" [0-9]){3,5}"}, {"param", "p"}});
  ASSERT_TRUE(grammar.done) << grammar.failed->message;
  EXPECT_TRUE(grammar.text.size() >= 10 && grammar.text.size() <= 16) << grammar.text;

  talk->complete(++last, "The number is ", {{"must", {{"regex", "[0-9]{3}"}, {"param", "p"}}}});
  ASSERT_TRUE(talk->run());
  EXPECT_EQ((*talk)[last].text.size(), 3U);
}

// They are a tree in the grammar (choice_grammar.h).
TEST_F(Structured, OneOfAThousandThatBeginAlikeIsChosen) {
  Json words = Json::array();
  for (int i = 0; i < 500; i++)
    for (const char* kind : {"apple", "pear \"green\""}) words.push_back(cat(kind, " number ", i));
  for (const Json& must :
       std::vector<Json>{{{"choice", words}, {"param", "p"}},
                         {{"schema", dump(Json{{"enum", words}})}, {"param", "p"}}}) {
    const Heard& heard = ask("Which?", must);
    ASSERT_TRUE(heard.done) << heard.failed->message;
    EXPECT_EQ(heard.done->reason, "stop");
    Json said = heard.text;
    if (must.contains("schema")) {
      const auto parsed = parse_json(heard.text);
      ASSERT_TRUE(parsed) << heard.text;
      said = *parsed;
    }
    EXPECT_NE(std::find(words.begin(), words.end(), said), words.end()) << heard.text;
  }
}

// What the converter makes of a schema, without a model.
bool takes(const std::string& grammar, const std::string& text) {
  const auto made = llama::Grammar::make(nullptr, grammar, {}, {}, "p");
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return made && (*made)->accept(text) && (*made)->may_end();
}
bool schema_takes(const std::string& schema, const std::string& text) {
  Must must;
  must.schema = schema;
  must.param = "p";
  const auto grammar = llama::grammar_of(must);
  EXPECT_TRUE(grammar) << (grammar ? "" : grammar.error().message);
  return grammar && takes(*grammar, text);
}

// By the converter's names they would be one rule (schema_names.h).
TEST(RealGrammars, PlacesWithOneNameAreKeptApart) {
  const std::string properties =
      R"({"type":"object","properties":{"p":{"$ref":"#/$defs/a"},"q":{"$ref":"#/$defs/a-x"}},
          "required":["p","q"],"additionalProperties":false,"$defs":{"a":{"type":"object",
          "properties":{"x":{"enum":["one"]}},"required":["x"],"additionalProperties":false},
          "a-x":{"enum":["two"]}}})";
  EXPECT_TRUE(schema_takes(properties, R"({"p":{"x":"one"},"q":"two"})"));
  EXPECT_FALSE(schema_takes(properties, R"({"p":{"x":"one"},"q":"one"})"));
  const std::string names =
      R"({"type":"array","items":[{"$ref":"#/$defs/a_b"},{"$ref":"#/$defs/a.b"}],
          "$defs":{"a_b":{"enum":["one"]},"a.b":{"enum":["two"]}}})";
  EXPECT_TRUE(schema_takes(names, R"(["one","two"])"));
  EXPECT_FALSE(schema_takes(names, R"(["one","one"])"));
  const std::string beside =
      R"({"type":"object","properties":{"ref":{"type":"object","properties":{"defs-a":{"enum":[1]}},
          "required":["defs-a"]},"q":{"$ref":"#/$defs/a"}},"required":["ref","q"],
          "$defs":{"a":{"enum":[2]}}})";
  EXPECT_TRUE(schema_takes(beside, R"({"ref":{"defs-a":1},"q":2})"));
  EXPECT_FALSE(schema_takes(beside, R"({"ref":{"defs-a":1},"q":1})"));
  // one that comes to itself
  const std::string self =
      R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"next":{"anyOf":[
          {"type":"null"},{"$ref":"#/$defs/n"}]},"v":{"$ref":"#/$defs/n-v"}},"required":["next","v"]},
          "n-v":{"enum":[7]}}})";
  EXPECT_TRUE(schema_takes(self, R"({"next":{"next":null,"v":7},"v":7})"));
}

TEST(RealGrammars, PropertiesWithNamesOfTypesRulesAreKeptApart) {
  const auto alone = [](const std::string& schema) {
    return json_schema_to_grammar(
        common_json::parse(schema_alone(*schema_for_grammar(schema, Strict::Yes, "p"))), true);
  };
  const std::string number = alone(
      R"({"type":"object","properties":{"integral_part":{"enum":["x"]},"n":{"type":"number"}},
          "required":["integral_part","n"],"additionalProperties":false})");
  EXPECT_TRUE(takes(number, R"({"integral_part":"x","n":5})"));
  const std::string date = alone(
      R"({"type":"object","properties":{"date_time":{"type":"string","maxLength":3},
          "d":{"type":"string","format":"date-time"}},"required":["date_time","d"]})");
  EXPECT_TRUE(takes(date, R"({"date_time":"now","d":"2024-01-02T03:04:05Z"})"));
}

TEST(RealGrammars, AnEnumOfTwoThousandIsATree) {
  Json words = Json::array();
  for (int i = 0; i < 2'000; i++) words.push_back(cat("value \"", i, "\" of a long list"));
  const std::string schema = dump(Json{{"enum", words}});
  EXPECT_TRUE(schema_takes(schema, dump(words[1'999])));
  EXPECT_FALSE(schema_takes(schema, dump(Json(cat("value \"", 2'000, "\" of a long list")))));
}

TEST(RealGrammars, NothingIsATextAsWell) {
  Must must;
  must.param = "p";
  must.regex = "^$";
  const auto grammar = llama::grammar_of(must);
  ASSERT_TRUE(grammar);
  EXPECT_TRUE(takes(*grammar, ""));
  EXPECT_FALSE(takes(*grammar, "a"));
}

TEST_F(Structured, LogprobsAreOfWhatTheModelComputed) {
  const Heard& heard = ask("Is water wet?", {{"choice", {"yes", "no"}}, {"param", "p"}},
                           {{"logprobs", true}, {"top_logprobs", 2}, {"temperature", 0}});
  ASSERT_TRUE(heard.done);
  ASSERT_FALSE(heard.logprobs.empty());
  for (const Json& one : heard.logprobs) EXPECT_LE(one["logprob"].get<double>(), 0);
}

TEST_F(Structured, WhatWouldEndAWorkerIsRefusedByName) {
  const auto grammar = [](std::string text) {
    return Json{{"grammar", std::move(text)}, {"param", "grammar"}};
  };
  std::string chain = "root ::= a0\n";
  for (int i = 0; i < 40; i++) chain += cat("a", i, " ::= a", i + 1, " | a", i + 1, "\n");
  chain += "a40 ::= \"x\"\n";
  std::string deep;
  for (int i = 0; i < 10'000; i++) deep += cat("r", i, " ::= r", i + 1, "\n");
  const std::pair<std::string, std::string> kBad[] = {
      {"root ::= root \"a\" | \"b\"", "begins with itself"},
      {"root ::= b root \"a\" | \"c\"\nb ::= c\nc ::= \"\" | \"x\"", "begins with itself"},
      {"root ::= \"a\" root", "can never be met"},
      {"root ::= a\na ::= b\nb ::= \"x\" a", "can never be met"},
      {"root ::= [^\\x00-\\U0010FFFF]", "tokens"},
      {"root = 5", "is no grammar"},
      {"other ::= \"a\"", "no rule 'root'"},
      {"root ::= nobody", "is no grammar"},
      {"root ::= \"a\"{1,100000}", "elements"},
      {"root ::= (\"a\"{1,1000}){1,1000}", ""},
      {"root ::= \"a\"{5,2}", "which is never"},
      {"root ::= b\nb ::= (\"a\" | \"c\"){3,1}", "which is never"},
      {"root ::= (\"a\" | \"a\" | \"a\" \"a\")*", "too many ways"},
      {"root ::= (\"a\"?){1000} \"b\"", ""},
      {"root ::= " + std::string(60'000, '('), "deep"},
      {"root ::= " + std::string(3'000, '(') + "\"a\"" + std::string(3'000, ')'), "deep"},
      {chain, "too tangled"},
      {"root ::= r0\n" + deep + "r10000 ::= \"x\"\n", "too tangled"},
      {"root ::= <[99999999]>", "names the token 99999999"},
      {"root ::= \"\\x", "is no grammar"},
      {"root ::= []", "a class that no character is in"},
      {"root ::= \"\\ud800\"", "half of a character"},
      {"%llguidance {}\nstart: \"a\"", "is no grammar"},
  };
  for (const auto& [text, words] : kBad) {
    const Error error = refused(grammar(text));
    EXPECT_EQ(error.code, Code::Invalid) << text.substr(0, 60);
    EXPECT_EQ(error.param, "grammar");
    EXPECT_NE(error.message.find(words), std::string::npos)
        << text.substr(0, 60) << ": " << error.message;
  }
  for (const auto& [regex, words] : std::vector<std::pair<std::string, std::string>>{
           {"(a{1,1000}){1,1000}", ""},
           {"((a{0,1000}){0,1000}){0,1000}", "too tangled"},
           {"x((a?){100}){100}", ""},
           {"(a?b?c?d?){300}e", ""},
           {"(a|a)*b", "too many ways"},
           {"((.)*){1,500}", "too tangled"},
           {"xyz((\\s*){2}){1,500}", "too tangled"},
           {"((.){0,90}){0,90}", "too many ways"},
           {"(", "without its ')'"},
           {"\\ud800", "half of a character"},
           {"(?=x)", "looks around"}}) {
    const Error error = refused({{"regex", regex}, {"param", "guided_regex"}});
    EXPECT_EQ(row(error.code).http_status, 400) << regex << ": " << error.message;
    EXPECT_EQ(error.param, "guided_regex");
    EXPECT_NE(error.message.find(words), std::string::npos) << regex << ": " << error.message;
  }
  for (
      const std::string schema :
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})", R"({"$ref":"#/nobody"})",
       R"({"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}}})",
       R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})",
       R"({"$defs":{"a":{"type":"object","properties":{"b":{"$ref":"#/$defs/a"}},"required":["b"]}},
            "$ref":"#/$defs/a"})",
       R"({"type":"object","properties":{"a":{"type":"string","pattern":"^(a+)+$"}}})",
       R"({"type":"string","pattern":"(("})", R"({"type":"dog"})", R"({"enum":[]})"}) {
    const Error error = refused({{"schema", schema}, {"param", "response_format"}});
    EXPECT_EQ(row(error.code).http_status, 400) << schema << ": " << error.message;
    EXPECT_EQ(error.param, "response_format") << schema;
  }
  // and the model is as good as before
  const Heard& fine = ask("Is water wet?", {{"choice", {"yes", "no"}}, {"param", "p"}});
  EXPECT_TRUE(fine.done);
}

TEST_F(Structured, ToolsThatTheTemplateDoesNotKnowAreRefused) {
  talk->chat(1, "Hi", {{"tools", Json::array({{{"name", "f"}, {"parameters", "{}"}}})}});
  talk->run();
  ASSERT_TRUE((*talk)[1].failed);
  EXPECT_EQ((*talk)[1].failed->code, Code::Unsupported);
  EXPECT_EQ((*talk)[1].failed->param, "tools");
}

// One answer, token by token, of a model whose prompt has begun a thought for it.
struct Thought {
  std::string all;     // its text
  size_t tokens = 0;   // that were thought
  std::string behind;  // the answer
};
Thought think(Model& model, llama::LlamaConstraint constraint, std::optional<Tokens> budget,
              int stop_after = -1, bool begun = true) {
  constraint.tags = {"<think>", {"</think>"}};
  constraint.prompt_end = begun ? "<think>\n" : "";
  Sampling sampling;
  sampling.temperature = 0;
  sampling.thinking_max = budget;
  sampling.constraint = std::make_shared<llama::LlamaConstraint>(std::move(constraint));
  model.forget();
  const auto prompt =
      *model.tokenize(cat("<|im_start|>user\nIs water wet?<|im_end|>\n<|im_start|>assistant\n",
                          begun ? "<think>\n" : "<think>\n\n</think>\n\n"),
                      Special::Parsed);
  if (!begun) {  // a model that would rather say nothing
    for (Token token = 0; token < static_cast<Token>(model.facts().vocabulary); token++) {
      if (model.ends(token)) sampling.logit_bias.push_back({token, 100});
    }
  }
  auto sampler = model.sampler(sampling, prompt);
  EXPECT_TRUE(sampler) << sampler.error().message;
  std::vector<Row> rows;
  for (size_t i = 0; i < prompt.size(); i++)
    rows.push_back({prompt[i], static_cast<Position>(i), 0, i + 1 == prompt.size()});
  Thought out;
  for (int n = 0; n < 80; n++) {
    EXPECT_EQ(model.decode(rows), Decoded::Ok);
    if (n == stop_after) (*sampler)->stop_thinking();
    const auto chosen = (*sampler)->choose(static_cast<int>(rows.size()) - 1, {});
    EXPECT_TRUE(chosen) << chosen.error().message;
    if (!chosen || chosen->last || model.ends(chosen->token)) break;
    out.tokens += chosen->thinking ? 1 : 0;
    const std::string piece = model.piece(chosen->token, Special::AsText);
    out.all += piece;
    rows = {{chosen->token, rows.back().position + 1, 0, true}};
  }
  const size_t end = out.all.find("</think>");
  if (end != std::string::npos) out.behind = trimmed(out.all.substr(end + 8));
  return out;
}

TEST(RealThinking, ABudgetIsKeptToInTokensAndTheAnswerComes) {
  wire::Load shape;
  shape.context = 512;
  shape.threads = 1;
  LOAD_OR_SKIP(model, kSmall, shape);
  for (const Tokens budget : {0U, 1U, 20U}) {
    const Thought thought = think(model, {}, budget);
    EXPECT_LE(thought.tokens, budget) << thought.all;
    EXPECT_NE(thought.all.find("</think>"), std::string::npos) << thought.all;
    EXPECT_FALSE(thought.behind.empty()) << budget;
  }
  // its template has closed the thought already
  const Thought without = think(model, {}, 0, -1, false);
  EXPECT_EQ(without.tokens, 0U);
  EXPECT_FALSE(trimmed(without.all).empty());
  const Thought stopped = think(model, {}, {}, 10);
  EXPECT_EQ(stopped.tokens, 10U);
  EXPECT_FALSE(stopped.behind.empty());
}

TEST(RealThinking, WhatTheAnswerMustBeIsNotTheThoughts) {
  wire::Load shape;
  shape.context = 512;
  shape.threads = 1;
  LOAD_OR_SKIP(model, kSmall, shape);
  llama::LlamaConstraint constraint;
  constraint.grammar = "root ::= \"yes\" | \"no\"";
  constraint.param = "p";
  constraint.after_thinking = true;
  const Thought thought = think(model, constraint, 15);
  EXPECT_EQ(thought.tokens, 15U);
  EXPECT_TRUE(thought.behind == "yes" || thought.behind == "no") << thought.all;
}

// Reading an answer again from its beginning would take quadratic time.
TEST(Reading, OfALongAnswerTakesAShareOfItsTime) {
  Pulse pulse;
  const fs::path file =
      fs::path(LARES_ENGINE_SOURCE) / "models" / "templates" / "Qwen-Qwen3-0.6B.jinja";
  if (!fs::exists(file)) GTEST_SKIP() << file.string() << " is not there";
  std::string source(fs::file_size(file), '\0');
  std::ifstream(file).read(source.data(), static_cast<std::streamsize>(source.size()));
  const llama::ChatTemplate model(nullptr, source, pulse);
  Structure structure;
  structure.tools = {{"f", "", R"({"type":"object","properties":{"a":{"type":"string"}}})"}};
  const Json question = Json::array({{{"role", "user"}, {"content", "Hi"}}});
  const auto rendered = model.render({question, Json(), structure});
  ASSERT_TRUE(rendered) << rendered.error().message;

  class Stepping final : public Clock {  // the real clock, and 5 ms for each token
   public:
    SteadyTime now() const override { return std::chrono::steady_clock::now() + more; }
    WallTime wall() const override { return {}; }
    std::chrono::nanoseconds more{};
  } clock;
  AnswerReader reader(rendered->format, clock, 1);
  constexpr int kTokens = 8'000;
  const auto from = std::chrono::steady_clock::now();
  std::string told;
  int pieces = 0;
  for (int i = 0; i < kTokens; i++) {
    clock.more += std::chrono::milliseconds(5);
    const auto news = reader.add(cat(i == 0 ? "<think>\nhm</think>\n\n" : "", "word", i % 10, " "));
    told += news.text;
    pieces += news.empty() ? 0 : 1;
  }
  told += reader.end().text;
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - from;
  std::printf("reading %d tokens: %.0f ms, %.3f ms a token, told in %d pieces\n", kTokens,
              took.count(), took.count() / kTokens, pieces);
  EXPECT_LT(took.count(), 2 * kTokens * 5.0 / AnswerReader::kIdleShare);
  EXPECT_GT(told.size(), 6U * kTokens - 10);
}

}  // namespace
}  // namespace lares::engine::testing
