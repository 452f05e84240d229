#include <gtest/gtest.h>

#include "api/endpoints/fakes_testing.h"

namespace lares::api {
namespace {

const consent::Principal kApp{"app:test", consent::Right::App, 1000};

// What the service was asked, or the error that the caller got.
std::pair<Json, Error> ask(std::string_view route, std::string body,
                           std::map<std::string, std::string> query = {}) {
  FakeService service;
  Request request;
  request.body = std::move(body);
  request.query = std::move(query);
  request.who = kApp;
  request.headers["content-type"] = "application/json";
  request.path_parameters["id"] = "c-1";
  const auto responder = call(route, request, service);
  return {service.asked.empty() ? Json() : service.asked[0].second, responder->failed};
}

constexpr std::string_view kList = "GET /lares/v1/conversations";
constexpr std::string_view kCreate = "POST /lares/v1/conversations";
constexpr std::string_view kChange = "PATCH /lares/v1/conversations/{id}";
constexpr std::string_view kAppend = "POST /lares/v1/conversations/{id}/messages";

TEST(ConversationRoutes, AreAnyCallersOwn) {
  for (const auto route :
       {kList, kCreate, kChange, kAppend, std::string_view("GET /lares/v1/conversations/{id}"),
        std::string_view("DELETE /lares/v1/conversations/{id}")}) {
    const Endpoint* endpoint = Registered<Endpoint>::find(route);
    ASSERT_NE(endpoint, nullptr) << route;
    EXPECT_EQ(endpoint->right, consent::Right::App) << route;
    if (!endpoint->schema.empty()) {
      EXPECT_TRUE(parse_json(endpoint->schema)) << route;
    }
    if (!endpoint->query.empty()) {
      EXPECT_TRUE(parse_json(endpoint->query)) << route;
    }
  }
  // whoever it is, never whom the body names
  EXPECT_EQ(ask(kCreate, R"({"title":"a"})").first,
            Json::parse(R"({"who":"app:test","id":"c-1","title":"a"})"));
  EXPECT_EQ(ask(kCreate, R"({"who":"owner"})").second.param, "who");
}

TEST(ConversationRoutes, AListIsAskedForWithItsLimits) {
  EXPECT_EQ(ask(kList, "").first["limit"], 50);
  const Json asked =
      ask(kList, "", {{"query", "newt"}, {"limit", "500"}, {"before", "1700000000000"}}).first;
  EXPECT_EQ(asked["query"], "newt");
  EXPECT_EQ(asked["limit"], 500);
  EXPECT_EQ(asked["before"], 1700000000000);
  for (const char* bad : {"0", "501", "-1", "x", "", "5 "})
    EXPECT_EQ(ask(kList, "", {{"limit", bad}}).second.param, "limit") << bad;
  for (const char* bad : {"-1", "x", "99999999999999999999"})
    EXPECT_EQ(ask(kList, "", {{"before", bad}}).second.param, "before") << bad;
  EXPECT_EQ(ask(kList, "", {{"query", std::string(1001, 'x')}}).second.param, "query");
}

TEST(ConversationRoutes, TitlesAndModelsAreCheckedExactly) {
  for (const auto route : {kCreate, kChange}) {
    EXPECT_EQ(ask(route, R"({"title":7})").second.param, "title");
    EXPECT_EQ(ask(route, R"({"title":""})").second.param, "title");
    EXPECT_EQ(ask(route, R"({"model":[]})").second.param, "model");
    EXPECT_EQ(ask(route, R"({"titel":"x"})").second.message,
              "reading the request: there is no field 'titel' here; did you mean 'title'?");
    EXPECT_EQ(ask(route, "[]").second.code, Code::Invalid);
    std::string umlauts;
    for (int i = 0; i < 200; i++) umlauts += "ü";
    EXPECT_EQ(ask(route, dump({{"title", umlauts}})).first["title"], umlauts);
    EXPECT_EQ(ask(route, dump({{"title", umlauts + "x"}})).second.message,
              "reading the request: 'title' is a string of 201 characters, but must be a string of "
              "1 to 200 characters");
  }
  EXPECT_EQ(ask(kChange, R"({"head":null,"model":""})").first,
            Json::parse(R"({"who":"app:test","id":"c-1","model":""})"));
  EXPECT_EQ(ask(kChange, R"({"head":3})").second.param, "head");
}

TEST(ConversationRoutes, AMessageHasARoleAPlaceAndContent) {
  EXPECT_EQ(ask(kAppend, R"({"parent":null,"role":"user","content":"hi"})").first,
            Json::parse(R"({"who":"app:test","id":"c-1","role":"user","text":"hi"})"));
  EXPECT_EQ(
      ask(kAppend, R"({"parent":"m-2","role":"summary","content":"s","covers":"m-1"})").first,
      Json::parse(
          R"({"who":"app:test","id":"c-1","parent":"m-2","role":"summary","text":"s","covers":"m-1"})"));
  const std::map<std::string, std::string> bad = {
      {R"({"role":"user","content":"hi"})", "parent"},
      {R"({"parent":7,"role":"user","content":"hi"})", "parent"},
      {R"({"parent":"","role":"user","content":"hi"})", "parent"},
      {R"({"parent":null,"content":"hi"})", "role"},
      {R"({"parent":null,"role":"tool","content":"hi"})", "role"},
      {R"({"parent":null,"role":7,"content":"hi"})", "role"},
      {R"({"parent":null,"role":"user"})", "content"},
      {R"({"parent":null,"role":"user","content":null})", "content"},
      {R"({"parent":null,"role":"user","content":[]})", "content"},
      {R"({"parent":null,"role":"user","content":[7]})", "content[0].type"},
      {R"({"parent":null,"role":"user","content":[{"type":"video"}]})", "content[0].type"},
      {R"({"parent":null,"role":"user","content":[{"type":"text"}]})", "content[0].text"},
      {R"({"parent":null,"role":"user","content":[{"type":"image_url","image_url":"x"}]})",
       "content[0].image_url.url"},
      {R"({"parent":null,"role":"user","content":"a","covers":"m-1"})", "covers"},
      {R"({"parent":null,"role":"summary","content":"a"})", "covers"},
      {R"({"parent":null,"role":"user","content":"a","id":"m-1"})", "id"},
  };
  for (const auto& [body, param] : bad) {
    const auto [asked, error] = ask(kAppend, body);
    EXPECT_EQ(error.param, param) << body << error.message;
    EXPECT_TRUE(asked.is_null()) << body;
  }
}

TEST(ConversationRoutes, OfPartsTheWordsAreSearchedAndOnlyKnownFieldsKept) {
  const Json asked =
      ask(kAppend,
          R"({"parent":null,"role":"user","content":[{"type":"text","text":"What is"},)"
          R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"x"},"y":1},)"
          R"({"type":"text","text":"this?"}]})")
          .first;
  EXPECT_EQ(asked["text"], "What is\nthis?");
  EXPECT_EQ(Json::parse(asked["parts"].get<std::string>()),
            Json::parse(R"([{"type":"text","text":"What is"},)"
                        R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},)"
                        R"({"type":"text","text":"this?"}])"));
}

TEST(ConversationRoutes, OrdersMustSayThatTheyAreJson) {
  for (const auto route : {kCreate, kChange, kAppend}) {
    FakeService service;
    Request request;
    request.body = R"({"parent":null,"role":"user","content":"x"})";
    request.headers["content-type"] = "text/plain";
    EXPECT_EQ(call(route, request, service)->status, 400) << route;
    EXPECT_TRUE(service.asked.empty());
  }
}

}  // namespace
}  // namespace lares::api
