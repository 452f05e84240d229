#include "api/requests.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "api/media.h"
#include "base/text.h"

namespace lares::api {
namespace {

const consent::Principal kApp{"app:test", consent::Right::App, 1000};

// A good chat request with one field set to `value` (JSON text).
std::string chat(std::string_view field, std::string_view value) {
  return cat(R"({"messages":[{"role":"user","content":"hi"}],")", field, "\":", value, "}");
}
std::string completion(std::string_view field, std::string_view value) {
  return cat(R"({"prompt":"hi",")", field, "\":", value, "}");
}
std::string embedding(std::string_view field, std::string_view value) {
  return cat(R"({"input":"hi",")", field, "\":", value, "}");
}

// Of the tables with several required fields: a good body, one field of which is `value`.
std::string with_field(Json good, std::string_view field, std::string_view value) {
  good.erase(std::string(field));
  std::string text = dump(good);
  text.insert(text.size() - 1, cat(good.empty() ? "" : ",", "\"", field, "\":", value));
  return text;
}
std::string infill(std::string_view field, std::string_view value) {
  return with_field({{"input_prefix", "a"}, {"input_suffix", "b"}}, field, value);
}
std::string reranking(std::string_view field, std::string_view value) {
  return with_field({{"query", "a"}, {"documents", {"b"}}}, field, value);
}

Error error_of(const Result<GenerationRequest>& result) {
  EXPECT_FALSE(result);
  return result ? Error{Code::Io, ""} : result.error();
}
Error chat_error(std::string_view body) { return error_of(read_chat(body, kApp)); }
Error infill_error(std::string_view body) { return error_of(read_infill(body, kApp)); }
Error rerank_error(std::string_view body) {
  const auto read = read_rerank(body, kApp, "/v1/rerank");
  EXPECT_FALSE(read);
  return read ? Error{Code::Io, ""} : read.error();
}
Error completion_error(std::string_view body) { return error_of(read_completion(body, kApp)); }

Json chat_body(std::string_view body) {
  auto read = read_chat(body, kApp);
  EXPECT_TRUE(read) << read.error().message;
  return read ? read->works.front().body : Json();
}

// --- numbers ------------------------------------------------------------------------------------

using MakeBody = std::string (*)(std::string_view, std::string_view);
using ReadError = Error (*)(std::string_view);
struct NumericTable {
  Table table;
  MakeBody body;
  ReadError error;
};
Error embedding_error(std::string_view body) {
  const auto read = read_embedding(body, kApp);
  EXPECT_FALSE(read);
  return read ? Error{Code::Io, ""} : read.error();
}
const NumericTable kTables[] = {
    {Table::Chat, chat, chat_error},          {Table::Completion, completion, completion_error},
    {Table::Infill, infill, infill_error},    {Table::Embedding, embedding, embedding_error},
    {Table::Rerank, reranking, rerank_error},
};

bool numeric(const RequestField& field) {
  return field.kind == FieldKind::Integer || field.kind == FieldKind::Number;
}

TEST(Fields, EveryNumberThatIsNoneNamesItsFieldItsValueAndItsRange) {
  for (const auto& [table, body, error] : kTables) {
    for (const RequestField& field : fields(table)) {
      if (!numeric(field)) continue;
      for (const char* bad : {"\"NaN\"", "\"7\"", "true", "[1]", "{}", "1e300", "-1e300",
                              "340282366920938463463374607431768211456"}) {
        const Error e = error(body(field.name, bad));
        EXPECT_EQ(e.code, Code::Invalid) << field.name << " = " << bad;
        EXPECT_EQ(e.param, field.name) << bad;
        EXPECT_NE(e.message.find(cat("'", field.name, "' is ")), std::string::npos) << e.message;
        EXPECT_NE(e.message.find("from "), std::string::npos) << e.message;
      }
    }
  }
}

TEST(Fields, NumbersJustOutsideTheirRangeAreRefusedAndItsEndsAreTaken) {
  for (const auto& [table, body, error] : kTables) {
    for (const RequestField& field : fields(table)) {
      if (!numeric(field) || field.name == "seed" || field.name == "best_of") continue;
      if (table == Table::Infill && field.name == "n") continue;  // one, however many may be asked
      const double step = field.kind == FieldKind::Integer ? 1 : 0.0001;
      for (const double bad : {field.least - step, field.most + step}) {
        const Error e = error(body(field.name, dump(Json(bad))));
        EXPECT_EQ(e.param, field.name) << bad;
      }
      for (const double good : {field.least, field.most}) {
        std::string with = body(field.name, dump(Json(good)));
        if (field.name == "top_logprobs") with.insert(1, R"("logprobs":true,)");
        const bool taken =
            table == Table::Chat         ? static_cast<bool>(read_chat(with, kApp))
            : table == Table::Completion ? static_cast<bool>(read_completion(with, kApp))
            : table == Table::Infill     ? static_cast<bool>(read_infill(with, kApp))
            : table == Table::Rerank     ? static_cast<bool>(read_rerank(with, kApp, "/v1/rerank"))
                                         : static_cast<bool>(read_embedding(with, kApp));
        EXPECT_TRUE(taken) << with;
      }
    }
  }
}

