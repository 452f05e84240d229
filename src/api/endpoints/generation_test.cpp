#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "api/endpoints/fakes_testing.h"

namespace lares::api {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kCompletions = "/v1/completions";
constexpr const char* kHello = R"({"messages":[{"role":"user","content":"hi"}]})";

std::string hello(std::string_view more) {
  return cat(R"({"messages":[{"role":"user","content":"hi"}],)", more, "}");
}

const Started kStarted{"r-0000000000000001", "tiny", 5};

struct GenerationTest : testing::Test {
  FakeService service;
  std::shared_ptr<FakeResponder> responder;
  void say(Event event, size_t work = 0) { service.works.at(work).sink->on(std::move(event)); }
};

TEST_F(GenerationTest, AWholeAnswerIsSentAtTheEnd) {
  responder = post(kChat, kHello, service);
  ASSERT_EQ(service.works.size(), 1u);
  EXPECT_EQ(service.works[0].work.endpoint, kChat);
  say(kStarted);
  say(Delta{0, "hel", Json()});
  say(Delta{0, "lo", Json()});
  EXPECT_FALSE(responder->ended);
  say(ChoiceDone{0, "stop", "", 2});
  say(good_end());
  EXPECT_EQ(responder->status, 200);
  const Json json = responder->json();
  EXPECT_EQ(json["choices"][0]["message"]["content"], "hello");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["id"], "chatcmpl-0000000000000001");
  EXPECT_EQ(json["usage"]["total_tokens"], 7);
  EXPECT_EQ(responder->headers.at("X-Lares-Id"), "r-0000000000000001");
  EXPECT_EQ(responder->headers.at("X-Lares-Place"), "local");
}

TEST_F(GenerationTest, AStreamHasRoleTextsFinishUsageAndDoneInThisOrder) {
  responder =
      post(kChat, hello(R"("stream":true,"stream_options":{"include_usage":true})"), service);
  EXPECT_FALSE(responder->streaming);  // an error would still have its own status
  say(kStarted);
  EXPECT_EQ(responder->content_type, "text/event-stream");
  EXPECT_EQ(responder->headers.at("X-Lares-Id"), kStarted.id);
  say(Delta{0, "a", Json()});
  say(Delta{0, "b", Json()});
  say(ChoiceDone{0, "length", "", 2});
  say(good_end());
  const auto events = responder->events();
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"]["content"], "a");
  EXPECT_EQ(events[2]["choices"][0]["delta"]["content"], "b");
  EXPECT_EQ(events[3]["choices"][0]["delta"], Json::object());
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events[3]["lares"]["place"], "local");
  EXPECT_TRUE(events[3].contains("timings"));
  EXPECT_EQ(events[4]["choices"], Json::array());
  EXPECT_EQ(events[4]["usage"]["completion_tokens"], 2);
  EXPECT_EQ(events[5], "[DONE]");
  for (size_t i = 0; i < 5; i++) {
    EXPECT_EQ(events[i]["id"], events[0]["id"]);
    EXPECT_EQ(events[i]["created"], events[0]["created"]);
    EXPECT_EQ(events[i]["object"], "chat.completion.chunk");
  }
  EXPECT_TRUE(responder->ended);
}

TEST_F(GenerationTest, UsageIsNotSentUnasked) {
  responder = post(kChat, hello(R"("stream":true)"), service);
  say(kStarted);
  say(ChoiceDone{0, "stop", "", 0});
  say(good_end());
  for (const Json& event : responder->events()) {
    if (!event.is_object()) continue;
    EXPECT_FALSE(event["choices"].empty());
    EXPECT_FALSE(event.contains("usage"));
  }
}

TEST_F(GenerationTest, SeveralAnswersShareOneStreamByIndex) {
  responder = post(kChat, hello(R"("stream":true,"n":2)"), service);
  EXPECT_EQ(service.works[0].work.choices, 2u);
  say(kStarted);
  say(Delta{1, "b", Json()});
  say(Delta{0, "a", Json()});
  say(ChoiceDone{1, "stop", "", 1});
  say(Delta{0, "c", Json()});
  say(ChoiceDone{0, "length", "", 2});
  say(good_end());
  std::string texts[2];
  std::string ends[2];
  for (const Json& event : responder->events()) {
    if (!event.is_object()) continue;
    const Json& choice = event["choices"][0];
    const auto index = choice["index"].get<size_t>();
    texts[index] += choice["delta"].value("content", "");
    if (!choice["finish_reason"].is_null())
      ends[index] += choice["finish_reason"].get<std::string>();
  }
  EXPECT_EQ(texts[0], "ac");
  EXPECT_EQ(texts[1], "b");
  EXPECT_EQ(ends[0], "length");
  EXPECT_EQ(ends[1], "stop");
}

