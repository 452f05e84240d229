// Fields: what a request body may say. One table per kind of request (name, kind, range, default, a
// sentence) feeds the checking, the JSON schema in /openapi.json and the names on the wire to a
// worker. A client's JSON is never passed on: what leaves here was read field by field.
//
// It is not: the shapes of answers (answer.h), or anybody's knowledge of models. Pure functions
// over plain values; any thread. Unknown fields are ignored, because real clients send many; inside
// our own object "lares" they are errors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/service.h"
#include "base/json.h"
#include "base/result.h"

namespace lares::api {

// Most of each that one request may carry; a body's bytes are bounded at the door (kBodyMax).
inline constexpr JsonLimits kRequestJson{64, 1'000'000};
inline constexpr size_t kMessagesMax = 10'000;
inline constexpr size_t kPartsMax = 1'000;    // of one message's content
inline constexpr size_t kToolCallsMax = 128;  // of one message
inline constexpr size_t kPromptsMax = 32;     // of one completion request
inline constexpr size_t kInputsMax = 2'048;   // of one embedding request
inline constexpr size_t kStopsMax = 16;
inline constexpr size_t kStopBytesMax = 256;  // of one stop string
inline constexpr size_t kLogitBiasMax = 1'024;
inline constexpr size_t kModelNameMax = 256;
inline constexpr size_t kShortStringMax = 256;  // names, ids
inline constexpr int64_t kTokenIdMax = 2'147'483'647;

enum class FieldKind : uint8_t {
  Boolean,
  Integer,   // least to most; 16.0 is 16
  Number,    // least to most
  String,    // at most `most` bytes
  Word,      // one of `words`
  Messages,  // a conversation
  Prompt,    // string, array of strings, token ids, or arrays of token ids
  Inputs,    // the same, for embeddings
  Stops,     // string or array of strings
  Biases,    // {"token id": number from least to most}
  Object,    // any object; `words` names the fields that are read
  NotYet,    // null, empty or a value in `words` is taken and ignored; anything else is refused
};

struct RequestField {
  std::string_view name;
  FieldKind kind;
  std::string_view wire;  // its name in wire::Generate's body; "" when no worker hears of it
  double least = 0;
  double most = 0;
  std::string_view standard;  // the default as JSON text; "" for none
  std::string_view words;     // separated by '|'
  std::string_view sentence;
  bool required = false;
};

enum class Table { Chat, Completion, Embedding, Lares };
std::span<const RequestField> fields(Table table);
// JSON Schema (2020-12, as OpenAPI 3.1 has it) of a request body, as text.
std::string schema(Table table);

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

// Each returns what was asked, or Invalid (Unsupported for what this version does not do) with the
// field in Error::param, its value where that cannot be content, and the values that are allowed.
Result<GenerationRequest> read_chat(std::string_view body, const consent::Principal& who);
Result<GenerationRequest> read_completion(std::string_view body, const consent::Principal& who);
Result<EmbeddingRequest> read_embedding(std::string_view body, const consent::Principal& who);

// A JSON object of the outside, for /lares/v1: Invalid when it is anything else. "" is {}.
Result<Json> read_object(std::string_view body);

}  // namespace lares::api