TEST(Fields, AnIntegerMayBeWrittenWithAPointButNotBeAFraction) {
  EXPECT_EQ(chat_body(chat("max_tokens", "16.0"))["max_tokens"], 16);
  for (const char* name : {"max_tokens", "top_k", "repeat_last_n", "seed", "n"}) {
    const Error e = chat_error(chat(name, "1.5"));
    EXPECT_EQ(e.param, name);
    EXPECT_NE(e.message.find("1.5"), std::string::npos) << e.message;
  }
}

TEST(Fields, ANumberThatNoDoubleHoldsIsRefused) {
  const Error e = chat_error(chat("temperature", "1e999"));
  EXPECT_EQ(e.code, Code::Invalid);
  EXPECT_NE(e.message.find("1e999"), std::string::npos) << e.message;
}

TEST(Fields, AThousandAnswersAreRefusedWithTheLimit) {
  EXPECT_EQ(chat_error(chat("n", "1000")).message,
            "reading the request: 'n' is 1000, but must be an integer from 1 to 8");
}

TEST(Fields, SeedsOf64BitsAreFoldedAndMinusOneIsNone) {
  EXPECT_EQ(chat_body(chat("seed", "7"))["seed"], 7);
  EXPECT_EQ(chat_body(chat("seed", "4294967296"))["seed"], 1);
  EXPECT_FALSE(chat_body(chat("seed", "-1")).contains("seed"));
  EXPECT_LE(chat_body(chat("seed", "9223372036854775807"))["seed"].get<uint64_t>(), 0xFFFFFFFEu);
  EXPECT_TRUE(read_chat(chat("seed", "-9223372036854775808"), kApp));
  EXPECT_EQ(chat_error(chat("seed", "9223372036854775808")).param, "seed");
  EXPECT_EQ(chat_error(chat("seed", "-9223372036854775809")).param, "seed");
}

// --- the other kinds ----------------------------------------------------------------------------

TEST(Fields, NullIsAsGoodAsLeftOut) {
  for (const RequestField& field : fields(Table::Chat)) {
    if (field.required) continue;
    EXPECT_TRUE(read_chat(chat(field.name, "null"), kApp)) << field.name;
  }
}

// Known or ignored, what is of a wrong type is refused with its name, its value and what is
// allowed.
TEST(Fields, AValueOfAnotherTypeIsRefusedInEveryField) {
  const std::tuple<const char*, const char*, const char*> values[] = {
      {"boolean", "true", "true"},
      {"number", "1", "1"},
      {"string", R"("a value of its own")", "a string of 18 bytes"},
      {"array", "[true]", "an array of 1"},
      {"object", R"({"a":{}})", "an object of 1"}};
  for (const auto& [table, body, error] : kTables) {
    for (const RequestField& field : fields(table)) {
      const Json described = Json::parse(schema(table))["properties"][std::string(field.name)];
      std::set<std::string> types = {described.value("type", "")};
      for (const Json& one : described.value("anyOf", Json::array())) types.insert(one["type"]);
      if (types.contains("integer")) types.insert("number");
      if (field.kind == FieldKind::OneWord || field.kind == FieldKind::Nothing)
        types.insert("object");  // refused as not done yet
      for (const auto& [type, value, is] : values) {
        if (types.contains(type)) continue;
        const bool alone = field.required && table != Table::Infill && table != Table::Rerank;
        const Error e =
            error(alone ? cat("{\"", field.name, "\":", value, "}") : body(field.name, value));
        EXPECT_EQ(e.code, Code::Invalid) << field.name << " = " << value;
        EXPECT_EQ(e.param, field.name) << value;
        EXPECT_NE(e.message.find(cat("'", field.name, "' is ", is, ", but must be ")),
                  std::string::npos)
            << e.message;
      }
    }
  }
}