TEST_F(GenerationTest, AnErrorBeforeTheFirstByteHasItsStatus) {
  for (const bool stream : {false, true}) {
    FakeService busy;
    busy.on_submit = [](Sink& sink) {
      Ended ended;
      ended.result = Error{Code::Busy, "the queue is full; retry in a second"};
      sink.on(ended);
    };
    responder = post(kChat, hello(stream ? R"("stream":true)" : R"("stream":false)"), busy);
    EXPECT_EQ(responder->status, 429);
    EXPECT_EQ(responder->json()["error"]["type"], "rate_limit_error");
  }
}

TEST_F(GenerationTest, AnErrorAfterTheFirstByteIsAnEventAndTheEnd) {
  responder = post(kChat, hello(R"("stream":true)"), service);
  say(kStarted);
  say(Delta{0, "a", Json()});
  Ended ended;
  ended.result = Error{Code::WorkerDied, "answering: the worker ended by signal 9"};
  say(ended);
  const auto events = responder->events();
  EXPECT_EQ(events.back()["error"]["message"], "answering: the worker ended by signal 9");
  EXPECT_TRUE(responder->ended);
  EXPECT_EQ(responder->body.find("[DONE]"), std::string::npos);
}

TEST_F(GenerationTest, AClientThatLeavesCancelsItsWork) {
  responder = post(kChat, kHello, service);
  ASSERT_TRUE(responder->gone);
  responder->gone();
  EXPECT_EQ(service.cancelled, std::vector<WorkId>{1});
}

TEST_F(GenerationTest, LogprobsOfAllPiecesAreJoined) {
  responder = post(kChat, hello(R"("logprobs":true)"), service);
  say(kStarted);
  say(Delta{0, "a", Json::parse(R"([{"token":"a","logprob":-1.0}])")});
  say(Delta{0, "b", Json::parse(R"([{"token":"b","logprob":-2.0}])")});
  say(ChoiceDone{0, "stop", "", 2});
  say(good_end());
  const Json logprobs = responder->json()["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["content"].size(), 2u);
  EXPECT_EQ(logprobs["content"][1]["logprob"], -2.0);
}

TEST_F(GenerationTest, LogprobsThatNobodyAskedForAreNotSent) {
  responder = post(kChat, hello(R"("stream":true)"), service);
  say(kStarted);
  say(Delta{0, "a", Json::parse(R"([{"token":"a","logprob":-1.0}])")});
  EXPECT_TRUE(responder->events()[1]["choices"][0]["logprobs"].is_null());
}

TEST_F(GenerationTest, SeveralPromptsAreNumberedThroughAndSummedUp) {
  responder = post(kCompletions, R"({"prompt":["x","y"],"n":2})", service);
  ASSERT_EQ(service.works.size(), 2u);
  for (size_t work = 0; work < 2; work++) {
    say(kStarted, work);
    for (unsigned choice = 0; choice < 2; choice++) {
      say(Delta{choice, cat(work, choice), Json()}, work);
      say(ChoiceDone{choice, "stop", "", 1}, work);
    }
    EXPECT_FALSE(responder->ended);
    say(good_end(3, 2), work);
  }
  const Json json = responder->json();
  ASSERT_EQ(json["choices"].size(), 4u);
  EXPECT_EQ(json["choices"][2]["text"], "10");
  EXPECT_EQ(json["choices"][2]["index"], 2);
  EXPECT_EQ(json["usage"]["prompt_tokens"], 6);
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("cmpl-"));
}

TEST_F(GenerationTest, TheFirstErrorOfSeveralPromptsEndsTheOthers) {
  responder = post(kCompletions, R"({"prompt":["x","y","z"]})", service);
  Ended ended;
  ended.result = Error{Code::Invalid, "too long", "prompt"};
  say(ended, 1);
  EXPECT_EQ(responder->status, 400);
  EXPECT_EQ(service.cancelled, (std::vector<WorkId>{1, 2, 3}));
  say(kStarted, 0);  // what comes late changes nothing
  say(Delta{0, "x", Json()}, 0);
  say(good_end(), 0);
}

TEST_F(GenerationTest, AnErrorAtOnceKeepsTheOtherPromptsFromBeingSubmitted) {
  service.on_submit = [](Sink& sink) {
    Ended ended;
    ended.result = Error{Code::NotFound, "no model 'x'", "model"};
    sink.on(ended);
  };
  responder = post(kCompletions, R"({"prompt":["x","y","z"],"model":"x"})", service);
  EXPECT_EQ(service.works.size(), 1u);
  EXPECT_EQ(responder->status, 404);
  EXPECT_EQ(responder->json()["error"]["code"], "model_not_found");
}

TEST_F(GenerationTest, BadRequestsNeverReachTheService) {
  for (const auto& [path, body] :
       std::vector<std::pair<std::string_view, const char*>>{{kChat, "{}"},
                                                             {kCompletions, "{}"},
                                                             {"/v1/embeddings", "{}"},
                                                             {"/v1/rerank", "{}"},
                                                             {"/infill", "{}"},
                                                             {kChat, "not json"}}) {
    responder = post(path, body, service);
    EXPECT_EQ(responder->status, 400) << path;
    EXPECT_EQ(responder->json()["error"]["type"], "invalid_request_error");
  }
  EXPECT_TRUE(service.works.empty());
}

