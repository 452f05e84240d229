#include "api/answer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/text.h"

namespace lares::api {
namespace {

double per_second(double count, double ms) { return ms > 0 ? count * 1000.0 / ms : 0; }

// Characters, as text_offset counts them: bytes that begin one.
size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// The same for one token of OpenAI's content array. A token may hold half a character: its bytes
// count, not its repaired text.
size_t characters(const Json& entry) {
  const auto bytes = entry.find("bytes");
  if (bytes == entry.end() || !bytes->is_array())
    return characters(std::string_view(entry["token"].get_ref<const std::string&>()));
  return static_cast<size_t>(std::count_if(bytes->begin(), bytes->end(), [](const Json& byte) {
    return byte.is_number_integer() && (byte.get<int>() & 0xC0) != 0x80;
  }));
}

Json logprobs_object(Work::Kind kind, const Json& content, size_t& offset) {
  if (kind == Work::Kind::Completion) return legacy_logprobs(content, offset);
  return {{"content", content}, {"refusal", nullptr}};
}

std::string_view object_name(Work::Kind kind, bool chunk) {
  if (kind == Work::Kind::Completion) return "text_completion";
  return chunk ? "chat.completion.chunk" : "chat.completion";
}

std::string event(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 8);
  out += "data: ";
  out += json;
  out += "\n\n";
  return out;
}

}  // namespace

Json error_object(const Error& error) {
  const CodeRow& kind = row(error.code);
  // OpenAI's own words where clients look for them; else ours
  Json code = kind.name;
  if (error.code == Code::NotFound && error.param == "model") code = "model_not_found";
  if (error.code == Code::Invalid) code = nullptr;
  return {{"message", error.message},
          {"type", kind.api_type},
          {"param", error.param.empty() ? Json() : Json(error.param)},
          {"code", std::move(code)}};
}

std::string error_body(const Error& error, ErrorShape shape) {
  switch (shape) {
    case ErrorShape::OpenAi: return dump({{"error", error_object(error)}});
    case ErrorShape::Ollama: return dump({{"error", error.message}});
  }
  return "";
}

Json usage_object(const Ended& ended) {
  return {{"prompt_tokens", ended.prompt_tokens},
          {"completion_tokens", ended.completion_tokens},
          {"total_tokens", ended.prompt_tokens + ended.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", ended.prompt_tokens_reused}}},
          {"completion_tokens_details", {{"reasoning_tokens", ended.reasoning_tokens}}}};
}

Json lares_object(const Ended& ended) {
  Json object = route::answer_object(ended.receipt);
  if (!ended.message.empty()) object["message"] = ended.message;
  if (!ended.not_kept.empty()) object["not_kept"] = ended.not_kept;
  return object;
}

Json timings_object(const Ended& ended) {
  const double computed = ended.prompt_tokens > ended.prompt_tokens_reused
                              ? ended.prompt_tokens - ended.prompt_tokens_reused
                              : 0;
  return {{"cache_n", ended.prompt_tokens_reused},
          {"prompt_n", static_cast<uint64_t>(computed)},
          {"prompt_ms", ended.prefill_ms},
          {"prompt_per_second", per_second(computed, ended.prefill_ms)},
          {"predicted_n", ended.completion_tokens},
          {"predicted_ms", ended.decode_ms},
          {"predicted_per_second", per_second(ended.completion_tokens, ended.decode_ms)},
          {"draft_n", ended.drafted_tokens},
          {"draft_n_accepted", ended.accepted_tokens}};
}

std::string answer_id(Work::Kind kind, std::string_view receipt_id) {
  if (receipt_id.starts_with("r-")) receipt_id.remove_prefix(2);
  return cat(kind == Work::Kind::Completion ? "cmpl-" : "chatcmpl-", receipt_id);
}

Json legacy_logprobs(const Json& content, size_t& offset) {
  Json tokens = Json::array();
  Json token_logprobs = Json::array();
  Json top_logprobs = Json::array();
  Json text_offset = Json::array();
  for (const Json& entry : content) {
    tokens.push_back(entry["token"]);
    token_logprobs.push_back(entry["logprob"]);
    Json top = Json::object();
    for (const Json& candidate : entry.value("top_logprobs", Json::array()))
      top[candidate["token"].get<std::string>()] = candidate["logprob"];
    // the token that was drawn is always among them, so there may be one more than was asked for
    top[entry["token"].get<std::string>()] = entry["logprob"];
    top_logprobs.push_back(std::move(top));
    text_offset.push_back(offset);
    offset += characters(entry);
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(token_logprobs)},
          {"top_logprobs", std::move(top_logprobs)},
          {"text_offset", std::move(text_offset)}};
}