TEST(Fields, WhatIsTakenAndIgnoredReachesNoWorker) {
  const std::string plain = R"({"messages":[{"role":"user","content":"hi"}]})";
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"user", R"("u")"},
           {"user", dump(Json(std::string(5'000, 'x')))},
           {"metadata", R"({"a":"b","":1})"},
           {"store", "false"},
           {"service_tier", R"("auto")"},
           {"parallel_tool_calls", "true"},
           {"reasoning", R"({"effort":"low"})"},
           {"verbosity", R"("low")"},
           {"prediction", R"({"type":"content","content":"x"})"},
           {"safety_identifier", R"("x")"},
           {"prompt_cache_key", R"("x")"},
           {"prompt_cache_retention", R"("24h")"},
           {"stream_options", R"({"include_obfuscation":false})"},
           {"tool_choice", R"("")"},
           {"response_format", "{}"},
           {"tools", "[]"}})
    EXPECT_EQ(chat_body(chat(name, value)), chat_body(plain)) << name;
  EXPECT_TRUE(read_completion(completion("user", R"("u")"), kApp));
  EXPECT_TRUE(read_embedding(embedding("user", R"("u")"), kApp));
}

TEST(Fields, UnknownFieldsAreIgnored) {
  const Json body =
      chat_body(R"({"messages":[{"role":"user","content":"hi","x":1}],"unheard_of":[1]})");
  EXPECT_FALSE(body.contains("unheard_of"));
}

TEST(Fields, DefaultsOfTheTableReachTheWorker) {
  const Json body = chat_body(R"({"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(body["temperature"], 0.8);
  EXPECT_EQ(body["top_k"], 40);
  EXPECT_FALSE(body.contains("max_tokens"));
  EXPECT_FALSE(body.contains("seed"));
  const auto legacy = read_completion(R"({"prompt":"hi"})", kApp);
  ASSERT_TRUE(legacy);
  EXPECT_EQ(legacy->works[0].body["max_tokens"], 16);
}

TEST(Fields, EverySamplingFieldReachesTheWorker) {
  const Json body = chat_body(
      R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"temperature":0.1,"top_p":0.2,)"
      R"("top_k":3,"min_p":0.4,"typical_p":0.5,"presence_penalty":-1.5,"frequency_penalty":1.5,)"
      R"("repeat_penalty":1.1,"repeat_last_n":-1,"seed":9,"stop":["a","b"],"logit_bias":{"7":-100},)"
      R"("xtc_probability":0.5,"xtc_threshold":0.2,"dry_multiplier":0.8,"dry_base":2,"mirostat":1,)"
      R"("dry_allowed_length":3,"dry_penalty_last_n":-1,"dry_sequence_breakers":["\n"],)"
      R"("mirostat_tau":4,"mirostat_eta":0.2,"top_n_sigma":1.5,"dynatemp_range":0.5,"dynatemp_exponent":2,)"
      R"("logprobs":true,"top_logprobs":4,"ignore_eos":true,"stop_repeating":true,"chat_template_kwargs":{"x":1}})");
  const Json expected = Json::parse(
      R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"temperature":0.1,"top_p":0.2,)"
      R"("top_k":3,"min_p":0.4,"typical_p":0.5,"presence_penalty":-1.5,"frequency_penalty":1.5,)"
      R"("repeat_penalty":1.1,"repeat_last_n":-1,"seed":9,"stop":["a","b"],"logit_bias":{"7":-100},)"
      R"("xtc_probability":0.5,"xtc_threshold":0.2,"dry_multiplier":0.8,"dry_base":2,"mirostat":1,)"
      R"("dry_allowed_length":3,"dry_penalty_last_n":-1,"dry_sequence_breakers":["\n"],)"
      R"("mirostat_tau":4,"mirostat_eta":0.2,"top_n_sigma":1.5,"dynatemp_range":0.5,"dynatemp_exponent":2,)"
      R"("logprobs":true,"top_logprobs":4,"ignore_eos":true,"stop_repeating":true,"chat_template_kwargs":{"x":1}})");
  EXPECT_EQ(body, expected);
}

TEST(Fields, ABreakerIsAShortStringAndThereAreAtMostSixteen) {
  constexpr const char* kName = "dry_sequence_breakers";
  EXPECT_EQ(chat_body(chat(kName, "[]"))[kName], Json::array());
  EXPECT_EQ(chat_body(chat(kName, R"(["\n"])"))[kName], Json::array({"\n"}));
  const std::string longest(40, 'x');
  EXPECT_TRUE(read_chat(chat(kName, dump(Json::array({longest}))), kApp));
  for (const Json& bad :
       {Json::array({longest + "x"}), Json::array({""}), Json::array({std::string("\0", 1)})}) {
    EXPECT_EQ(chat_error(chat(kName, dump(bad))).param, "dry_sequence_breakers[0]") << dump(bad);
  }
  EXPECT_EQ(chat_error(chat(kName, dump(Json(std::vector<std::string>(17, "x"))))).param, kName);
}

TEST(Fields, AnAdapterHasANameAndAScale) {
  EXPECT_EQ(chat_body(chat("lora", R"([{"id":"a","scale":-0.5,"x":1},{"id":"b"}])"))["lora"],
            Json::parse(R"([{"id":"a","scale":-0.5},{"id":"b","scale":1}])"));
  EXPECT_EQ(chat_error(chat("lora", R"([{"id":0,"scale":1}])")).param, "lora[0].id");
  EXPECT_EQ(chat_error(chat("lora", R"([{"scale":1}])")).param, "lora[0].id");
  EXPECT_EQ(chat_error(chat("lora", R"([{"id":"a","scale":17}])")).param, "lora[0].scale");
  EXPECT_EQ(chat_error(chat("lora", R"([{"id":"a"},{"id":"a"}])")).param, "lora[1].id");
  EXPECT_EQ(chat_error(chat("lora", R"(["a"])")).param, "lora[0]");
  Json nine = Json::array();
  for (int i = 0; i < 9; i++) nine.push_back({{"id", cat(i)}});
  EXPECT_EQ(chat_error(chat("lora", dump(nine))).param, "lora");
}

TEST(Fields, ASuffixMakesAGapOfACompletion) {
  const auto read = read_completion(R"({"prompt":["a","b"],"suffix":"c"})", kApp);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->works.size(), 2u);
  EXPECT_EQ(read->works[1].kind, Work::Kind::Completion);
  EXPECT_EQ(read->works[1].body["input_prefix"], "b");
  EXPECT_EQ(read->works[1].body["input_suffix"], "c");
  EXPECT_FALSE(read->works[1].body.contains("prompt"));
  EXPECT_TRUE(
      read_completion(R"({"prompt":"a","suffix":""})", kApp)->works[0].body.contains("prompt"));
  EXPECT_EQ(completion_error(R"({"prompt":[1,2],"suffix":"c"})").param, "prompt");
  EXPECT_EQ(completion_error(R"({"prompt":"a","suffix":"c","echo":true})").param, "suffix");
}

