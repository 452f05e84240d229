#include "api/answer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace lares::api {
namespace {

Json chunk(const std::string& event) {
  EXPECT_TRUE(event.starts_with("data: ")) << event;
  EXPECT_TRUE(event.ends_with("\n\n")) << event;
  EXPECT_EQ(event.find('\n'), event.size() - 2) << "an event is one line";
  return Json::parse(event.substr(6));
}

Ended some_end() {
  Ended ended;
  ended.prompt_tokens = 10;
  ended.prompt_tokens_reused = 4;
  ended.completion_tokens = 20;
  ended.prefill_ms = 3;
  ended.decode_ms = 500;
  ended.receipt.id = "r-0123456789abcdef";
  ended.receipt.model = "tiny";
  return ended;
}

std::string floats(std::vector<float> numbers) {
  std::string bytes(numbers.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

TEST(Errors, HaveOpenAisFourFieldsAndParamAndCodeAreStringsOrNull) {
  const Json busy = error_object({Code::Busy, "the queue is full"});
  EXPECT_EQ(
      dump(busy),
      R"({"code":"busy","message":"the queue is full","param":null,"type":"rate_limit_error"})");
  const Json wrong = error_object({Code::Invalid, "no", "n"});
  EXPECT_EQ(wrong["param"], "n");
  EXPECT_TRUE(wrong["code"].is_null());
  EXPECT_EQ(error_object({Code::NotFound, "no", "model"})["code"], "model_not_found");
  EXPECT_EQ(error_body({Code::Io, "disk"}, ErrorShape::Ollama), R"({"error":"disk"})");
}

TEST(Usage, CountsWhatWasReused) {
  const Json usage = usage_object(some_end());
  EXPECT_EQ(usage["total_tokens"], 30);
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_EQ(usage["completion_tokens_details"]["reasoning_tokens"], 0);
}

TEST(Timings, CarryLlamaServersNames) {
  const Json timings = timings_object(some_end());
  EXPECT_EQ(timings["cache_n"], 4);
  EXPECT_EQ(timings["prompt_n"], 6);
  EXPECT_DOUBLE_EQ(timings["prompt_per_second"].get<double>(), 2000);
  EXPECT_DOUBLE_EQ(timings["predicted_per_second"].get<double>(), 40);
  EXPECT_EQ(timings_object(Ended{})["prompt_per_second"], 0);  // nothing by nothing is no NaN
}

TEST(Ids, LeadToTheReceipt) {
  EXPECT_EQ(answer_id(Work::Kind::Chat, "r-00ff"), "chatcmpl-00ff");
  EXPECT_EQ(answer_id(Work::Kind::Completion, "r-00ff"), "cmpl-00ff");
}

TEST(JsonStrings, AreWhatTheJsonLibraryWrites) {
  for (const std::string& text :
       {std::string(), std::string("plain"), std::string("q\"b\\n\n\r\tx"),
        std::string("\0\x01\x1f", 3), std::string("\x7fñ日🙂"), std::string("</script>\u2028")}) {
    std::string out;
    append_json_string(out, text);
    EXPECT_EQ(Json::parse(out), text) << out;
  }
  std::string out;
  append_json_string(out, "a\xff");
  EXPECT_EQ(Json::parse(out), "a\uFFFD");
}

TEST(Chunks, OfAChatHaveTheShapeThatTypedClientsRead) {
  ChunkWriter writer({Work::Kind::Chat, "chatcmpl-1", 1'700'000'000, "tiny"}, false, 2);
  EXPECT_EQ(
      dump(chunk(writer.role(1))),
      R"({"choices":[{"delta":{"content":"","role":"assistant"},"finish_reason":null,"index":1,)"
      R"("logprobs":null}],"created":1700000000,"id":"chatcmpl-1","model":"tiny",)"
      R"("object":"chat.completion.chunk","system_fingerprint":")" +
          std::string(kFingerprint) + "\"}");
  const Json text = chunk(writer.text(0, "a\n\"b\"", Json()));
  EXPECT_EQ(text["choices"][0]["delta"], Json({{"content", "a\n\"b\""}}));
  EXPECT_TRUE(text["choices"][0]["finish_reason"].is_null());
  EXPECT_FALSE(text.contains("usage"));
  const Json end = chunk(writer.finish(0, "stop", {{"timings", {{"cache_n", 1}}}}));
  EXPECT_EQ(end["choices"][0]["delta"], Json::object());
  EXPECT_EQ(end["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(end["timings"]["cache_n"], 1);
}

TEST(Chunks, WithUsageAskedEveryOneHasAUsageAndOnlyTheLastAValue) {
  ChunkWriter writer({Work::Kind::Chat, "chatcmpl-1", 1, "tiny"}, true, 1);
  for (const std::string& event :
       {writer.role(0), writer.text(0, "x", Json()), writer.finish(0, "stop", nullptr)})
    EXPECT_TRUE(chunk(event).at("usage").is_null());
  const Json last = chunk(writer.usage(some_end()));
  EXPECT_EQ(last["choices"], Json::array());
  EXPECT_EQ(last["usage"]["completion_tokens"], 20);
}

TEST(Chunks, OfACompletionHaveTextAndNoRole) {
  ChunkWriter writer({Work::Kind::Completion, "cmpl-1", 1, "tiny"}, false, 1);
  EXPECT_EQ(writer.role(0), "");
  const Json text = chunk(writer.text(0, "x", Json()));
  EXPECT_EQ(text["object"], "text_completion");
  EXPECT_EQ(text["choices"][0]["text"], "x");
  EXPECT_FALSE(text["choices"][0].contains("delta"));
  EXPECT_EQ(chunk(writer.finish(0, "length", nullptr))["choices"][0]["text"], "");
}

TEST(Chunks, LogprobsStandWhereEachApiHasThem) {
  const Json content = Json::parse(
      R"([{"token":"é","logprob":-0.5,"bytes":[195,169],"top_logprobs":[{"token":"e","logprob":-1.5,"bytes":[101]}]},)"
      R"({"token":"b","logprob":-0.25,"bytes":[98],"top_logprobs":[]}])");
  ChunkWriter chat({Work::Kind::Chat, "c", 1, "m"}, false, 1);
  EXPECT_EQ(chunk(chat.text(0, "éb", content))["choices"][0]["logprobs"]["content"], content);
  ChunkWriter legacy({Work::Kind::Completion, "c", 1, "m"}, false, 1);
  const Json first = chunk(legacy.text(0, "éb", content))["choices"][0]["logprobs"];
  EXPECT_EQ(first["tokens"], Json::array({"é", "b"}));
  EXPECT_EQ(first["token_logprobs"], Json::array({-0.5, -0.25}));
  EXPECT_EQ(first["top_logprobs"][0], Json({{"e", -1.5}, {"é", -0.5}}));
  EXPECT_EQ(first["text_offset"], Json::array({0, 1}));
  const Json second = chunk(legacy.text(0, "éb", content))["choices"][0]["logprobs"];
  EXPECT_EQ(second["text_offset"], Json::array({2, 3}));
}

TEST(LegacyLogprobs, HalvesOfACharacterCountOnce) {
  const Json content = Json::parse(
      R"([{"token":"\ufffd","logprob":-1,"bytes":[195]},{"token":"\ufffd","logprob":-1,"bytes":[169]},)"
      R"({"token":"x","logprob":-1}])");
  size_t offset = 0;
  EXPECT_EQ(legacy_logprobs(content, offset)["text_offset"], Json::array({0, 1, 1}));
  EXPECT_EQ(offset, 2u);
}

TEST(WholeAnswer, HasTheFieldsOfAChatCompletion) {
  const Json answer = whole_answer(
      {Work::Kind::Chat, "chatcmpl-1", 7, "tiny"},
      {{.text = "hello", .reason = "stop"}, {.text = "hi", .reason = "length"}}, false, some_end());
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["choices"][1],
            Json::parse(R"({"index":1,"finish_reason":"length","logprobs":null,)"
                        R"("message":{"role":"assistant","content":"hi","refusal":null}})"));
  EXPECT_EQ(answer["lares"]["id"], "r-0123456789abcdef");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 10);
}

TEST(Base64, FollowsRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(Embeddings, KeepTheOrderAsNumbersAndAsBase64) {
  const Embedded two{floats({1, 2, 3, 4}), 2, {1, 1}};
  const auto numbers = embeddings_answer(two, 2, 0, false, some_end(), "mini");
  ASSERT_TRUE(numbers);
  EXPECT_EQ((*numbers)["data"][1],
            Json::parse(R"({"object":"embedding","index":1,"embedding":[3.0,4.0]})"));
  EXPECT_EQ((*numbers)["usage"], Json::parse(R"({"prompt_tokens":10,"total_tokens":10})"));
  const auto text = embeddings_answer(two, 2, 0, true, some_end(), "mini");
  ASSERT_TRUE(text);
  EXPECT_EQ((*text)["data"][0]["embedding"], "AACAPwAAAEA=");  // 1.0f, 2.0f
}

TEST(Embeddings, FewerDimensionsAreScaledToLengthOne) {
  const Embedded one{floats({3, 4, 12}), 3, {1}};
  const auto cut = embeddings_answer(one, 1, 2, false, some_end(), "mini");
  ASSERT_TRUE(cut);
  const Json& vector = (*cut)["data"][0]["embedding"];
  EXPECT_NEAR(vector[0].get<double>(), 0.6, 1e-6);
  EXPECT_NEAR(vector[1].get<double>(), 0.8, 1e-6);
  const auto whole = embeddings_answer(one, 1, 3, false, some_end(), "mini");
  EXPECT_EQ((*whole)["data"][0]["embedding"][2], 12.0);
  const auto zero = embeddings_answer({floats({0, 0, 1}), 3, {1}}, 1, 2, false, some_end(), "mini");
  EXPECT_EQ((*zero)["data"][0]["embedding"], Json::array({0.0, 0.0}));
  const auto more = embeddings_answer(one, 1, 4, false, some_end(), "mini");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().param, "dimensions");
}

TEST(Embeddings, VectorsThatDoNotFitTheirInputsAreCorrupt) {
  for (const Embedded& bad : {Embedded{floats({1, 2, 3}), 2, {}}, Embedded{floats({1, 2}), 2, {}},
                              Embedded{"", 0, {}}, Embedded{"abc", 2, {}}}) {
    const auto answer = embeddings_answer(bad, 2, 0, false, some_end(), "mini");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::Corrupt);
  }
}

}  // namespace
}  // namespace lares::api
