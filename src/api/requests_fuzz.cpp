// Request bodies are foreign bytes: whatever they are, reading them ends in a request or an error
// whose body is JSON, and what was accepted keeps within its limits.
#include <cassert>

#include "api/endpoint.h"
#include "api/requests.h"
#include "base/fuzz.h"

namespace lares::api {
namespace {

const consent::Principal kWho{"app:fuzz", consent::Right::App, 0};

void check(const Error& error) {
  assert(!error.message.empty());
  assert(parse_json(error_body(error, ErrorShape::OpenAi)));
}

void check(const Result<GenerationRequest>& read) {
  if (!read) return check(read.error());
  assert(!read->works.empty() && read->works.size() <= kPromptsMax);
  for (const Work& work : read->works) {
    assert(work.choices >= 1 && work.choices <= kChoicesMax);
    assert(work.body.is_object());
    assert(work.body.contains("messages") || work.body.contains("prompt") ||
           work.body.contains("input_prefix"));
    assert(parse_json(dump(work.body), {kRequestJson.depth_max + 2, kRequestJson.values_max * 2}));
  }
}

}  // namespace

FUZZ(chat_request) { check(read_chat(bytes, kWho)); }
FUZZ(completion_request) { check(read_completion(bytes, kWho)); }
FUZZ(infill_request) { check(read_infill(bytes, kWho)); }
FUZZ(rerank_request) {
  const auto read = read_rerank(bytes, kWho, "/v1/rerank");
  if (!read) return check(read.error());
  assert(read->count >= 1 && read->count <= kInputsMax);
  assert(read->top >= 1 && read->top <= read->count);
  assert(read->documents.empty() || read->documents.size() == read->count);
  assert(read->work.body.at("documents").size() == read->count);
}
FUZZ(embedding_request) {
  const auto read = read_embedding(bytes, kWho);
  if (!read) return check(read.error());
  assert(read->inputs >= 1 && read->inputs <= kInputsMax);
  assert(read->work.body.at("inputs").size() == read->inputs);
}

}  // namespace lares::api