TEST(Fields, AGapHasTwoSidesAndOtherFiles) {
  const auto read =
      read_infill(R"({"input_prefix":"a","input_suffix":"b","prompt":"c","n_predict":7,)"
                  R"("input_extra":[{"text":"d","filename":"e"},{"text":"f"}],"stream":true})",
                  kApp);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->stream);
  const Json& body = read->works[0].body;
  EXPECT_EQ(read->works[0].endpoint, "/infill");
  EXPECT_EQ(body["input_prefix"], "a");
  EXPECT_EQ(body["max_tokens"], 7);
  EXPECT_EQ(body["input_extra"],
            Json::parse(R"([{"filename":"e","text":"d"},{"filename":"file","text":"f"}])"));
  EXPECT_FALSE(read_infill(infill("n_predict", "-1"), kApp)->works[0].body.contains("max_tokens"));
  EXPECT_EQ(infill_error(R"({"input_prefix":"a"})").param, "input_suffix");
  EXPECT_EQ(infill_error(infill("n", "2")).param, "n");
  EXPECT_EQ(infill_error(infill("input_extra", R"([{"filename":"x"}])")).param, "input_extra[0]");
  EXPECT_EQ(infill_error(infill("input_extra", R"([{"text":"x","filename":1}])")).param,
            "input_extra[0].filename");
}

TEST(Fields, DocumentsAreTextsOrObjectsWithOne) {
  const auto read = read_rerank(
      R"({"query":"q","documents":["a",{"text":"b","id":3}],"top_n":9,"return_documents":true})",
      kApp, "/rerank");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->work.kind, Work::Kind::Rerank);
  EXPECT_EQ(read->work.endpoint, "/rerank");
  EXPECT_EQ(read->work.body, Json::parse(R"({"query":"q","documents":["a","b"]})"));
  EXPECT_EQ(read->count, 2u);
  EXPECT_EQ(read->top, 2u);
  EXPECT_EQ(read->documents, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(rerank_error(reranking("documents", "[]")).param, "documents");
  EXPECT_EQ(rerank_error(reranking("documents", R"(["a",1])")).param, "documents[1]");
  EXPECT_EQ(rerank_error(reranking("documents", R"([{"text":1}])")).param, "documents[0].text");
  EXPECT_EQ(rerank_error(R"({"documents":["a"]})").param, "query");
}

TEST(Fields, TheNewerNameOfMaxTokensWins) {
  EXPECT_EQ(chat_body(chat("max_completion_tokens", "9, \"max_tokens\": 5"))["max_tokens"], 9);
  EXPECT_EQ(chat_error(chat("max_completion_tokens", "0")).param, "max_completion_tokens");
}

TEST(Fields, StopIsAStringOrSixteenOfThem) {
  EXPECT_EQ(chat_body(chat("stop", R"("x")"))["stop"], Json::array({"x"}));
  EXPECT_EQ(chat_body(chat("stop", R"(["x","","y"])"))["stop"], Json::array({"x", "y"}));
  EXPECT_EQ(chat_body(chat("stop", R"("")"))["stop"], Json::array());
  const Json seventeen(17, "x");
  EXPECT_EQ(chat_error(chat("stop", dump(seventeen))).param, "stop");
  EXPECT_EQ(chat_error(chat("stop", R"(["x",1])")).message,
            "reading the request: 'stop[1]' is 1, but must be a string of at most 256 bytes");
  EXPECT_EQ(chat_error(chat("stop", R"(["x",1])")).param, "stop[1]");
  EXPECT_EQ(chat_error(chat("stop", "5")).param, "stop");
  EXPECT_EQ(chat_error(chat("stop", dump(Json(std::string(257, 'x'))))).message,
            "reading the request: 'stop' is a string of 257 bytes, but must be a string of at most "
            "256 bytes");
}

TEST(Fields, LogitBiasNamesTheTokenAtFault) {
  EXPECT_EQ(chat_error(chat("logit_bias", R"({"5":101})")).param, "logit_bias.5");
  EXPECT_EQ(chat_error(chat("logit_bias", R"({"5":"x"})")).param, "logit_bias.5");
  for (const char* bad : {R"({"-1":1})", R"({"x":1})", R"({"":1})", R"({"4294967296":1})",
                          R"({"99999999999999999999":1})", "[[1,2]]", "7"})
    EXPECT_EQ(chat_error(chat("logit_bias", bad)).param, "logit_bias") << bad;
}

