#include <gtest/gtest.h>

#include "api/endpoints/fakes_testing.h"

namespace lares::api {
namespace {

const consent::Principal kOwner{"owner", consent::Right::Owner, 1000};
const consent::Principal kApp{"app:test", consent::Right::App, 1000};

Json listed() {
  return Json::parse(
      R"([{"id":"tiny","use":"chat","size_bytes":7,"file":"/home/a/tiny.gguf","state":"warm",)"
      R"("added_unix":5,"info":{"context_train":2048,"parameters":9}},)"
      R"({"id":"mini","use":"embedding","size_bytes":3,"file":"/x","state":"absent","added_unix":6,"info":{}}])");
}

TEST(Routes, EachDeclaresTheRightItNeeds) {
  const std::map<std::string_view, consent::Right> expected = {
      {"GET /", consent::Right::None},
      {"GET /health", consent::Right::None},
      {"GET /openapi.json", consent::Right::None},
      {"GET /v1/models", consent::Right::App},
      {"GET /v1/models/{id}", consent::Right::App},
      {"POST /v1/chat/completions", consent::Right::App},
      {"POST /v1/completions", consent::Right::App},
      {"POST /v1/embeddings", consent::Right::App},
      {"GET /lares/v1/models", consent::Right::App},
      {"GET /lares/v1/models/{id}", consent::Right::App},
      {"POST /lares/v1/models", consent::Right::Owner},
      {"DELETE /lares/v1/models/{id}", consent::Right::Owner},
      {"POST /lares/v1/models/{id}/pin", consent::Right::Owner},
      {"POST /lares/v1/models/{id}/unpin", consent::Right::Owner},
      {"POST /lares/v1/models/{id}/evict", consent::Right::Owner},
      {"GET /lares/v1/models-found", consent::Right::Owner},
      {"GET /lares/v1/ps", consent::Right::Owner},
      {"GET /lares/v1/why", consent::Right::Owner},
      {"GET /lares/v1/why/{id}", consent::Right::Owner},
      {"GET /lares/v1/receipts", consent::Right::Owner},
      {"GET /lares/v1/doctor", consent::Right::Owner},
      {"GET /lares/v1/status", consent::Right::Owner},
      {"GET /lares/v1/config", consent::Right::Owner},
      {"POST /lares/v1/stop", consent::Right::Owner},
      {"GET /lares/v1/key", consent::Right::Owner},
      {"POST /lares/v1/key/unlock", consent::Right::Owner},
      {"POST /lares/v1/key/lock", consent::Right::Owner},
      {"POST /lares/v1/key/move", consent::Right::Owner},
      {"POST /lares/v1/key/export", consent::Right::Owner},
      {"POST /lares/v1/key/import", consent::Right::Owner},
  };
  for (const auto& [name, right] : expected) {
    const Endpoint* endpoint = Registered<Endpoint>::find(name);
    ASSERT_NE(endpoint, nullptr) << name;
    EXPECT_EQ(endpoint->right, right) << name;
    EXPECT_FALSE(endpoint->summary.empty()) << name;
    if (endpoint->schema.empty()) continue;
    EXPECT_TRUE(parse_json(endpoint->schema)) << name;
  }
}

TEST(Models, OpenAisListHasItsFieldsAndNoPath) {
  FakeService service;
  service.answer = listed();
  const Json json = call("GET /v1/models", {}, service)->json();
  EXPECT_EQ(json["object"], "list");
  EXPECT_EQ(json["data"][0]["id"], "tiny");
  EXPECT_EQ(json["data"][0]["object"], "model");
  EXPECT_EQ(json["data"][0]["created"], 5);
  EXPECT_EQ(json["data"][0]["owned_by"], "lares");
  EXPECT_EQ(json["data"][0]["meta"]["n_ctx_train"], 2048);
  EXPECT_EQ(json["data"][1]["capabilities"], Json::array({"embedding"}));
  EXPECT_EQ(dump(json).find("/home"), std::string::npos);
}

TEST(Models, OneIsAskedForByAnyName) {
  FakeService service;
  service.answer = listed()[0];
  Request request;
  request.path_parameters["id"] = "org/tiny:q4";
  EXPECT_EQ(call("GET /v1/models/{id}", request, service)->json()["id"], "tiny");
  EXPECT_EQ(service.asked[0].second["name"], "org/tiny:q4");
  service.answer = Error{Code::NotFound, "no model 'tino'; did you mean 'tiny'?"};
  const auto responder = call("GET /v1/models/{id}", request, service);
  EXPECT_EQ(responder->status, 404);
  EXPECT_EQ(responder->json()["error"]["code"], "model_not_found");
  EXPECT_EQ(responder->json()["error"]["param"], "model");
}

TEST(Models, OnlyTheOwnerSeesWhereFilesLieAndCameFrom) {
  FakeService service;
  service.answer = listed();
  (*service.answer)[0]["pulled"] = {{"source", "https://x.org/secret"}};
  Request request;
  request.who = kApp;
  const Json seen = call("GET /lares/v1/models", request, service)->json()[0];
  EXPECT_FALSE(seen.contains("file"));
  EXPECT_FALSE(seen.contains("pulled"));
  request.who = kOwner;
  EXPECT_EQ(call("GET /lares/v1/models", request, service)->json()[0]["file"], "/home/a/tiny.gguf");
}

TEST(Orders, MustSayThatTheyAreJson) {
  for (const char* route : {"POST /lares/v1/models", "POST /lares/v1/stop"}) {
    for (const char* type :
         {"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"}) {
      FakeService service;
      Request request;
      request.body = R"({"file":"/x"})";
      if (*type) request.headers["content-type"] = type;
      EXPECT_EQ(call(route, request, service)->status, 400) << route << type;
      EXPECT_TRUE(service.asked.empty());
    }
    FakeService service;
    Request request;
    request.body = R"({"file":"/x"})";
    request.headers["content-type"] = "Application/JSON; charset=utf-8";
    EXPECT_EQ(call(route, request, service)->status, 200) << route;
  }
}

TEST(Orders, AddingAModelChecksItsFields) {
  FakeService service;
  for (const char* bad :
       {"{}", R"({"file":7})", R"({"file":""})", R"({"file":"/x","name":[]})", "[]"})
    EXPECT_EQ(post("/lares/v1/models", bad, service)->status, 400) << bad;
  EXPECT_TRUE(service.asked.empty());
  post("/lares/v1/models", R"({"file":"/x.gguf","name":"x","other":1})", service);
  EXPECT_EQ(service.asked[0].first, "models.add");
  EXPECT_EQ(service.asked[0].second, Json::parse(R"({"file":"/x.gguf","name":"x"})"));
}

TEST(Questions, AreAskedByTheirNames) {
  for (const auto& [route, question] :
       std::map<const char*, const char*>{{"GET /lares/v1/models-found", "models.find"},
                                          {"GET /lares/v1/ps", "ps"},
                                          {"GET /lares/v1/why", "why"},
                                          {"GET /lares/v1/doctor", "doctor"},
                                          {"GET /lares/v1/status", "status"},
                                          {"GET /lares/v1/config", "config"},
                                          {"GET /lares/v1/receipts", "receipts"}}) {
    FakeService service;
    service.answer = Json::array({1});
    EXPECT_EQ(call(route, {}, service)->body, "[1]") << route;
    EXPECT_EQ(service.asked.at(0).first, question);
  }
  FakeService service;
  Request request;
  request.path_parameters["id"] = "r-1";
  call("GET /lares/v1/why/{id}", request, service);
  EXPECT_EQ(service.asked[0].second["id"], "r-1");
  request.path_parameters["id"] = "tiny";
  call("DELETE /lares/v1/models/{id}", request, service);
  EXPECT_EQ(service.asked[1].first, "models.rm");
}

TEST(Questions, TheNumberOfReceiptsIsBounded) {
  FakeService service;
  for (const char* bad : {"0", "-1", "1001", "x", "", "5x", "99999999999999999999"}) {
    Request request;
    request.query["limit"] = bad;
    const auto responder = call("GET /lares/v1/receipts", request, service);
    EXPECT_EQ(responder->status, 400) << bad;
    EXPECT_EQ(responder->failed.param, "limit");
  }
  Request request;
  request.query["limit"] = "1000";
  call("GET /lares/v1/receipts", request, service);
  EXPECT_EQ(service.asked.at(0).second["limit"], 1000);
}

TEST(Health, SaysNothingButThatItAnswers) {
  FakeService service;
  EXPECT_EQ(call("GET /health", {}, service)->body, R"({"status":"ok"})");
  EXPECT_EQ(call("GET /", {}, service)->body, "Lares is running\n");
  EXPECT_TRUE(service.asked.empty());
}

TEST(Description, HasTheRequestFieldsOfTheTable) {
  FakeService service;
  const Json json = call("GET /openapi.json", {}, service)->json();
  const Json& body = json["paths"]["/v1/chat/completions"]["post"]["requestBody"];
  EXPECT_EQ(body["content"]["application/json"]["schema"]["properties"]["top_logprobs"]["maximum"],
            20);
}

}  // namespace
}  // namespace lares::api