void add_calls(Json& whole, const Json& fragments) {
  for (const Json& fragment : fragments) {
    const auto index = fragment["index"].get<size_t>();
    if (index == whole.size()) {
      whole.push_back({{"id", fragment["id"]},
                       {"type", "function"},
                       {"function", {{"name", fragment["name"]}, {"arguments", ""}}}});
    }
    whole[index]["function"]["arguments"].get_ref<std::string&>() +=
        fragment["arguments"].get_ref<const std::string&>();
  }
}

namespace {

// A message with calls and without text has no content, as OpenAI's.
Json message_of(const Choice& choice) {
  Json message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
  if (choice.tool_calls.empty()) return message;
  message["tool_calls"] = choice.tool_calls;
  if (choice.text.empty()) message["content"] = nullptr;
  return message;
}

}  // namespace

Json whole_answer(const AnswerHead& head, const std::vector<Choice>& choices, bool logprobs,
                  const Ended& ended) {
  Json list = Json::array();
  for (size_t i = 0; i < choices.size(); i++) {
    const Choice& choice = choices[i];
    size_t offset = 0;
    Json one = {
        {"index", i},
        {"finish_reason", choice.reason},
        {"logprobs", logprobs ? logprobs_object(head.kind, choice.logprobs, offset) : Json()}};
    if (head.kind == Work::Kind::Chat) {
      one["message"] = message_of(choice);
    } else {
      one["text"] = choice.text;
    }
    list.push_back(std::move(one));
  }
  return {{"id", head.id},
          {"object", object_name(head.kind, false)},
          {"created", head.created_unix},
          {"model", head.model},
          {"system_fingerprint", kFingerprint},
          {"choices", std::move(list)},
          {"usage", usage_object(ended)},
          {"timings", timings_object(ended)},
          {"lares", lares_object(ended)}};
}