TEST(Fields, WhatThisVersionDoesNotDoIsRefusedByItsValueAndItsEmptyFormsAreTaken) {
  struct NotYet {
    const char* name;
    const char* value;
    const char* param;
    const char* is;
  };
  for (const auto& [name, value, param, is] :
       {NotYet{"tools", R"([{"type":"custom"}])", "tools[0].type", R"("custom")"},
        NotYet{"functions", R"([{"name":"f"}])", "functions", "an array of 1"},
        NotYet{"function_call", R"({"name":"f"})", "function_call", "an object of 1"},
        NotYet{"structured_outputs", R"({"structural_tag":"x"})",
               "structured_outputs.structural_tag", R"("x")"},
        NotYet{"web_search_options", "{}", "web_search_options", "an object of 0"},
        NotYet{"audio", R"({"voice":"x"})", "audio", "an object of 1"},
        NotYet{"modalities", R"(["text","audio"])", "modalities[1]", R"("audio")"}}) {
    const Error e = chat_error(chat(name, value));
    EXPECT_EQ(e.code, Code::Unsupported) << name;
    EXPECT_EQ(e.param, param);
    EXPECT_NE(e.message.find(cat("'", param, "' is ", is, ", which this version does not do yet")),
              std::string::npos)
        << e.message;
  }
  const Error call = chat_error(
      R"({"messages":[{"role":"assistant","content":"","function_call":{"name":"f","arguments":""}}]})");
  EXPECT_EQ(call.code, Code::Unsupported);
  EXPECT_EQ(call.param, "messages[0].function_call") << call.message;
  for (const auto& [name, value, param] :
       {std::tuple{"response_format", R"({"type":7})", "response_format.type"},
        std::tuple{"response_format", R"({"schema":{}})", "response_format.type"},
        std::tuple{"modalities", R"(["text",7])", "modalities[1]"}}) {
    const Error e = chat_error(chat(name, value));
    EXPECT_EQ(e.code, Code::Invalid) << name;
    EXPECT_EQ(e.param, param) << e.message;
    EXPECT_NE(e.message.find("'text'"), std::string::npos) << e.message;
  }
  for (const auto& [name, good] :
       std::vector<std::pair<const char*, const char*>>{{"tools", "[]"},
                                                        {"tool_choice", R"("none")"},
                                                        {"tool_choice", R"("auto")"},
                                                        {"response_format", R"({"type":"text"})"},
                                                        {"grammar", R"("")"},
                                                        {"json_schema", "null"},
                                                        {"web_search_options", "null"},
                                                        {"modalities", R"(["text"])"}})
    EXPECT_TRUE(read_chat(chat(name, good), kApp)) << name;
}

TEST(Fields, TheTemplateIsNotGivenASecondConversation) {
  for (const std::string& name : split(kTemplateOwn, '|')) {
    const Error e = chat_error(chat("chat_template_kwargs", cat("{\"x\":1,\"", name, "\":[7]}")));
    EXPECT_EQ(e.code, Code::Invalid) << name;
    EXPECT_EQ(e.param, cat("chat_template_kwargs.", name));
    EXPECT_NE(e.message.find("is an array of 1, but must be left out"), std::string::npos)
        << e.message;
    EXPECT_TRUE(read_chat(chat("chat_template_kwargs", cat("{\"", name, "\":null}")), kApp))
        << name;
  }
  EXPECT_EQ(chat_error(chat("chat_template_kwargs", R"({"enable_thinking":"no"})")).message,
            "reading the request: 'chat_template_kwargs.enable_thinking' is \"no\", but must be "
            "true or false");
  EXPECT_EQ(
      chat_body(chat(
          "chat_template_kwargs",
          R"({"enable_thinking":false,"date_string":"1 May","y":null})"))["chat_template_kwargs"],
      Json::parse(R"({"enable_thinking":false,"date_string":"1 May"})"));
}

TEST(Fields, TopLogprobsNeedLogprobs) {
  const Error e = chat_error(chat("top_logprobs", "3"));
  EXPECT_EQ(e.param, "top_logprobs");
  EXPECT_NE(e.message.find("is 3 without 'logprobs'"), std::string::npos) << e.message;
  EXPECT_TRUE(read_chat(chat("top_logprobs", "0"), kApp));
}

TEST(Fields, StreamOptionsAreRead) {
  const auto read =
      read_chat(chat("stream", R"(true,"stream_options":{"include_usage":true})"), kApp);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->stream);
  EXPECT_TRUE(read->include_usage);
  EXPECT_EQ(chat_error(chat("stream_options", R"({"include_usage":"yes"})")).param,
            "stream_options.include_usage");
  EXPECT_EQ(chat_error(chat("stream_options", R"({"include_obfuscation":1})")).param,
            "stream_options.include_obfuscation");
  EXPECT_EQ(chat_error(chat("stream", R"("true")")).param, "stream");
}

TEST(Fields, AnErrorNeverRepeatsWhatMayBeContent) {
  const std::string secret = "my diary of the third of May";
  for (const std::string& body :
       {cat(R"({"messages":")", secret, "\"}"), chat("stop", cat("[[\"", secret, "\"]]")),
        chat("temperature", cat('"', secret, '"')),
        cat(R"({"messages":[{"role":")", secret, R"(","content":""}]})")}) {
    const Error e = chat_error(body);
    EXPECT_EQ(e.message.find("diary"), std::string::npos) << e.message;
  }
}

// --- messages -----------------------------------------------------------------------------------

TEST(Messages, ContentIsAStringTextPartsOrNull) {
  const Json body = chat_body(
      R"({"messages":[{"role":"developer","content":"be brief"},)"
      R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":null},{"role":"assistant"},)"
      R"({"role":"tool","tool_call_id":"c1","content":"4"}]})");
  const Json& messages = body["messages"];
  EXPECT_EQ(messages[0]["role"], "system");
  EXPECT_EQ(messages[1]["content"], "a\nb");
  EXPECT_EQ(messages[2]["content"], "");
  EXPECT_EQ(messages[3]["content"], "");
  EXPECT_EQ(messages[4]["tool_call_id"], "c1");
}

TEST(Messages, FormerToolCallsArePassedOnFieldByField) {
  const Json body = chat_body(
      R"({"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)"
      R"("function":{"name":"add","arguments":"{}","x":1},"y":2}]}]})");
  EXPECT_EQ(
      body["messages"][0]["tool_calls"],
      Json::parse(R"([{"id":"c1","type":"function","function":{"name":"add","arguments":"{}"}}])"));
}

