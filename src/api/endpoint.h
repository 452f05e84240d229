// Endpoint: one route of the API, in one file of api/endpoints/, that registers itself. It says
// which right it needs beside its path; the door checks that before a byte of the body is read, and
// /openapi.json is made from the same fields.
//
// A handler runs on the network thread and never blocks. It answers through the Responder, at once
// or later (from any thread, through the responder's own posting), exactly once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/service.h"
#include "base/json.h"
#include "base/registry.h"
#include "base/result.h"
#include "consent/principal.h"

namespace lares::api {

struct Request {
  std::string method;                                  // "GET"
  std::string path;                                    // decoded, without query: "/v1/models/a:b"
  std::map<std::string, std::string> path_parameters;  // {"id": "a:b"} for "/v1/models/{id}"
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // whole, at most the limit
  consent::Principal who;
  uint16_t port = 0;  // ours, that it came to; 0: the Unix socket

  // A field of the head by its name in lower case; "" when it is not there.
  std::string header(const std::string& field) const {
    const auto found = headers.find(field);
    return found == headers.end() ? std::string() : found->second;
  }
};

enum class ErrorShape { OpenAi, Ollama };  // {"error": {...}} or {"error": "text"}

// Answers one request. Any thread. Move-only use through a shared_ptr: handlers keep it while they
// work. Exactly one of whole(), error() or begin_stream() ... end_stream() is called.
class Responder {
 public:
  virtual ~Responder() = default;
  // A whole answer. `headers` are added to those that every answer has.
  virtual void whole(int status, std::string content_type, std::string body,
                     std::map<std::string, std::string> headers = {}) = 0;
  // The error in the endpoint's shape, status and Retry-After from the table of codes.
  virtual void error(const Error& error) = 0;
  // Status 200 and chunked; then any number of writes; then the end. A client that does not read
  // makes the buffer grow to its limit (1 MiB): then gone() is called and further writes are
  // dropped.
  virtual void begin_stream(std::string content_type,
                            std::map<std::string, std::string> headers = {}) = 0;
  virtual void write(std::string bytes) = 0;
  virtual void end_stream() = 0;
  // `call` is called once, on the network thread, when the client goes away before the answer's
  // end.
  virtual void on_gone(std::function<void()> call) = 0;
};

struct Endpoint {
  std::string_view
      name;  // "POST /v1/chat/completions": method and path in one, unique; also the registry's key
  consent::Right right;
  std::string_view summary;      // one sentence, for /openapi.json
  std::string_view schema = "";  // JSON schema of the request body as JSON text, "" for none
  std::string_view query = "";   // JSON object of the query's fields to their schemas, "" for none
  std::string_view answer = "";  // what 200 brings: a name among shapes(), "" for plain text
  std::string_view chunk = "";   // the same for each event of a stream, "" where there is none
  ErrorShape shape = ErrorShape::OpenAi;
  void (*run)(const Request& request, std::shared_ptr<Responder> responder,
              Service& service) = nullptr;
};

// Body in shape `shape` for an error: what the door and the endpoints send.
std::string error_body(const Error& error, ErrorShape shape);

inline void answer_json(Responder& responder, const Json& json, int status = 200) {
  responder.whole(status, "application/json", dump(json));
}

// /openapi.json, OpenAPI 3.1, from the registered endpoints and the shapes of their answers.
Json openapi();
// The same for people, in Markdown: docs/api.md.
std::string api_page(std::span<const Endpoint* const> endpoints);
// Name to JSON schema of everything that is answered.
Json shapes();

}  // namespace lares::api
