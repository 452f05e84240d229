#include <gtest/gtest.h>

#include <set>

#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {
namespace {

void answers_nothing(const Request&, std::shared_ptr<Responder>, Service&) {}

const Endpoint kOpen{.name = "GET /openapi-test/open",
                     .right = consent::Right::None,
                     .summary = "Open.",
                     .run = answers_nothing};
const Endpoint kApp{.name = "POST /openapi-test/{id}/a/{part}",
                    .right = consent::Right::App,
                    .summary = "Two parameters.",
                    .schema = R"({"type":"object","properties":{"model":{"type":"string"}}})",
                    .query = R"({"limit":{"type":"integer","minimum":1}})",
                    .answer = "Health",
                    .chunk = "Usage",
                    .shape = ErrorShape::Ollama,
                    .run = answers_nothing};
const Endpoint kOwner{.name = "DELETE /openapi-test/{id}/a/{part}",
                      .right = consent::Right::Owner,
                      .summary = "Owner.",
                      .run = answers_nothing};
const Registered<Endpoint> kOpenRegistered{kOpen};
const Registered<Endpoint> kAppRegistered{kApp};
const Registered<Endpoint> kOwnerRegistered{kOwner};

TEST(OpenApi, EveryRouteIsThereWithItsRight) {
  const Json document = openapi();
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> operations;
  for (const Endpoint* endpoint : Registered<Endpoint>::all()) {
    const std::vector<std::string> words = split(endpoint->name, ' ');
    const Json& operation = document["paths"].at(words[1]).at(lower(words[0]));
    EXPECT_EQ(operation["x-lares-right"], consent::name(endpoint->right)) << endpoint->name;
    EXPECT_EQ(operation["summary"], endpoint->summary);
    EXPECT_TRUE(operation["responses"].contains("200"));
    EXPECT_TRUE(operations.insert(operation["operationId"]).second) << operation["operationId"];
  }
}

TEST(OpenApi, SecurityFollowsTheRight) {
  const Json paths = openapi()["paths"];
  EXPECT_EQ(paths["/openapi-test/open"]["get"]["security"], Json::array());
  EXPECT_EQ(paths["/openapi-test/{id}/a/{part}"]["post"]["security"],
            Json::parse(R"([{"bearer":[]},{"key":[]},{}])"));
  EXPECT_EQ(paths["/openapi-test/{id}/a/{part}"]["delete"]["security"],
            Json::parse(R"([{"bearer":[]},{"key":[]}])"));
  EXPECT_EQ(openapi()["components"]["securitySchemes"]["bearer"],
            Json::parse(R"({"type":"http","scheme":"bearer"})"));
}

TEST(OpenApi, ParametersBodiesAndErrorsAreDescribed) {
  const Json operation = openapi()["paths"]["/openapi-test/{id}/a/{part}"]["post"];
  ASSERT_EQ(operation["parameters"].size(), 3u);
  EXPECT_EQ(
      operation["parameters"][1],
      Json::parse(R"({"name":"part","in":"path","required":true,"schema":{"type":"string"}})"));
  EXPECT_EQ(
      operation["parameters"][2],
      Json::parse(
          R"({"name":"limit","in":"query","required":false,"schema":{"type":"integer","minimum":1}})"));
  EXPECT_EQ(operation["requestBody"]["content"]["application/json"]["schema"]["properties"]["model"]
                     ["type"],
            "string");
  EXPECT_EQ(operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/ErrorText");
  const Json components = openapi()["components"]["schemas"];
  EXPECT_EQ(components["Error"]["properties"]["error"]["properties"]["param"]["type"],
            Json::parse(R"(["string","null"])"));
}

TEST(OpenApi, AnswersAndTheEventsOfStreamsAreDescribed) {
  const Json paths = openapi()["paths"];
  const Json& content = paths["/openapi-test/{id}/a/{part}"]["post"]["responses"]["200"]["content"];
  EXPECT_EQ(content["application/json"]["schema"]["$ref"], "#/components/schemas/Health");
  EXPECT_EQ(content["text/event-stream"]["schema"]["$ref"], "#/components/schemas/Usage");
  EXPECT_EQ(paths["/openapi-test/open"]["get"]["responses"]["200"]["content"],
            Json::parse(R"({"text/plain":{"schema":{"type":"string"}}})"));
}

// Each "$ref" of the document leads somewhere.
void expect_refs(const Json& part, const Json& document) {
  if (part.is_object() && part.contains("$ref")) {
    const auto pointer = Json::json_pointer(part["$ref"].get<std::string>().substr(1));
    EXPECT_TRUE(document.contains(pointer)) << part;
  }
  if (!part.is_structured()) return;
  for (const Json& item : part) expect_refs(item, document);
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const Json document = openapi();
  expect_refs(document, document);
}

}  // namespace
}  // namespace lares::api