struct BadMessage {
  const char* messages;
  const char* param;
};
TEST(Messages, EveryFaultNamesItsPlace) {
  for (const auto& [messages, param] : {
           BadMessage{"[]", "messages"},
           BadMessage{"{}", "messages"},
           BadMessage{"\"hi\"", "messages"},
           BadMessage{"[7]", "messages[0]"},
           BadMessage{R"([{"content":"x"}])", "messages[0].role"},
           BadMessage{R"([{"role":"robot","content":"x"}])", "messages[0].role"},
           BadMessage{R"([{"role":"user|tool","content":"x"}])", "messages[0].role"},
           BadMessage{R"([{"role":7,"content":"x"}])", "messages[0].role"},
           BadMessage{R"([{"role":"user"}])", "messages[0].content"},
           BadMessage{R"([{"role":"user","content":7}])", "messages[0].content"},
           BadMessage{R"([{"role":"user","content":["x"]}])", "messages[0].content[0]"},
           BadMessage{R"([{"role":"user","content":[{"type":"text"}]}])",
                      "messages[0].content[0].text"},
           BadMessage{R"([{"role":"user","content":[{"type":"dance"}]}])",
                      "messages[0].content[0].type"},
           BadMessage{R"([{"role":"user","content":"x","name":7}])", "messages[0].name"},
           BadMessage{R"([{"role":"assistant","refusal":7}])", "messages[0].refusal"},
           BadMessage{R"([{"role":"assistant","tool_calls":{}}])", "messages[0].tool_calls"},
           BadMessage{R"([{"role":"assistant","tool_calls":[{"id":7,"function":)"
                      R"({"name":"f","arguments":""}}]}])",
                      "messages[0].tool_calls[0].id"},
           BadMessage{R"([{"role":"assistant","tool_calls":[{"type":"custom","function":)"
                      R"({"name":"f","arguments":""}}]}])",
                      "messages[0].tool_calls[0].type"},
           BadMessage{R"([{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}])",
                      "messages[0].tool_calls[0].function.arguments"},
       }) {
    const Error e = chat_error(cat("{\"messages\":", messages, "}"));
    EXPECT_EQ(e.code, Code::Invalid) << messages;
    EXPECT_EQ(e.param, param) << messages << ": " << e.message;
  }
  EXPECT_EQ(
      chat_error("{}").message,
      "reading the request: 'messages' is missing; it must be an array of 1 to 10000 messages");
}

TEST(Messages, FilesAndVideosAreRefusedByName) {
  const Error e =
      chat_error(R"({"messages":[{"role":"user","content":[{"type":"text","text":"what is this?"},)"
                 R"({"type":"video_url","video_url":{"url":"data:,x"}}]}]})");
  EXPECT_EQ(e.code, Code::Unsupported);
  EXPECT_EQ(e.param, "messages[0].content[1]");
  EXPECT_NE(e.message.find("video_url"), std::string::npos);
}

std::string chat_with(std::string_view part, std::string_view role = "user") {
  return cat(R"({"messages":[{"role":")", role, R"(","content":[)", part, "]}]}");
}

TEST(Media, BecomePartsWithTheirDataAndTheirPlace) {
  const auto read = read_chat(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":[)"
      R"({"type":"text","text":"a"},)"
      R"({"type":"image_url","image_url":{"url":"data:image/png;base64,Zm9v","detail":"low"}},)"
      R"({"type":"input_audio","input_audio":{"data":"YmFy","format":"wav"}},)"
      R"({"type":"image_url","image_url":"DATA:;BASE64,Zg=="}]}]})",
      kApp);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(
      read->works[0].body["messages"][1]["content"],
      Json::array(
          {{{"type", "text"}, {"text", "a"}},
           {{"type", "image"}, {"data", "Zm9v"}, {"param", "messages[1].content[1].image_url.url"}},
           {{"type", "audio"},
            {"data", "YmFy"},
            {"param", "messages[1].content[2].input_audio.data"}},
           {{"type", "image"},
            {"data", "Zg=="},
            {"param", "messages[1].content[3].image_url.url"}}}));
}

