#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {
namespace {

Json content(std::string_view shape) {
  return {{"schema", {{"$ref", cat("#/components/schemas/", shape)}}}};
}

Json responses_of(const Endpoint& endpoint) {
  Json bodies = Json::object();
  if (endpoint.answer.empty()) {
    bodies["text/plain"] = {{"schema", {{"type", "string"}}}};
  } else {
    bodies["application/json"] = content(endpoint.answer);
  }
  if (!endpoint.chunk.empty()) bodies["text/event-stream"] = content(endpoint.chunk);
  const auto* error = endpoint.shape == ErrorShape::Ollama ? "ErrorText" : "Error";
  return {{"200", {{"description", "the answer"}, {"content", std::move(bodies)}}},
          {"default",
           {{"description", "an error: what was wrong with which value, and what to do"},
            {"content", {{"application/json", content(error)}}}}}};
}

// "GET /v1/models/{id}" as "get_v1_models_id".
std::string operation_id(std::string_view name) {
  std::string id;
  for (const char c : lower(name)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      id += c;
    } else if (!id.empty() && id.back() != '_') {
      id += '_';
    }
  }
  while (id.ends_with('_')) id.pop_back();
  return id;
}

Json operation_of(const Endpoint& endpoint, std::string_view path) {
  Json operation{{"operationId", operation_id(endpoint.name)},
                 {"summary", endpoint.summary},
                 {"x-lares-right", consent::name(endpoint.right)},
                 {"responses", responses_of(endpoint)}};
  // an empty requirement among them: a caller without a token, where the right allows it
  if (endpoint.right == consent::Right::None) {
    operation["security"] = Json::array();
  } else {
    operation["security"] = Json::array({{{"bearer", Json::array()}}, {{"key", Json::array()}}});
    if (endpoint.right == consent::Right::App) operation["security"].push_back(Json::object());
  }
  for (const std::string& segment : split(path, '/')) {
    if (!segment.starts_with('{')) continue;
    operation["parameters"].push_back({{"name", segment.substr(1, segment.size() - 2)},
                                       {"in", "path"},
                                       {"required", true},
                                       {"schema", {{"type", "string"}}}});
  }
  if (!endpoint.query.empty()) {
    const auto fields = parse_json(endpoint.query);
    assert(fields);
    for (const auto& [name, schema] : fields->items()) {
      operation["parameters"].push_back(
          {{"name", name}, {"in", "query"}, {"required", false}, {"schema", schema}});
    }
  }
  if (!endpoint.schema.empty()) {
    auto schema = parse_json(endpoint.schema);
    assert(schema);
    operation["requestBody"] = {
        {"required", true}, {"content", {{"application/json", {{"schema", *std::move(schema)}}}}}};
  }
  return operation;
}

}  // namespace

Json openapi() {
  Json paths = Json::object();
  for (const Endpoint* endpoint : Registered<Endpoint>::all()) {
    const size_t blank = endpoint->name.find(' ');
    const std::string_view path = endpoint->name.substr(blank + 1);
    paths[std::string(path)][lower(endpoint->name.substr(0, blank))] =
        operation_of(*endpoint, path);
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "Lares"},
            {"version", LARES_VERSION},
            {"description",
             "The AI runtime of one person. Over the Unix socket the caller is the person; over "
             "loopback a program of the same user has the right 'app', and the token that `lares "
             "token` "
             "shows gives 'owner'."}}},
          {"paths", std::move(paths)},
          {"components",
           {{"securitySchemes",
             {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
              {"key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}}},
            {"schemas", shapes()}}}};
}

}  // namespace lares::api
