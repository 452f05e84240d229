// llhttp's own cases (MIT, from LARES_TEST_DATA) against our reader: what the strictest widely used
// parser rejects is never served here, and what it accepts is served but for the differences listed
// below.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>

#include "api/door_testing.h"

namespace lares::api {
namespace {

using namespace api::testing;

// Where we refuse what llhttp accepts: by what the refusal says, with the reason.
const std::map<std::string_view, std::string_view> kStricter = {
    {"is no path",
     "one form of target is served: a path without a fragment, escaped; proxies' forms are not"},
    {"is not well escaped", "llhttp does not decode paths"},
    {"holds '.' or '..'", "llhttp does not read paths"},
    {"no Host", "every request says where it thinks it is (some of a pipeline's do not)"},
    {"is not spoken here", "of the versions only 1.0 and 1.1"},
    {"'chunked' or Content-Length", "no other encoding of a body is read"},
    {"Transfer-Encoding in HTTP/1.0", "which that version does not have"},
    {"times; send it once", "fields that decide stand there once, even if they agree"},
    {"Content-Encoding", "compressed bodies are not read"},
    {"Expect", "of the expectations only 100-continue"},
    {"preflight", "OPTIONS is never granted"},
    {"only 'Bearer TOKEN'", "other credentials are not known"},
};

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::strtoul(std::string(hex.substr(i, 2)).c_str(), nullptr, 16));
  return bytes;
}

void run_ok(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->whole(200, "text/plain", "served");
}

// Their requests go anywhere and mostly name no Host; ours need both, so the route is declared and
// the Host is put behind the first line.
struct Case {
  std::string id;
  std::string verdict;
  std::string type;
  std::string bytes;
  std::string route;  // "" when the first line is none
};

Case read_case(const Json& json) {
  Case one{json["id"], json["verdict"], json["type"],
           from_hex(json["input_hex"].get<std::string>()), ""};
  const size_t line_end = one.bytes.find("\r\n");
  if (line_end == std::string::npos) return one;
  const std::vector<std::string> words = split(one.bytes.substr(0, line_end), ' ');
  if (words.size() == 3 && words[1].starts_with('/'))
    one.route =
        cat(words[0], ' ', percent_decoded(words[1].substr(0, words[1].find('?'))).value_or("/"));
  if (lower(one.bytes).find("\nhost:") == std::string::npos)
    one.bytes.insert(line_end + 2, "Host: lares\r\n");
  return one;
}

TEST(HttpStrictness, NothingIsServedThatLlhttpRejects) {
  const char* data = std::getenv("LARES_TEST_DATA");
  const std::string file = cat(data ? data : "", "/fuzz/llhttp_cases.jsonl");
  const auto text = read_file(file);
  if (!text)
    GTEST_SKIP() << "SKIPPED: no llhttp cases; set LARES_TEST_DATA to the folder of test data";

  std::vector<Case> cases;
  std::set<std::string> routes;
  for (const std::string& line : split(*text, '\n')) {
    if (trimmed(line).empty()) continue;
    const Json json = *parse_json(line);
    if (!json["type"].get<std::string>().starts_with("request")) continue;
    cases.push_back(read_case(json));
    if (!cases.back().route.empty()) routes.insert(cases.back().route);
  }
  ASSERT_GE(cases.size(), 50u);

  std::deque<Endpoint> endpoints;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / cat("lares-llhttp-", random_hex(6));
  consent::Credentials credentials{consent::Tokens("")};
  HttpServer::Config config{
      .socket = folder / "api.sock", .port = std::nullopt, .credentials = &credentials};
  for (const std::string& route : routes) {
    endpoints.push_back({.name = route, .right = Right::App, .run = run_ok});
    config.routes.push_back(&endpoints.back());
  }
  FakeService service;
  Log log = Log::silent();
  auto server = HttpServer::open(std::move(config), service, log);
  ASSERT_TRUE(server) << server.error().message;

  size_t explained_count = 0;
  for (const Case& one : cases) {
    Raw raw(folder / "api.sock");
    raw.send(one.bytes).half_close();
    const std::string answers = raw.rest();
    // the first refusal ends the connection; what was served before it was a request of its own
    const bool refused = answers.find("HTTP/1.1 4") != std::string::npos;
    const bool served = answers.starts_with("HTTP/1.1 200");
    EXPECT_EQ(answers.find("HTTP/1.1 5"), std::string::npos) << one.id << '\n' << answers;
    if (one.type != "request")
      continue;  // the others' verdicts hold for a reader with a leniency that we lack
    if (one.verdict == "reject") {
      // a reject in a later request of a connection: the first was right
      const bool first_alone = one.bytes.find("\r\n\r\n") != std::string::npos && served && refused;
      EXPECT_TRUE(!served || first_alone) << one.id << '\n' << answers << '\n' << one.bytes;
    } else if (refused) {
      const bool explained = std::any_of(
          kStricter.begin(), kStricter.end(),
          [&](const auto& stricter) { return answers.find(stricter.first) != std::string::npos; });
      EXPECT_TRUE(explained) << one.id << " is refused, and the table does not say why\n"
                             << answers << '\n'
                             << one.bytes;
      explained_count += explained;
    }
  }
  std::printf("%zu requests of llhttp, %zu refused for a reason of ours\n", cases.size(),
              explained_count);
  server->reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lares::api