TEST(Media, AreRefusedWithTheirPlaceWhereTheyCannotBeUsed) {
  struct Bad {
    std::string body, param, words;
  };
  const std::string url = "messages[0].content[0].image_url.url";
  const auto image = [](std::string_view given) {
    return chat_with(cat(R"({"type":"image_url","image_url":{"url":")", given, "\"}}"));
  };
  const std::string good = R"({"type":"image_url","image_url":{"url":"data:;base64,Zg=="}})";
  std::string many = good;
  for (size_t i = 0; i < kMediaMax; i++) many += "," + good;
  const std::string large(kMediaBytesMax.n / 3 * 4 + 400, 'A');
  const Bad table[] = {
      {image("https://example.org/cat.png"), url, "nothing is fetched"},
      {image("HTTP://127.0.0.1/"), url, "nothing is fetched"},
      {image("file:///etc/passwd"), url, "no data: URL"},
      {image("data:image/png,raw"), url, "no data: URL"},
      {image("data:image/png;base64,"), url, "no base64"},
      {image("data:image/png;base64,Zm9*"), url, "no base64"},
      {image("data:image/png;base64,Zg=Zg=="), url, "no base64"},
      {image(cat("data:image/png;base64,", large)), url,
       "is a file of 6,291,756 bytes, at most 6,291,456"},
      {chat_with(R"({"type":"image_url"})"), url, "missing"},
      {chat_with(R"({"type":"image_url","image_url":{"url":7}})"), url, "no string"},
      {chat_with(R"({"type":"input_audio","input_audio":{"data":"Zg==","format":"ogg"}})"),
       "messages[0].content[0].input_audio.format", "'wav', 'mp3' or 'flac'"},
      {chat_with(R"({"type":"input_audio","input_audio":{"data":"*"}})"),
       "messages[0].content[0].input_audio.data", "no base64"},
      {chat_with(good, "assistant"), "messages[0].content", "role 'user'"},
      {chat_with(many), "messages", "17 pictures and sounds, at most 16"},
  };
  for (const auto& [body, param, words] : table) {
    const Error e = chat_error(body);
    EXPECT_EQ(e.code, Code::Invalid) << e.message;
    EXPECT_EQ(e.param, param) << e.message;
    EXPECT_NE(e.message.find(words), std::string::npos) << e.message;
  }
}

TEST(Media, AreNotKeptInConversations) {
  std::string body = chat_with(R"({"type":"image_url","image_url":{"url":"data:;base64,Zg=="}})");
  body.insert(1, R"("lares":{"conversation":"new"},)");
  const Error e = chat_error(body);
  EXPECT_EQ(e.param, "messages") << e.message;
  EXPECT_NE(e.message.find("keeps texts"), std::string::npos) << e.message;
}

// --- completions and embeddings -----------------------------------------------------------------

TEST(Prompts, EachOfTheFourFormsBecomesWorks) {
  const auto prompts = [](std::string_view prompt) {
    auto read = read_completion(cat("{\"prompt\":", prompt, "}"), kApp);
    EXPECT_TRUE(read) << prompt;
    Json out = Json::array();
    if (read) {
      for (const Work& work : read->works) out.push_back(work.body["prompt"]);
    }
    return dump(out);
  };
  EXPECT_EQ(prompts(R"("a")"), R"(["a"])");
  EXPECT_EQ(prompts(R"("")"), R"([""])");
  EXPECT_EQ(prompts(R"(["a","b"])"), R"(["a","b"])");
  EXPECT_EQ(prompts("[1,2]"), "[[1,2]]");
  EXPECT_EQ(prompts(R"([[1,2],[3],"x"])"), R"([[1,2],[3],"x"])");
}

TEST(Prompts, BadOnesNameTheirPlace) {
  for (const auto& [prompt, param] : {
           BadMessage{"[]", "prompt"},
           BadMessage{"7", "prompt"},
           BadMessage{"{}", "prompt"},
           BadMessage{"[[]]", "prompt[0]"},
           BadMessage{"[1,-2]", "prompt[1]"},
           BadMessage{R"(["a",1])", "prompt[1]"},
           BadMessage{"[[1],[2147483648]]", "prompt[1][0]"},
           BadMessage{"[[1,1.5]]", "prompt[0][1]"},
           BadMessage{R"([1,"a"])", "prompt[1]"},
       })
    EXPECT_EQ(completion_error(cat("{\"prompt\":", prompt, "}")).param, param) << prompt;
  EXPECT_EQ(completion_error("{}").param, "prompt");
  EXPECT_EQ(completion_error(cat("{\"prompt\":", dump(Json(33, "x")), "}")).param, "prompt");
}

TEST(Prompts, LogprobsAreANumberHere) {
  const auto read = read_completion(completion("logprobs", "3"), kApp);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->logprobs);
  EXPECT_EQ(read->works[0].body["logprobs"], true);
  EXPECT_EQ(read->works[0].body["top_logprobs"], 3);
  EXPECT_EQ(completion_error(completion("logprobs", "true")).param, "logprobs");
  EXPECT_EQ(completion_error(completion("logprobs", "1,\"echo\":true")).code, Code::Unsupported);
}

TEST(Prompts, BestOfMustBeN) {
  EXPECT_TRUE(read_completion(completion("best_of", "2,\"n\":2"), kApp));
  EXPECT_TRUE(read_completion(completion("best_of", "1"), kApp));
  EXPECT_EQ(completion_error(completion("best_of", "3,\"n\":2")).param, "best_of");
}

TEST(Inputs, OrderAndCountAreKept) {
  const auto read = read_embedding(R"({"input":["b","a",[7,8]],"encoding_format":"base64"})", kApp);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->inputs, 3u);
  EXPECT_TRUE(read->base64);
  EXPECT_EQ(dump(read->work.body), R"({"inputs":["b","a",[7,8]]})");
  EXPECT_EQ(read_embedding(R"({"input":[7,8]})", kApp)->inputs, 1u);
}

TEST(Inputs, AtMost2048AndOnlyTwoFormats) {
  EXPECT_TRUE(read_embedding(cat("{\"input\":", dump(Json(2048, "x")), "}"), kApp));
  EXPECT_EQ(embedding_error(cat("{\"input\":", dump(Json(2049, "x")), "}")).param, "input");
  const Error e = embedding_error(embedding("encoding_format", R"("int8")"));
  EXPECT_EQ(e.param, "encoding_format");
  EXPECT_EQ(e.message,
            "reading the request: 'encoding_format' is \"int8\", but must be one of "
            "'float', 'base64'");
}

