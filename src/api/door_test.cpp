#include "api/door.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>

#include "api/answer.h"
#include "base/text.h"

namespace lares::api {
namespace {

using consent::Right;
using namespace std::string_literals;

void answers_nothing(const Request&, std::shared_ptr<Responder>, Service&) {}

constexpr uint16_t kPort = 5273;
constexpr uint32_t kMe = 1000;
const std::string kToken = cat(consent::kTokenPrefix, std::string(64, 'a'));
const std::string kWrong = cat(consent::kTokenPrefix, std::string(63, 'a'), 'b');

const std::vector<Endpoint> kEndpoints = {
    {.name = "GET /health", .right = Right::None, .run = answers_nothing},
    {.name = "GET /", .right = Right::None, .run = answers_nothing},
    {.name = "GET /v1/models", .right = Right::App, .run = answers_nothing},
    {.name = "GET /v1/models/{id}", .right = Right::App, .run = answers_nothing},
    {.name = "POST /v1/chat/completions", .right = Right::App, .run = answers_nothing},
    {.name = "DELETE /lares/v1/models/{id}", .right = Right::Owner, .run = answers_nothing},
    {.name = "GET /lares/v1/models/{id}/state/{part}",
     .right = Right::Owner,
     .run = answers_nothing},
    {.name = "POST /api/chat",
     .right = Right::App,
     .shape = ErrorShape::Ollama,
     .run = answers_nothing},
    {.name = "POST /lares/v1/stop", .right = Right::Owner, .run = answers_nothing},
};

const Routes& routes() {
  static const Routes all([] {
    std::vector<const Endpoint*> endpoints;
    endpoints.reserve(std::size(kEndpoints));
    for (const Endpoint& endpoint : kEndpoints) endpoints.push_back(&endpoint);
    return endpoints;
  }());
  return all;
}

consent::Credentials& credentials() {
  static consent::Credentials all{consent::Tokens(kToken)};
  return all;
}
// Of a page that was paired, and of an app that has a token.
const std::string& page() {
  static const std::string secret = credentials().redeem(credentials().pair(), "a browser")->secret;
  return secret;
}
const std::string& app() {
  static const std::string secret = credentials().add_app("notes")->secret;
  return secret;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// A caller's whole request, as the tests vary it.
struct Asked {
  std::string method = "GET";
  std::string target = "/v1/models";
  Fields fields = {{"host", "127.0.0.1:5273"}};
  Caller caller = {.transport = Transport::Loopback, .uid = kMe, .own_uid = kMe, .port = kPort};
  unsigned minor = 1;

  std::variant<Admitted, Refusal> answer() const {
    return admit({.method = method, .target = target, .minor = minor, .fields = fields}, caller,
                 routes(), credentials(), Limits{});
  }
  int status() const {
    const auto decided = answer();
    const auto* refusal = std::get_if<Refusal>(&decided);
    return refusal ? refusal->status : 200;
  }
  std::string message() const {
    const auto decided = answer();
    const auto* refusal = std::get_if<Refusal>(&decided);
    return refusal ? refusal->message : "";
  }
  Admitted admitted() const {
    auto decided = answer();
    EXPECT_TRUE(std::holds_alternative<Admitted>(decided)) << message();
    return std::holds_alternative<Admitted>(decided) ? std::get<Admitted>(std::move(decided))
                                                     : Admitted{};
  }
  Asked with(std::string name, std::string value) const {
    Asked other = *this;
    other.fields.emplace_back(std::move(name), std::move(value));
    return other;
  }
};

Asked post(std::string target = "/v1/chat/completions") {
  return {.method = "POST", .target = std::move(target)};
}

// --- the matrix: what is served is exactly what is declared
// --------------------------------------------

struct Credential {
  Fields fields;
  enum { Nothing, Placeholder, Wrong, Right, App, Page, Malformed } kind;
};

const std::vector<std::string> kHosts = {"127.0.0.1:5273",
                                         "[::1]:5273",
                                         "localhost:5273",
                                         "127.0.0.1",
                                         "localhost",
                                         "[::1]",
                                         "127.0.0.1:5274",
                                         "localhost:80",
                                         "localhost:05273",
                                         "127.0.0.1:5273.",
                                         "localhost.:5273",
                                         "evil.example",
                                         "evil.example:5273",
                                         "127.0.0.1.evil.example:5273",
                                         "localhost:5273.evil.example",
                                         "foo.localhost:5273",
                                         "0.0.0.0:5273",
                                         "127.1:5273",
                                         "2130706433:5273",
                                         "[::ffff:127.0.0.1]:5273",
                                         "user@localhost:5273",
                                         "localhost:5273@evil.example",
                                         "",
                                         "null"};
const std::vector<std::string> kOrigins = {"-",  // not sent
                                           "http://127.0.0.1:5273",
                                           "http://localhost:5273",
                                           "http://[::1]:5273",
                                           "https://127.0.0.1:5273",
                                           "http://127.0.0.1",
                                           "http://127.0.0.1:5274",
                                           "null",
                                           "",
                                           "file://",
                                           "app://obsidian.md",
                                           "chrome-extension://abcdefghijklmnop",
                                           "moz-extension://1-2-3",
                                           "http://evil.example",
                                           "http://127.0.0.1:5273.evil.example",
                                           "http://localhost:5273, http://evil.example"};
const std::vector<std::string> kSites = {"-", "same-origin", "none", "same-site", "cross-site",
                                         "",  "Same-Origin"};
const std::vector<Credential> kCredentials = {
    {{}, Credential::Nothing},
    {{{"authorization", "Bearer " + kToken}}, Credential::Right},
    {{{"x-api-key", kToken}}, Credential::Right},
    {{{"authorization", "Bearer " + kToken}, {"x-api-key", kToken}}, Credential::Right},
    {{{"authorization", "Bearer " + kWrong}}, Credential::Wrong},
    {{{"x-api-key", kToken.substr(0, kToken.size() - 1)}}, Credential::Wrong},
    {{{"authorization", "Bearer none"}}, Credential::Placeholder},
    {{{"x-api-key", "sk-proj-1234"}}, Credential::Placeholder},
    {{{"authorization", "Bearer " + kToken}, {"x-api-key", "other"}}, Credential::Malformed},
    {{{"authorization", "Basic b3duZXI6eA=="}}, Credential::Malformed},
    {{{"authorization", "Bearer"}}, Credential::Nothing},
    {{{"authorization", "Bearer " + app()}}, Credential::App},
    {{{"x-api-key", app()}, {"cookie", "lares-5273=" + page()}}, Credential::App},
    {{{"authorization", "Bearer " + page()}}, Credential::Wrong},
    {{{"cookie", "lares-5273=" + page()}}, Credential::Page},
    {{{"cookie", "a=b; lares-5273=" + page() + "; lares-5274=x"}}, Credential::Page},
    {{{"cookie", "lares-5274=" + page()}}, Credential::Nothing},
    {{{"cookie", "lares-5273=" + page() + "; lares-5273=" + page()}}, Credential::Nothing},
    {{{"cookie", "lares-5273=" + kToken}}, Credential::Nothing},
    {{{"cookie", "lares-5273=" + app()}}, Credential::Nothing},
    {{{"cookie", "lares-5273="}}, Credential::Nothing},
    {{{"cookie", "Lares-5273=" + page()}}, Credential::Nothing},
};
const std::vector<Caller> kCallers = {
    {.transport = Transport::Loopback, .uid = kMe, .own_uid = kMe, .port = kPort},
    {.transport = Transport::Loopback, .uid = 33, .own_uid = kMe, .port = kPort},
    {.transport = Transport::Loopback, .uid = 0, .own_uid = kMe, .port = kPort},
    {.transport = Transport::Loopback, .uid = std::nullopt, .own_uid = kMe, .port = kPort},
    {.transport = Transport::Unix, .uid = kMe, .own_uid = kMe},
    {.transport = Transport::Unix, .uid = 33, .own_uid = kMe},
    {.transport = Transport::Unix, .uid = std::nullopt, .own_uid = kMe},
};
struct Target {
  std::string method, path;
  std::optional<Right> declared;  // nothing: no such route
};
const std::vector<Target> kTargets = {
    {"GET", "/health", Right::None},
    {"GET", "/v1/models", Right::App},
    {"HEAD", "/v1/models", Right::App},
    {"GET", "/v1/models/user/name:q4", Right::App},
    {"POST", "/v1/chat/completions", Right::App},
    {"DELETE", "/lares/v1/models/a", Right::Owner},
    {"POST", "/lares/v1/stop", Right::Owner},
    {"GET", "/lares/v1/stop", std::nullopt},
    {"PUT", "/v1/models", std::nullopt},
    {"OPTIONS", "/v1/models", std::nullopt},
    {"TRACE", "/", std::nullopt},
    {"CONNECT", "/", std::nullopt},
    {"GET", "/v1/nothing", std::nullopt},
    {"GET", "/V1/models", std::nullopt},
    {"GET", "//v1/models", std::nullopt},
    {"GET", "/v1/models/", std::nullopt},
    {"GET", "/v1/../lares/v1/status", std::nullopt},
};

// The declaration, in words of its own and not the door's.
bool declared(const Target& target, const std::string& host, const std::string& origin,
              const std::string& site, const Credential& credential, const Caller& caller) {
  if (!target.declared) return false;
  if (site != "-" && site != "same-origin" && site != "none") return false;
  const bool browser = origin != "-" || site != "-";
  const bool mine = caller.uid && *caller.uid == kMe;
  if (caller.transport == Transport::Unix) {
    if (!mine || origin != "-") return false;
  } else {
    if (host != "127.0.0.1:5273" && host != "[::1]:5273" && host != "localhost:5273") return false;
    if (origin != "-" && origin != "http://" + host) return false;
  }
  Right right = Right::None;
  switch (credential.kind) {
    case Credential::Right: right = Right::Owner; break;
    case Credential::Wrong:
    case Credential::Malformed: return false;
    case Credential::App: right = Right::App; break;
    case Credential::Page: {
      const bool looks = target.method == "GET" || target.method == "HEAD";
      const bool from_page =
          site == "same-origin" || (site == "none" && looks) || (site == "-" && origin != "-");
      if (caller.transport == Transport::Loopback && mine && from_page) {
        right = Right::Owner;
        break;
      }
    }
      [[fallthrough]];
    case Credential::Placeholder:
      if (credential.kind == Credential::Placeholder && (!mine || browser)) return false;
      [[fallthrough]];
    case Credential::Nothing:
      if (caller.transport == Transport::Unix) right = Right::Owner;
      if (caller.transport == Transport::Loopback && mine && !browser) right = Right::App;
      break;
  }
  return right >= *target.declared;
}

// Of the whole product, of some three million, what can go wrong alone is asked in full (each
// caller with each credential for each route), and the rest in a walk whose stride has no factor in
// common with any list.
TEST(DoorMatrix, WhatIsServedIsExactlyWhatIsDeclared) {
  size_t asked = 0;
  std::set<std::string> served_targets;
  const auto ask = [&](const Target& target, const std::string& host, const std::string& origin,
                       const std::string& site, const Credential& credential,
                       const Caller& caller) {
    Asked one{.method = target.method,
              .target = target.path,
              .fields = {{"host", host}},
              .caller = caller};
    if (origin != "-") one.fields.emplace_back("origin", origin);
    if (site != "-") one.fields.emplace_back("sec-fetch-site", site);
    one.fields.insert(one.fields.end(), credential.fields.begin(), credential.fields.end());
    const int status = one.status();
    const bool expected = declared(target, host, origin, site, credential, caller);
    ASSERT_EQ(status == 200, expected)
        << target.method << ' ' << target.path << " host=" << host << " origin=" << origin
        << " site=" << site << " credential=" << testing::PrintToString(credential.fields)
        << " uid=" << testing::PrintToString(caller.uid)
        << " unix=" << (caller.transport == Transport::Unix) << ": " << one.message();
    ASSERT_TRUE(status == 200 || (status >= 400 && status < 500)) << status;
    asked++;
    if (expected) served_targets.insert(target.method + target.path);
  };
  for (const Target& target : kTargets) {
    for (const Credential& credential : kCredentials) {
      for (const Caller& caller : kCallers) ask(target, kHosts[0], "-", "-", credential, caller);
    }
  }
  const size_t product = kHosts.size() * kOrigins.size() * kSites.size() * kCredentials.size() *
                         kCallers.size() * kTargets.size();
  constexpr size_t kStride = 101;
  for (size_t at = 0; at < product; at += kStride) {
    size_t rest = at;
    const auto next = [&rest](const auto& list) -> const auto& {
      const auto& item = list[rest % list.size()];
      rest /= list.size();
      return item;
    };
    const std::string& host = next(kHosts);
    const std::string& origin = next(kOrigins);
    const std::string& site = next(kSites);
    const Credential& credential = next(kCredentials);
    const Caller& caller = next(kCallers);
    ask(next(kTargets), host, origin, site, credential, caller);
  }
  EXPECT_GE(asked, 30'000u);
  EXPECT_EQ(served_targets.size(), 7u) << "a declared route was never served";
}

TEST(DoorMatrix, AFieldOfABrowserInAnySpellingTakesAwayTheRightsOfAProgram) {
  for (const char* name :
       {"origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-ch-ua", "sec-gpc"}) {
    const std::string value = std::string_view(name) == "origin"           ? "http://127.0.0.1:5273"
                              : std::string_view(name) == "sec-fetch-site" ? "none"
                                                                           : "navigate";
    EXPECT_EQ(Asked{}.with(name, value).status(), 401) << name;
    EXPECT_EQ(Asked{}.with(name, value).with("x-api-key", kToken).status(), 200) << name;
  }
}

TEST(DoorMatrix, WhatComesThroughAProxyHasNoRightsButThoseOfAToken) {
  const Caller by_socket{.transport = Transport::Unix, .uid = kMe, .own_uid = kMe};
  for (const char* name :
       {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via", "x-real-ip",
        "x-client-ip", "true-client-ip", "x-cluster-client-ip", "cf-connecting-ip"}) {
    for (const Asked& plain : {Asked{}, Asked{.caller = by_socket}}) {
      EXPECT_EQ(plain.status(), 200);
      const Asked forwarded = Asked(plain).with(name, "1.1 somewhere");
      EXPECT_EQ(forwarded.status(), 401) << name;
      EXPECT_NE(forwarded.message().find("through a proxy"), std::string::npos)
          << forwarded.message();
      EXPECT_EQ(Asked(forwarded).with("x-api-key", "placeholder").status(), 401) << name;
      EXPECT_EQ(Asked(forwarded).with("x-api-key", kToken).status(), 200) << name;
    }
  }
}

// --- single rules, with what they say
// ------------------------------------------------------------------

TEST(Door, ANameThatWasPointedAtThisComputerIsRefused) {
  Asked rebound{.fields = {{"host", "evil.example"}}};
  EXPECT_EQ(rebound.status(), 403);
  EXPECT_EQ(
      rebound.message(),
      "checking Host: 'evil.example' is not an address of this program; use '127.0.0.1:5273'");
  EXPECT_EQ(rebound.with("x-api-key", kToken).status(), 403) << "not even with the token";
}

TEST(Door, NoHostOrTwoAreMalformed) {
  Asked none{.fields = {}};
  EXPECT_EQ(none.status(), 400);
  EXPECT_EQ(Asked{}.with("host", "evil.example").status(), 400);
}

TEST(Door, FieldsThatDecideStandOnce) {
  for (const char* name :
       {"origin", "authorization", "x-api-key", "content-length", "content-type",
        "transfer-encoding", "content-encoding", "sec-fetch-site", "expect", "cookie"}) {
    EXPECT_EQ(Asked{}.with(name, "a").with(name, "a").status(), 400) << name;
  }
}

TEST(Door, APreflightIsNeverGranted) {
  Asked preflight{.method = "OPTIONS"};
  EXPECT_EQ(preflight.status(), 403);
  EXPECT_EQ(preflight.with("origin", "http://127.0.0.1:5273")
                .with("access-control-request-method", "POST")
                .status(),
            403);
  Asked star{.method = "OPTIONS", .target = "*"};
  EXPECT_EQ(star.status(), 403);
}

TEST(Door, AWrongTokenIsRefusedEvenFromAProgramOfTheSamePerson) {
  const auto decided = Asked{}.with("authorization", "Bearer " + kWrong).answer();
  ASSERT_TRUE(std::holds_alternative<Refusal>(decided));
  EXPECT_EQ(std::get<Refusal>(decided).status, 401);
  EXPECT_TRUE(std::get<Refusal>(decided).failed_token);
  EXPECT_EQ(std::get<Refusal>(decided).message.find(kWrong), std::string::npos)
      << "a token was shown";
}

TEST(Door, APlaceholderThatAnSdkInsistsOnGivesWhatNoTokenGives) {
  const Admitted admitted = Asked{}.with("authorization", "Bearer sk-no-key-required").admitted();
  EXPECT_EQ(admitted.request.who.right, Right::App);
  EXPECT_EQ(post("/lares/v1/stop").with("authorization", "Bearer none").status(), 403);
}

TEST(Door, TheTokenIsTheOwnersOverLoopbackFromAnyUser) {
  Asked other;
  other.caller.uid = 33;
  EXPECT_EQ(other.status(), 401);
  EXPECT_NE(other.message().find("belongs to user 33, not to 1000"), std::string::npos)
      << other.message();
  EXPECT_EQ(other.with("x-api-key", kToken).admitted().request.who.id, "owner");
  EXPECT_EQ(other.with("authorization", "bEaReR   " + kToken).admitted().request.who.right,
            Right::Owner);
}

TEST(Door, SecretsAreNotHandedOn) {
  const Admitted admitted =
      Asked{}.with("authorization", "Bearer " + kToken).with("cookie", "a=b").admitted();
  EXPECT_FALSE(admitted.request.headers.contains("authorization"));
  EXPECT_FALSE(admitted.request.headers.contains("cookie"));
  EXPECT_TRUE(admitted.request.headers.contains("host"));
}

TEST(Door, ARightThatIsMissingIsNamedWithTheWayToIt) {
  EXPECT_EQ(post("/lares/v1/stop").message(),
            "checking the right to 'POST /lares/v1/stop': it needs 'owner', and this caller has "
            "'app'; use "
            "the `lares` command, or send the token that `lares token` shows");
}

TEST(Door, AnUnknownRouteNamesTheNearest) {
  Asked typo{.target = "/v1/model"};
  EXPECT_EQ(typo.status(), 404);
  EXPECT_NE(typo.message().find("did you mean 'GET /v1/models'?"), std::string::npos)
      << typo.message();
  Asked wrong_method{.method = "POST"};
  const auto decided = wrong_method.answer();
  EXPECT_EQ(std::get<Refusal>(decided).status, 405);
  EXPECT_EQ(std::get<Refusal>(decided).allow, "GET");
}

TEST(Door, ErrorsBehindTheRouteHaveItsShape) {
  Asked foreign = post("/api/chat");
  foreign.caller.uid = 33;
  const auto decided = foreign.answer();
  EXPECT_TRUE(parse_json(refusal_body(std::get<Refusal>(decided)))->at("error").is_string());
  const Json openai = *parse_json(refusal_body(std::get<Refusal>(Asked{.target = "/no"}.answer())));
  EXPECT_EQ(openai["error"]["type"], "not_found_error");
  EXPECT_EQ(openai["error"]["code"], "not_found");
  EXPECT_TRUE(openai["error"]["param"].is_null());
}

TEST(Door, EveryStatusOfTheDoorHasWords) {
  for (const int status : {400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 429, 431}) {
    EXPECT_NE(reason_phrase(status), "Other") << status;
    EXPECT_TRUE(parse_json(refusal_body({.status = status, .message = "\xff\""}))) << status;
  }
}

TEST(Door, OneCodeHasOneStatusWhoeverRefuses) {
  for (const int status : {400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 429, 431}) {
    const Json error = (*parse_json(refusal_body({.status = status, .message = "m"})))["error"];
    const CodeRow* known =
        error["code"].is_string() ? row_named(error["code"].get<std::string>()) : nullptr;
    if (!known) continue;
    EXPECT_EQ(known->http_status, status) << error["code"];
    EXPECT_EQ(known->api_type, error["type"].get<std::string>()) << error["code"];
  }
  EXPECT_EQ(dump((*parse_json(refusal_body({.status = 400, .message = "m"})))["error"]),
            dump(error_object({Code::Invalid, "m"})));
}

TEST(Door, ParametersAreDecodedAndTheLastTakesSlashes) {
  const auto parameters = [](std::string target) {
    return Asked{.target = std::move(target)}
        .with("x-api-key", kToken)
        .admitted()
        .request.path_parameters;
  };
  EXPECT_EQ(parameters("/v1/models/hf.co/user/Name-GGUF:Q4_K_M").at("id"),
            "hf.co/user/Name-GGUF:Q4_K_M");
  EXPECT_EQ(parameters("/v1/models/a%2Fb%20c").at("id"), "a/b c");
  EXPECT_EQ(parameters("/v1/models/%C3%BC").at("id"), "ü");
  EXPECT_EQ(parameters("/v1/models/a%252Fb").at("id"), "a%2Fb") << "decoded once";
  const auto two = parameters("/lares/v1/models/a%2Fb/state/c/d");
  EXPECT_EQ(two.at("id"), "a/b");
  EXPECT_EQ(two.at("part"), "c/d");
}

TEST(Door, ALiteralGoesBeforeAParameter) {
  const Endpoint fixed{.name = "GET /a/found", .right = Right::None, .run = answers_nothing};
  const Endpoint any{.name = "GET /a/{id}", .right = Right::None, .run = answers_nothing};
  const Endpoint deep{.name = "GET /a/{id}/log", .right = Right::None, .run = answers_nothing};
  const Routes mixed({&any, &fixed, &deep});
  EXPECT_EQ(mixed.find("GET", "/a/found").endpoint, &fixed);
  EXPECT_EQ(mixed.find("GET", "/a/foun%64").endpoint, &fixed);
  EXPECT_EQ(mixed.find("GET", "/a/other").endpoint, &any);
  EXPECT_EQ(mixed.find("GET", "/a/other/log").endpoint, &deep);
  EXPECT_EQ(mixed.find("GET", "/a/other/more").endpoint, &any);
  EXPECT_EQ(mixed.find("GET", "/a/").endpoint, nullptr);
  EXPECT_EQ(mixed.find("GET", "/a").methods.size(), 0u);
}

TEST(Door, TwoRoutesOfOneNameAreABug) {
  EXPECT_DEATH(Routes({&kEndpoints[0], &kEndpoints[0]}), "first_of_its_name");
}

TEST(Door, PathsThatCanBeReadInTwoWaysAreRefused) {
  for (const char* target :
       {"/v1/models/..", "/v1/models/%2e%2e/x", "/v1/models/a%2F..%2Fb", "/v1/models/.",
        "/v1/models/%00", "/v1/models/a%0d%0ab", "/v1/models/%", "/v1/models/%4", "/v1/models/%zz",
        "/v1/models/%ff", "/v1/models/%c0%af", "/v1/models/%ed%a0%80", "/v1/models?a=%00",
        "/v1/models?a=1&a=2"}) {
    EXPECT_EQ(Asked{.target = target}.status(), 400) << target;
  }
}

TEST(Door, QueriesAreDecoded) {
  const auto query =
      Asked{.target = "/v1/models?limit=20&q=a+b%26c&empty=&flag"}.admitted().request.query;
  EXPECT_EQ(query, (std::map<std::string, std::string>{
                       {"limit", "20"}, {"q", "a b&c"}, {"empty", ""}, {"flag", ""}}));
  std::string many = "/v1/models?";
  for (size_t i = 0; i <= kQueryParametersMax; i++) many += cat("p", i, "=1&");
  EXPECT_EQ(Asked{.target = many}.status(), 400);
}

TEST(Door, TheLengthOfABodyIsSaidInOneWay) {
  EXPECT_EQ(post().with("content-length", "5").admitted().body_length, 5u);
  EXPECT_EQ(post().with("content-length", "0").admitted().body, BodyKind::None);
  EXPECT_EQ(post().with("transfer-encoding", "Chunked").admitted().body, BodyKind::Chunked);
  EXPECT_EQ(post().with("content-length", "5").with("transfer-encoding", "chunked").status(), 400);
  for (const char* length : {"", "-1", "+1", "1 ", "0x10", "1,1", "1.0", "1e3", "٣", "five"})
    EXPECT_EQ(post().with("content-length", length).status(), 400) << length;
  for (const char* encoding :
       {"", "gzip", "gzip, chunked", "chunked, chunked", "chunked;q=1", "identity", "xchunked"})
    EXPECT_EQ(post().with("transfer-encoding", encoding).status(), 400) << encoding;
  Asked old = post();
  old.minor = 0;
  EXPECT_EQ(old.with("transfer-encoding", "chunked").status(), 400);
}

TEST(Door, ABodyOverTheLimitIsRefusedByItsHead) {
  EXPECT_EQ(post().with("content-length", cat(Limits{}.body.n)).status(), 200);
  EXPECT_EQ(post().with("content-length", cat(Limits{}.body.n + 1)).status(), 413);
  EXPECT_EQ(post().with("content-length", "99999999999999999999999999").status(), 413);
}

TEST(Door, CompressedBodiesAreRefused) {
  EXPECT_EQ(post().with("content-encoding", "gzip").status(), 415);
  EXPECT_EQ(post().with("content-encoding", "identity").status(), 200);
}

TEST(Door, ABrowsersBodyMustSayThatItIsJson) {
  const auto page = post()
                        .with("origin", "http://127.0.0.1:5273")
                        .with("x-api-key", kToken)
                        .with("content-length", "2");
  EXPECT_EQ(page.status(), 415);
  EXPECT_EQ(page.with("content-type", "text/plain").status(), 415);
  EXPECT_EQ(page.with("content-type", "application/json-evil").status(), 415);
  EXPECT_EQ(page.with("content-type", "Application/JSON; charset=utf-8").status(), 200);
  EXPECT_EQ(post()
                .with("content-length", "2")
                .with("content-type", "application/x-www-form-urlencoded")
                .status(),
            200)
      << "curl -d says so, and no page can send it without Origin";
}

TEST(Door, OnlyTheExpectationOfContinueIsKnown) {
  EXPECT_TRUE(post()
                  .with("content-length", "9")
                  .with("expect", "100-Continue")
                  .admitted()
                  .expects_continue);
  EXPECT_FALSE(post().with("expect", "100-continue").admitted().expects_continue)
      << "there is no body to wait for";
  EXPECT_EQ(post().with("expect", "200-ok").status(), 417);
}

TEST(Door, KeepsTheConnectionAsAsked) {
  EXPECT_TRUE(Asked{}.admitted().keep_alive);
  EXPECT_FALSE(Asked{}.with("connection", "close").admitted().keep_alive);
  EXPECT_FALSE(Asked{}.with("connection", "keep-alive, Close").admitted().keep_alive);
  EXPECT_FALSE((Asked{.minor = 0}.admitted().keep_alive));
  EXPECT_TRUE((Asked{.minor = 0}.with("connection", "Keep-Alive").admitted().keep_alive));
  EXPECT_FALSE((Asked{.minor = 0}.admitted().chunks));
}

TEST(Door, RepeatedFieldsOfNoWeightAreJoined) {
  EXPECT_EQ(Asked{}.with("accept", "a").with("accept", "b").admitted().request.headers.at("accept"),
            "a, b");
}

// --- heads
// ---------------------------------------------------------------------------------------------

// What the door makes of bytes that arrive `step` at a time: 0 for "not whole yet", a status, or
// 200.
int head_status(std::string_view bytes, size_t step, const Limits& limits = {}) {
  HeadSearch search;
  for (size_t have = 0; have < bytes.size();) {
    have = std::min(bytes.size(), have + step);
    const auto end = head_end(bytes.substr(0, have), search, limits);
    if (const auto* refusal = std::get_if<Refusal>(&end)) return refusal->status;
    if (const size_t size = std::get<size_t>(end)) {
      const auto head = parse_head(bytes.substr(0, size));
      const auto* refusal = std::get_if<Refusal>(&head);
      return refusal ? refusal->status : 200;
    }
  }
  return 0;
}

void expect_status(int status, const std::string& bytes) {
  for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, bytes.size() + 1})
    EXPECT_EQ(head_status(bytes, step), status)
        << "in steps of " << step << ": " << bytes.substr(0, 200);
}

TEST(DoorHead, GoodOnesAreTakenApart) {
  const std::string bytes =
      "POST /v1/x?a=b HTTP/1.1\r\nHost:localhost\r\nX-Long-Name: \t a  b \t \r\nEmpty:\r\n\r\n";
  expect_status(200, bytes);
  const auto parsed = parse_head(bytes);
  const Head& head = std::get<Head>(parsed);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/x?a=b");
  EXPECT_EQ(head.minor, 1u);
  EXPECT_EQ(head.fields, (Fields{{"host", "localhost"}, {"x-long-name", "a  b"}, {"empty", ""}}));
}

TEST(DoorHead, BytesBehindItAreLeftForTheBody) {
  HeadSearch search;
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(std::get<size_t>(head_end(head + "\n\0\r more"s, search, Limits{})), head.size());
}

TEST(DoorHead, HalfAHeadIsNotWholeYet) {
  const std::string whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t size = 0; size < whole.size(); size++) expect_status(0, whole.substr(0, size));
}

TEST(DoorHead, EveryFormThatReadersDisagreeOnIsRefused) {
  for (const std::string& bytes : std::vector<std::string>{
           "GET / HTTP/1.1\nHost: a\n\n",                   // line feeds alone
           "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",  // a carriage return alone
           "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",  // a folded line
           "GET / HTTP/1.1\r\n Host: a\r\n\r\n",            // a blank before the first field
           "GET / HTTP/1.1\r\nHost : a\r\n\r\n",            // a blank before the colon
           "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",            // a blank in the name
           "GET / HTTP/1.1\r\n: a\r\n\r\n",                 // no name
           "GET / HTTP/1.1\r\nHost\r\n\r\n",                // no colon
           "GET / HTTP/1.1\r\nH\xc3\xb6st: a\r\n\r\n",      // a letter that is none
           "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"s,            // NUL
           "GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n",            // DEL
           "GET  / HTTP/1.1\r\n\r\n",                       // two blanks
           "GET / HTTP/1.1 \r\n\r\n",                       // a blank at the end
           "GET\t/\tHTTP/1.1\r\n\r\n",                      // tabs
           "GET /\r\n\r\n",                                 // HTTP/0.9
           "GET / HTTP/1.2\r\n\r\n",
           "GET / HTTP/2.0\r\n\r\n",
           "GET / http/1.1\r\n\r\n",
           "GET / HTTP/1.10\r\n\r\n",
           "GET / HTTPS/1.1\r\n\r\n",
           "GET http://127.0.0.1:5273/ HTTP/1.1\r\n\r\n",  // absolute
           "CONNECT 127.0.0.1:5273 HTTP/1.1\r\n\r\n",      // authority
           "GET * HTTP/1.1\r\n\r\n",
           "GET v1 HTTP/1.1\r\n\r\n",
           "GET /a#b HTTP/1.1\r\n\r\n",       // a fragment
           "GET /a\\b HTTP/1.1\r\n\r\n",      // what some take for a slash
           "GET /\xc3\xbc HTTP/1.1\r\n\r\n",  // not escaped
           " GET / HTTP/1.1\r\n\r\n",
           "G(T / HTTP/1.1\r\n\r\n",
           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"s,  // TLS
       })
    expect_status(400, bytes);
  expect_status(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

TEST(DoorHead, TheLimitsAreExact) {
  const Limits limits;
  const auto with_field = [](size_t size) {
    return cat("GET / HTTP/1.1\r\nX:", std::string(size, 'a'), "\r\n\r\n");
  };
  EXPECT_EQ(head_status(with_field(limits.line.n - 3), 100), 200);
  EXPECT_EQ(head_status(with_field(limits.line.n), 100), 431);
  EXPECT_EQ(head_status(cat("GET /", std::string(limits.line.n, 'a'), " HTTP/1.1\r\n\r\n"), 100),
            414);
  const auto with_lines = [](size_t count) {
    std::string bytes = "GET / HTTP/1.1\r\n";
    for (size_t i = 0; i < count; i++) bytes += "A: b\r\n";
    return bytes + "\r\n";
  };
  EXPECT_EQ(head_status(with_lines(limits.lines), 100), 200);
  EXPECT_EQ(head_status(with_lines(limits.lines + 1), 100), 431);
  std::string large = "GET / HTTP/1.1\r\n";
  while (large.size() < limits.head.n) large += cat("A: ", std::string(1000, 'b'), "\r\n");
  EXPECT_EQ(head_status(large + "\r\n", 100), 431);
  EXPECT_EQ(head_status(std::string(100'000, 'G'), 1000), 414) << "refused before its end";
}

}  // namespace
}  // namespace lares::api
