// Answers: the shapes in which OpenAI's clients expect errors, texts, streams and vectors. Pure
// functions and one small writer of stream chunks; any thread, one owner each. No policy, no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/endpoint.h"
#include "api/service.h"
#include "base/json.h"

namespace lares::api {

inline constexpr std::string_view kFingerprint = "lares-" LARES_VERSION;

// {"message", "type", "param": string|null, "code": string|null}
Json error_object(const Error& error);

// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", ...}
Json usage_object(const Ended& ended);
// Our own object "lares" beside it: where it ran, and where it is kept.
Json lares_object(const Ended& ended);
// llama-server's "timings", which benchmarks and chat programs read.
Json timings_object(const Ended& ended);

// What the answers to one request have in common.
struct AnswerHead {
  Work::Kind kind = Work::Kind::Chat;
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  int64_t created_unix = 0;
  std::string model;
};
// The id of an answer, made from the receipt's, so that `lares why` finds the one by the other.
std::string answer_id(Work::Kind kind, std::string_view receipt_id);

// One choice, as it grows.
struct Choice {
  std::string text;
  std::string reasoning;            // what was thought before it
  Json tool_calls = Json::array();  // {id, name, arguments} of each, whole
  std::string reason;               // "" until it ended
  Json logprobs = Json::array();    // OpenAI's content array, of all pieces
};
// Adds fragments of calls, as a Delta has them, to whole ones.
void add_calls(Json& whole, const Json& fragments);
// A whole chat.completion or text_completion.
Json whole_answer(const AnswerHead& head, const std::vector<Choice>& choices, bool logprobs,
                  const Ended& ended);

// Completions' older shape of logprobs: {tokens, token_logprobs, top_logprobs, text_offset}.
// `offset` is the number of characters before the first token, and is moved behind the last.
Json legacy_logprobs(const Json& content, size_t& offset);

// Writes the chunks of one streamed answer as server-sent events. text() is called for every token:
// it appends strings and builds no JSON tree.
class ChunkWriter {
 public:
  // include_usage: every chunk carries "usage": null, as OpenAI's do, and usage() is sent before
  // the end.
  ChunkWriter(const AnswerHead& head, bool include_usage, unsigned choices);

  // The first chunk of a choice: the role, for chat; "" for completions.
  std::string role(unsigned choice) const;
  std::string text(unsigned choice, std::string_view text, const Json& logprobs);
  // Any piece of an answer; the text alone is what text() makes of it.
  std::string piece(const Delta& delta, unsigned choice, const Json& logprobs);
  // `extra` (an object, or null): fields that stand beside "choices", as timings and lares.
  std::string finish(unsigned choice, std::string_view reason, const Json& extra) const;
  std::string usage(const Ended& ended) const;
  static std::string error(const Error& error);
  static std::string done() { return "data: [DONE]\n\n"; }

 private:
  std::string close(std::string_view reason, std::string_view extra = "") const;
  Work::Kind kind_;
  bool include_usage_;
  std::string head_;             // `data: {"id":...,"choices":[`
  std::vector<size_t> offsets_;  // characters sent of each choice
};

// A JSON string in quotes; ill-formed UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// The list of an embeddings answer. `dimensions` 0: the model's own. Invalid when there are more
// dimensions asked than the model has; Corrupt when the vectors are not `inputs` times their
// length.
Result<Json> embeddings_answer(const Embedded& embedded, size_t inputs, uint32_t dimensions,
                               bool base64, const Ended& ended, std::string_view model);

std::string base64(std::string_view bytes);

}  // namespace lares::api