// --- "lares" ------------------------------------------------------------------------------------

TEST(LaresObject, ItsFieldsBecomeTheWorks) {
  const auto read = read_chat(
      chat(
          "lares",
          R"({"priority":"background","deadline_ms":5000,"place":"local","conversation":"c","parent":"m"})"),
      kApp);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->works[0].lane, "background");
  EXPECT_EQ(read->works[0].deadline_ms, 5000);
  EXPECT_EQ(read->works[0].body["deadline_ms"], 5000) << "a worker's thoughts keep to it";
  EXPECT_EQ(read->works[0].conversation, "c");
  EXPECT_EQ(read->works[0].parent, "m");
}

TEST(LaresObject, AnUnknownFieldNamesTheNearest) {
  const Error e = chat_error(chat("lares", R"({"priorty":"agent"})"));
  EXPECT_EQ(e.param, "lares.priorty");
  EXPECT_NE(e.message.find("did you mean 'priority'"), std::string::npos) << e.message;
}

TEST(LaresObject, BadValuesAreRefused) {
  for (const auto& [object, param] : {
           BadMessage{R"({"priority":"urgent"})", "lares.priority"},
           BadMessage{R"({"keep_alive_s":-2})", "lares.keep_alive_s"},
           BadMessage{R"({"keep_alive_s":"5m"})", "lares.keep_alive_s"},
           BadMessage{R"({"deadline_ms":-1})", "lares.deadline_ms"},
           BadMessage{R"({"deadline_ms":1e12})", "lares.deadline_ms"},
           BadMessage{R"({"cost_max_usd":-0.01})", "lares.cost_max_usd"},
           BadMessage{R"({"conversation":7})", "lares.conversation"},
           BadMessage{R"({"parent":"m"})", "lares.parent"},
           BadMessage{R"({"place":"cloud"})", "lares.place"},
           BadMessage{"[]", "lares"},
           BadMessage{"7", "lares"},
       })
    EXPECT_EQ(chat_error(chat("lares", object)).param, param) << object;
}

TEST(LaresObject, OnlyOneAnswerOfAChatIsKept) {
  EXPECT_EQ(chat_error(R"({"messages":[{"role":"user","content":"x"}],"n":2,)"
                       R"("lares":{"conversation":"c"}})")
                .param,
            "n");
  const auto completion = read_completion(R"({"prompt":"x","lares":{"conversation":"c"}})", kApp);
  EXPECT_EQ(completion.error().param, "lares.conversation");
}

// --- bodies and schema --------------------------------------------------------------------------

TEST(Bodies, WhatIsNoObjectIsSaid) {
  for (const char* body : {"", "[]", "7", "null", "{", "\"x\"", "{}x", "\xff"}) {
    const Error e = chat_error(body);
    EXPECT_EQ(e.code, Code::Invalid) << body;
    EXPECT_TRUE(e.message.starts_with("reading the request: ")) << e.message;
  }
}

TEST(Bodies, DepthIsBounded) {
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  EXPECT_NE(chat_error(chat("metadata", deep)).message.find("deeper than 64"), std::string::npos);
}

TEST(Bodies, AFieldThatStandsTwiceIsRefused) {
  for (const char* body :
       {R"({"model":"a","messages":[{"role":"user","content":"hi"}],"model":"b"})",
        R"({"messages":[{"role":"user","content":"hi","model":1,"model":1}]})",
        R"({"messages":[{"role":"user","content":"hi"}],"unheard_of":{"model":1,"model":2}})"}) {
    EXPECT_EQ(
        chat_error(body).message,
        "reading the request: this is not JSON that we take: an object names \"model\" twice; "
        "send it once");
  }
  EXPECT_FALSE(read_object(R"({"file":"/a","file":"/b"})"));
}

TEST(Bodies, IllFormedUtf8IsRefused) {
  EXPECT_EQ(chat_error("{\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}").code,
            Code::Invalid);
}

TEST(Schema, HasEveryFieldOfTheTableWithItsRange) {
  const Json json = Json::parse(schema(Table::Chat));
  for (const RequestField& field : fields(Table::Chat))
    EXPECT_TRUE(json["properties"].contains(field.name)) << field.name;
  EXPECT_EQ(json["required"], Json::array({"messages"}));
  EXPECT_EQ(json["properties"]["lares"]["additionalProperties"], false);
  EXPECT_EQ(
      dump(json["properties"]["temperature"]),
      R"({"default":0.8,"description":"How far to stray from the likeliest token; 0 never does.",)"
      R"("maximum":2.0,"minimum":0.0,"type":"number"})");
  EXPECT_EQ(json["properties"]["n"]["maximum"], kChoicesMax);
  EXPECT_EQ(json["properties"]["seed"]["format"], "int64");
}

TEST(Schema, ItsDefaultsAreWithinItsRanges) {
  for (const Table table : {Table::Chat, Table::Completion, Table::Embedding, Table::Lares}) {
    for (const RequestField& field : fields(table)) {
      if (!numeric(field) || field.standard.empty()) continue;
      const double value = Json::parse(field.standard).get<double>();
      EXPECT_GE(value, field.least) << field.name;
      EXPECT_LE(value, field.most) << field.name;
    }
  }
}

}  // namespace
}  // namespace lares::api
