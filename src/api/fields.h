// Fields: what a request body may say. One table per kind of request (name, kind, range, default, a
// sentence) feeds the checking (requests.h), the JSON schema in /openapi.json and the names on the
// wire to a worker. It is not anybody's knowledge of models. Constants; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/service.h"
#include "base/json.h"

namespace lares::api {

// Most of each that one request may carry; a body's bytes are bounded at the door (kBodyMax).
inline constexpr JsonLimits kRequestJson{
    .depth_max = 64, .values_max = 1'000'000, .twice_named = TwiceNamed::Refused};
inline constexpr size_t kMessagesMax = 10'000;
inline constexpr size_t kPartsMax = 1'000;    // of one message's content
inline constexpr size_t kToolCallsMax = 128;  // of one message
inline constexpr size_t kPromptsMax = 32;     // of one completion request
inline constexpr size_t kInputsMax = 2'048;   // of one embedding or rerank request
inline constexpr size_t kLorasMax = 8;        // adapters of one request
inline constexpr size_t kExtrasMax = 256;     // files beside the one with the gap
inline constexpr size_t kStopsMax = 16;
inline constexpr size_t kStopBytesMax = 256;  // of one stop string
inline constexpr size_t kLogitBiasMax = 1'024;
inline constexpr size_t kBreakersMax = 16;
inline constexpr size_t kBreakerBytesMax = 40;
inline constexpr size_t kModelNameMax = 256;
inline constexpr size_t kShortStringMax = 256;  // names, ids
inline constexpr int64_t kTokenIdMax = 2'147'483'647;
// The ends of the one field that takes all 64 bits. A double does not hold 2^63 - 1: this is one
// more.
inline constexpr double kInt64Least = -9'223'372'036'854'775'808.0;
inline constexpr double kInt64Most = 9'223'372'036'854'775'808.0;
inline constexpr std::string_view kRoles = "system|developer|user|assistant|tool";
// What a chat template is given by us: from the request's other fields, or from the model's file.
inline constexpr std::string_view kTemplateOwn =
    "messages|tools|bos_token|eos_token|add_generation_prompt";

enum class FieldKind : uint8_t {
  Boolean,
  Integer,    // least to most; 16.0 is 16
  Number,     // least to most
  String,     // at most `most` bytes; 0: of any length
  Word,       // one of `words`
  Messages,   // a conversation
  Prompt,     // string, array of strings, token ids, or arrays of token ids
  Inputs,     // the same, for embeddings
  Stops,      // string or array of strings
  Biases,     // {"token id": number from least to most}
  Loras,      // an array of at most `kLorasMax` {"id", "scale"?}, scales from least to most
  Documents,  // an array of 1 to `most` texts, each a string or {"text": string}
  Extras,     // an array of at most `most` files: {"filename"?, "text"}
  Strings,    // an array of at most `most` strings, none empty, each of at most kBreakerBytesMax
  Object,     // any object; what `words` names in it is true or false
  Template,   // an object of values for the chat template, none of them kTemplateOwn
  // What an answer must be, and tools: only their types are checked here (structured.h has the
  // rest).
  Format,  // an object whose "type" is one of `words`
  Schema,  // an object
  SchemaOrText,
  Grammar,  // a string of at most `most` bytes
  Texts,    // an array of strings
  Tools,    // an array
  Choice,   // one of `words`, or an object
  // What is not done yet. The part of it that changes nothing is taken and ignored, the rest is
  // Unsupported, and what it can never be is Invalid.
  NoList,     // an empty array
  NoText,     // an empty string
  OneWord,    // one of `words`, or ""; else a string or an object
  SomeWords,  // an array of `words`
  Nothing,    // null; else an object
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

enum class Table { Chat, Completion, Infill, Embedding, Rerank, Lares };
std::span<const RequestField> fields(Table table);
// JSON Schema (2020-12, as OpenAPI 3.1 has it) of a request body, as text.
std::string schema(Table table);

}  // namespace lares::api
