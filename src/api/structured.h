// Structured: what a request says an answer must be, and which tools it offers: OpenAI's
// response_format and tools, llama-server's json_schema and grammar, vLLM's structured_outputs and
// the guided_ names before it. They all become one shape for the worker (wire/message.h). Schemas
// and grammars are bounded here, and looked into where they are used. Pure.
#pragma once

#include <string_view>

#include "api/fields.h"
#include "base/json.h"
#include "base/result.h"

namespace lares::api {

inline constexpr size_t kToolsMax = 128;
inline constexpr size_t kToolNameMax = 64;
inline constexpr size_t kSchemaBytesMax = 128 << 10;  // of one schema, written out
inline constexpr size_t kGrammarBytesMax = 64 << 10;
inline constexpr size_t kRegexBytesMax = 4096;
inline constexpr size_t kChoicesOfTextMax = 1'000;
inline constexpr size_t kStructureBytesMax = 250 << 10;  // of all of it

// `given`: fields whose kinds are checked. `body`: the same as it came, in which a schema's
// properties still have their order. Adds to `out` the fields "must", "tools", "tool_choice" and
// "parallel_tool_calls" where there is something to say. Invalid or Unsupported with the field.
Result<> read_structured(const Json& given, std::string_view body, Json& out);

}  // namespace lares::api
