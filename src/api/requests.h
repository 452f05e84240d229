// Requests: bodies of the outside read into work. Each field is checked against the table
// (fields.h) and written anew in the wire's names, so nothing of a client's JSON is passed on
// unseen.
//
// Unknown fields are ignored, because real clients send many; inside our own object "lares" they
// are errors. Not the shapes of answers (answer.h). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/fields.h"
#include "api/service.h"
#include "base/json.h"
#include "base/result.h"

namespace lares::api {

// A chat or completion request, checked.
struct GenerationRequest {
  std::vector<Work> works;  // one for each prompt, at least one
  bool stream = false;
  bool include_usage = false;
  bool logprobs = false;
};
struct EmbeddingRequest {
  Work work;
  size_t inputs = 0;
  bool base64 = false;
  uint32_t dimensions = 0;  // 0: the model's own
};

struct RerankRequest {
  Work work;
  size_t count = 0;                    // documents
  size_t top = 0;                      // results to send, at most `count`
  std::vector<std::string> documents;  // empty unless they are sent back
};

// Each returns what was asked, or Invalid (Unsupported for what this version does not do) with the
// field in Error::param, its value where that cannot be content, and the values that are allowed.
Result<GenerationRequest> read_chat(std::string_view body, const consent::Principal& who);
Result<GenerationRequest> read_completion(std::string_view body, const consent::Principal& who);
// One work; its endpoint is `route`.
Result<GenerationRequest> read_infill(std::string_view body, const consent::Principal& who);
Result<RerankRequest> read_rerank(std::string_view body, const consent::Principal& who,
                                  std::string_view route);
Result<EmbeddingRequest> read_embedding(std::string_view body, const consent::Principal& who);

// A value as an error may repeat it. Long strings and everything built of others may be content.
std::string shown(const Json& value);

// A JSON object of the outside, for /lares/v1: Invalid when it is anything else. "" is {}.
Result<Json> read_object(std::string_view body);

}  // namespace lares::api
