#include <gtest/gtest.h>

#include "api/endpoint.h"
#include "base/golden_testing.h"
#include "base/text.h"

namespace lares::api {
namespace {

TEST(ApiPage, IsMadeFromTheTables) {
  std::vector<const Endpoint*> endpoints;
  for (const Endpoint* endpoint : Registered<Endpoint>::all()) {
    if (endpoint->name.find("-test") == std::string_view::npos) endpoints.push_back(endpoint);
  }
  expect_golden("docs/api.md", api_page(endpoints));
}

TEST(ApiPage, SaysWhatAFieldMayBeAndPointsBackToWhatWasSaid) {
  const Endpoint first{.name = "POST /first",
                       .right = consent::Right::App,
                       .summary = "One.",
                       .schema = R"({"required":["n"],"properties":{
  "n":{"type":"integer","minimum":1,"maximum":8,"default":1,"description":"How many."},
  "how":{"enum":["a","b"],"description":"A word."},
  "list":{"type":"array","maxItems":3,"items":{"type":"string"}},
  "either":{"anyOf":[{"type":"string"},{"type":"null"}]},
  "lares":{"type":"object","properties":{"place":{"type":"string"}}}}})"};
  const Endpoint second{
      .name = "GET /second",
      .right = consent::Right::Owner,
      .summary = "Two.",
      .schema = R"({"properties":{"how":{"enum":["a","b"],"description":"A word."}}})",
      .query = R"({"limit":{"type":"integer","minimum":1}})"};
  const Endpoint* const both[] = {&first, &second};
  const std::string page = api_page(both);
  for (const char* line : {
           "| `POST /first` | app | One. |",
           "## POST /first",
           "| `n` | integer, 1 to 8; else `1`; required | How many. |",
           "| `how` | `a`, `b` | A word. |",
           "| `list` | list of string, at most 3 |  |",
           "| `either` | string or null |  |",
           "| `lares.place` | string |  |",
           "| `limit` | integer, at least 1 |  |",
           "As above: `how`.",
       })
    EXPECT_NE(page.find(cat(line, "\n")), std::string::npos) << line << "\n" << page;
}

}  // namespace
}  // namespace lares::api