TEST_F(GenerationTest, WhatIsNotDoneYetIsTheRequestsFaultAndNotRetried) {
  responder = post(kChat, hello(R"("lares":{"place":"cloud"})"), service);
  EXPECT_EQ(responder->status, 400);
  EXPECT_EQ(responder->json()["error"]["code"], "unsupported");
}

TEST_F(GenerationTest, VectorsComeInOneAnswer) {
  responder = post("/v1/embeddings", R"({"input":["a"],"encoding_format":"base64"})", service);
  EXPECT_EQ(service.works[0].work.kind, Work::Kind::Embedding);
  say(Started{"r-0000000000000001", "mini", 1});
  say(Embedded{std::string("\0\0\x80\x3f", 4), 1, {1}});
  say(good_end(1, 0));
  EXPECT_EQ(responder->json()["data"][0]["embedding"], "AACAPw==");
  EXPECT_EQ(responder->json()["model"], "mini");
}

// float32, little-endian
std::string scores(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST_F(GenerationTest, DocumentsComeBestFirst) {
  for (const char* path : {"/v1/rerank", "/v1/reranking", "/rerank", "/reranking"}) {
    service.works.clear();
    responder = post(path,
                     R"({"query":"q","documents":["a",{"text":"b"},"c","d"],"top_n":3,)"
                     R"("return_documents":true})",
                     service);
    ASSERT_EQ(service.works.size(), 1u) << path;
    say(Started{"r-0000000000000001", "ranker", 9});
    say(Embedded{scores({-1, 7.5F, 0.25F, 7.5F}), 1, {1, 2, 3, 3}});
    say(good_end(9, 0));
    const Json results = responder->json()["results"];
    EXPECT_EQ(results, Json::parse(R"([{"index":1,"relevance_score":7.5,"document":{"text":"b"}},
                                       {"index":3,"relevance_score":7.5,"document":{"text":"d"}},
                                       {"index":2,"relevance_score":0.25,"document":{"text":"c"}}])"));
    EXPECT_EQ(responder->json()["usage"]["total_tokens"], 9);
  }
}

TEST_F(GenerationTest, ScoresThatMakeNoSenseAreNotPassedOn) {
  for (const Embedded& bad :
       {Embedded{scores({1}), 1, {1, 1}}, Embedded{scores({1, 2, 3, 4}), 2, {}},
        Embedded{scores({1, std::nanf("")}), 1, {1, 1}},
        Embedded{scores({1, INFINITY}), 1, {1, 1}}}) {
    service.works.clear();
    responder = post("/v1/rerank", R"({"query":"q","documents":["a","b"]})", service);
    say(Started{"r-0000000000000001", "ranker", 2});
    say(bad);
    say(good_end(2, 0));
    EXPECT_EQ(responder->json()["error"]["code"], "corrupt");
  }
}

TEST_F(GenerationTest, AGapIsFilledWhole) {
  responder = post("/infill", R"({"input_prefix":"a","input_suffix":"c"})", service);
  EXPECT_EQ(service.works[0].work.body["input_prefix"], "a");
  say(Started{"r-0000000000000001", "coder", 3});
  say(Delta{0, "b", nullptr});
  say(Delta{0, "!", nullptr});
  say(ChoiceDone{0, "stop", "\n", 2});
  say(good_end(3, 2));
  const Json answer = responder->json();
  EXPECT_EQ(answer["content"], "b!");
  EXPECT_EQ(answer["stop_type"], "word");
  EXPECT_EQ(answer["stopping_word"], "\n");
  EXPECT_EQ(answer["tokens_predicted"], 2);
  EXPECT_EQ(answer["tokens_evaluated"], 3);
}

TEST_F(GenerationTest, AGapIsFilledAsAStream) {
  responder = post("/infill", R"({"input_prefix":"a","input_suffix":"c","stream":true})", service);
  say(Started{"r-0000000000000001", "coder", 3});
  say(Delta{0, "b", nullptr});
  EXPECT_EQ(responder->body, "data: {\"content\":\"b\",\"index\":0,\"stop\":false}\n\n");
  Ended broken;
  broken.result = Error{Code::WorkerDied, "it died"};
  say(broken);
  EXPECT_NE(responder->body.find("worker_died"), std::string::npos);
}

TEST_F(GenerationTest, ARefusedEmbeddingHasTheServicesError) {
  responder = post("/v1/embeddings", R"({"input":"a"})", service);
  Ended ended;
  ended.result = Error{Code::Unsupported, "'tiny' is a chat model without pooling", "model"};
  say(ended);
  EXPECT_EQ(responder->json()["error"]["param"], "model");
}

}  // namespace
}  // namespace lares::api