void append_json_string(std::string& out, std::string_view text) {
  if (!is_utf8(text)) {  // a worker's slip must not break the client's parser
    out += dump(Json(text));
    return;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  size_t plain = 0;  // from here on nothing needed escaping
  for (size_t i = 0; i < text.size(); i++) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out += text.substr(plain, i - plain);
    plain = i + 1;
    out += '\\';
    switch (c) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out += text.substr(plain);
  out += '"';
}

ChunkWriter::ChunkWriter(const AnswerHead& head, bool include_usage, unsigned choices)
    : kind_(head.kind), include_usage_(include_usage), offsets_(choices) {
  head_ = R"(data: {"id":)";
  append_json_string(head_, head.id);
  head_ += cat(R"(,"object":")", object_name(kind_, true), R"(","created":)", head.created_unix,
               R"(,"model":)");
  append_json_string(head_, head.model);
  head_ += R"(,"system_fingerprint":)";
  append_json_string(head_, kFingerprint);
  head_ += R"(,"choices":[)";
}

// The end of a chunk with one choice. `reason` "" is null.
std::string ChunkWriter::close(std::string_view reason, std::string_view extra) const {
  std::string out = R"(,"finish_reason":)";
  if (reason.empty()) {
    out += "null";
  } else {
    append_json_string(out, reason);
  }
  out += "}]";
  out += extra;
  if (include_usage_) out += R"(,"usage":null)";
  out += "}\n\n";
  return out;
}

std::string ChunkWriter::role(unsigned choice) const {
  if (kind_ != Work::Kind::Chat) return "";
  return cat(head_, R"({"index":)", choice,
             R"(,"delta":{"role":"assistant","content":""},"logprobs":null)", close(""));
}

std::string ChunkWriter::text(unsigned choice, std::string_view text, const Json& logprobs) {
  std::string out;
  out.reserve(head_.size() + text.size() + 160);
  out += head_;
  out += R"({"index":)";
  out += std::to_string(choice);
  out += kind_ == Work::Kind::Chat ? R"(,"delta":{"content":)" : R"(,"text":)";
  append_json_string(out, text);
  if (kind_ == Work::Kind::Chat) out += '}';
  out += R"(,"logprobs":)";
  if (logprobs.is_array()) {
    assert(choice < offsets_.size());
    out += dump(logprobs_object(kind_, logprobs, offsets_[choice]));
  } else {
    out += "null";
  }
  out += close("");
  return out;
}

std::string ChunkWriter::piece(const Delta& delta, unsigned choice, const Json& logprobs) {
  if (delta.reasoning.empty() && delta.tool_calls.is_null())
    return text(choice, delta.text, logprobs);
  Json fields = Json::object();
  if (!delta.reasoning.empty()) fields["reasoning_content"] = delta.reasoning;
  if (!delta.text.empty()) fields["content"] = delta.text;
  if (!delta.tool_calls.is_null()) {
    fields["tool_calls"] = Json::array();
    for (const Json& fragment : delta.tool_calls) {
      Json one = {{"index", fragment["index"]},
                  {"function", {{"arguments", fragment["arguments"]}}}};
      if (fragment["name"] != "") {
        one["id"] = fragment["id"];
        one["type"] = "function";
        one["function"]["name"] = fragment["name"];
      }
      fields["tool_calls"].push_back(std::move(one));
    }
  }
  const std::string shown =
      logprobs.is_array() ? dump(logprobs_object(kind_, logprobs, offsets_[choice])) : "null";
  return cat(head_, R"({"index":)", choice, R"(,"delta":)", dump(fields), R"(,"logprobs":)", shown,
             close(""));
}

std::string ChunkWriter::finish(unsigned choice, std::string_view reason, const Json& extra) const {
  std::string beside;
  if (extra.is_object() && !extra.empty()) {
    const std::string object = dump(extra);
    beside = cat(',', std::string_view(object).substr(1, object.size() - 2));
  }
  return cat(head_, R"({"index":)", choice,
             kind_ == Work::Kind::Chat ? R"(,"delta":{},"logprobs":null)"
                                       : R"(,"text":"","logprobs":null)",
             close(reason, beside));
}

std::string ChunkWriter::usage(const Ended& ended) const {
  return cat(head_, R"(],"usage":)", dump(usage_object(ended)), "}\n\n");
}

std::string ChunkWriter::error(const Error& error) {
  return event(error_body(error, ErrorShape::OpenAi));
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data();
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; k++) {
      group = group << 8 | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; k++, to++) {
      if (k <= have) *to = kLetters[group >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

Result<Json> embeddings_answer(const Embedded& embedded, size_t inputs, uint32_t dimensions,
                               bool as_base64, const Ended& ended, std::string_view model) {
  // vectors travel as they lie in memory
  static_assert(std::endian::native == std::endian::little);
  const size_t length = embedded.length;
  if (length == 0 || embedded.vectors.size() != inputs * length * sizeof(float))
    return Error{Code::Corrupt, cat("embedding with '", model, "': ", embedded.vectors.size(),
                                    " bytes came for ", inputs, " inputs of ", length, " numbers")};
  if (dimensions > length) {
    return Error{Code::Invalid,
                 cat("reading the request: 'dimensions' is ", dimensions, ", but '", model,
                     "' has ", length, "; ask for at most that many"),
                 "dimensions"};
  }
  const size_t kept = dimensions == 0 ? length : dimensions;
  Json data = Json::array();
  std::vector<float> vector(length);
  for (size_t i = 0; i < inputs; i++) {
    std::memcpy(vector.data(), embedded.vectors.data() + i * length * sizeof(float),
                length * sizeof(float));
    vector.resize(kept);
    if (kept < length) {
      double squares = 0;
      for (const float number : vector) squares += static_cast<double>(number) * number;
      if (squares > 0) {
        const double scale = 1 / std::sqrt(squares);
        for (float& number : vector) number = static_cast<float>(number * scale);
      }
    }
    Json value;
    if (as_base64) {
      value = base64({reinterpret_cast<const char*>(vector.data()), kept * sizeof(float)});
    } else {
      value = vector;
    }
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", std::move(value)}});
    vector.resize(length);
  }
  return Json{
      {"object", "list"},
      {"data", std::move(data)},
      {"model", model},
      {"usage", {{"prompt_tokens", ended.prompt_tokens}, {"total_tokens", ended.prompt_tokens}}},
      {"lares", route::answer_object(ended.receipt)}};
}

}  // namespace lares::api
