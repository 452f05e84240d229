// The shapes of what is answered, as /openapi.json describes them. Every case of tests/cases is
// held against them, so a field that comes or goes without its line here is a failed test.
#include <algorithm>

#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {
namespace {

Json typed(const char* type, std::string_view description = "") {
  Json schema{{"type", type}};
  if (!description.empty()) schema["description"] = description;
  return schema;
}
Json text(std::string_view description = "") { return typed("string", description); }
Json whole(std::string_view description = "") { return typed("integer", description); }
Json number(std::string_view description = "") { return typed("number", description); }
Json yes_or_no(std::string_view description = "") { return typed("boolean", description); }
Json always(std::string_view value) { return {{"type", "string"}, {"const", value}}; }
Json or_null(Json schema) {
  if (schema.contains("$ref")) return {{"anyOf", Json::array({schema, typed("null")})}};
  schema["type"] = Json::array({schema["type"], "null"});
  if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  return schema;
}
Json one_of(std::initializer_list<std::string_view> values) {
  return {{"type", "string"}, {"enum", Json(values)}};
}
Json list_of(Json items) { return {{"type", "array"}, {"items", std::move(items)}}; }
Json map_to(Json values) {
  return {{"type", "object"}, {"additionalProperties", std::move(values)}};
}
Json shape(std::string_view name) { return {{"$ref", cat("#/components/schemas/", name)}}; }

// Every field is always there, but for those named in `at_times`; and there are no others.
Json object(Json fields, std::initializer_list<std::string_view> at_times = {}) {
  Json required = Json::array();
  for (const auto& [name, schema] : fields.items()) {
    if (std::find(at_times.begin(), at_times.end(), name) == at_times.end())
      required.push_back(name);
  }
  return {{"type", "object"},
          {"properties", std::move(fields)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

Json error_object_shape() {
  return object({{"message", text("what was wrong with which value, and what to do")},
                 {"type", text()},
                 {"param", or_null(text("the field that was wrong"))},
                 {"code", or_null(text("stable: one of the table of codes"))}});
}

Json reason() { return one_of({"stop", "length", "tool_calls"}); }

// {"content": [...]} of chats.
Json token_logprobs() {
  const Json token{{"token", text()},
                   {"bytes", list_of(whole())},
                   {"logprob", number("natural logarithm; -9999 where it has none")}};
  Json drawn = token;
  drawn["top_logprobs"] = list_of(object(token));
  return or_null(object({{"content", list_of(object(drawn))}, {"refusal", typed("null")}}));
}

// Completions' older shape.
Json legacy_logprobs_shape() {
  return or_null(object({{"tokens", list_of(text())},
                         {"token_logprobs", list_of(number())},
                         {"top_logprobs", list_of(map_to(number()))},
                         {"text_offset", list_of(whole("characters before the token"))}}));
}

// What answers and chunks have in common.
Json answer_fields(std::string_view object_name, Json choice) {
  return {
      {"id", text()},    {"object", always(object_name)}, {"created", whole("Unix seconds")},
      {"model", text()}, {"system_fingerprint", text()},  {"choices", list_of(std::move(choice))}};
}

Json whole_answer_shape(std::string_view object_name, Json choice) {
  Json fields = answer_fields(object_name, std::move(choice));
  fields["usage"] = shape("Usage");
  fields["timings"] = shape("Timings");
  fields["lares"] = shape("Where");
  return object(fields);
}

// The last chunk of each choice says why it ended; the last of all, where it ran.
Json chunk_shape(std::string_view object_name, Json choice) {
  Json fields = answer_fields(object_name, std::move(choice));
  fields["usage"] = or_null(shape("Usage"));
  fields["timings"] = shape("Timings");
  fields["lares"] = shape("Where");
  return object(fields, {"usage", "timings", "lares"});
}

// llama-server's own. Of a stream only the last event has more than the first three.
Json infill_shape(bool whole_answer) {
  Json fields = {{"index", whole()}, {"content", text()}, {"stop", yes_or_no("the last event")}};
  fields["stop_type"] = one_of({"eos", "limit", "word"});
  fields["stopping_word"] = text("\"\" where none was met");
  fields["model"] = text();
  fields["tokens_predicted"] = whole();
  fields["tokens_evaluated"] = whole("of the prompt");
  fields["tokens_cached"] = whole("of these, not computed anew");
  fields["timings"] = shape("Timings");
  fields["lares"] = shape("Where");
  if (whole_answer) return object(fields);
  return object(fields, {"stop_type", "stopping_word", "model", "tokens_predicted",
                         "tokens_evaluated", "tokens_cached", "timings", "lares"});
}

Json choice_shape(Json content, Json logprobs, Json finish) {
  content["index"] = whole();
  content["logprobs"] = std::move(logprobs);
  content["finish_reason"] = std::move(finish);
  return object(content);
}

Json openai_model() {
  return object(
      {{"id", text()},
       {"object", always("model")},
       {"created", whole("Unix seconds")},
       {"owned_by", always("lares")},
       {"capabilities", list_of(one_of({"completion", "embedding", "rerank", "multimodal"}))},
       {"inputs", list_of(one_of({"text", "image", "audio"}))},
       {"status", object({{"value", text()}})},
       {"meta", object({{"size", whole("bytes")},
                        {"n_ctx_train", or_null(whole("tokens"))},
                        {"n_params", or_null(whole())},
                        {"n_vocab", or_null(whole("tokens"))},
                        {"n_embd", or_null(whole())},
                        {"quantization", or_null(text())}},
                       {"n_ctx_train", "n_params", "n_vocab", "n_embd", "quantization"})}});
}

Json our_model() {
  return object(
      {{"id", text()},
       {"title", text("what people call it; \"\" where that is not known")},
       {"use", one_of({"chat", "completion", "embedding", "rerank", "adapter"})},
       {"default", yes_or_no("answers when a request names none")},
       {"size_bytes", whole("of the file")},
       {"needs_bytes",
        whole("in memory, conversations included; an estimate until it was loaded once")},
       {"file", text("where it lies; for the owner only")},
       {"pinned", yes_or_no("it stays in memory once it is there")},
       {"ours", yes_or_no("lies in Lares' own folder, and goes with the model")},
       {"inputs", list_of(one_of({"text", "image", "audio"}))},
       {"projector",
        or_null(object({{"file", text("where it lies; for the owner only")},
                        {"size_bytes", whole("of the file")},
                        {"kind", or_null(text("as it calls itself; null: not read yet"))}},
                       {"file"}))},
       {"info",
        typed("object",
              "what the file says of itself: architecture, context_train, quantization, ...")},
       {"sampling", or_null(object({{"temperature", number()}, {"top_p", number()}}))},
       {"template",
        or_null(object({{"sha256", text()},
                        {"known", or_null(text("what it is known as; null: unknown, read it"))},
                        {"text", text("only where one model is shown; \"\" when it is very long")}},
                       {"text"}))},
       {"state", one_of({"absent", "starting", "loading", "ready", "stopping", "quarantined"})},
       {"added_unix", whole("Unix seconds")},
       {"pulled",
        or_null(typed("object",
                      "of one that was pulled, for the owner, where one model is shown: source, "
                      "sha256, pulled_ms, licence, known_in_advance"))}},
      {"file", "pulled"});
}

Json rates() {
  return {{"tokens_per_s", or_null(number("of an answer"))},
          {"prompt_tokens_per_s", or_null(number("of a prompt of 512 tokens"))}};
}

// What was measured of a model here; what nothing was measured of is null.
Json measured() {
  Json fields = rates();
  fields["memory_bytes"] = or_null(whole("when it was loaded with the options in force"));
  fields["answers"] = whole("that were looked at");
  return object(fields);
}

Json plan() {
  Json predicted = rates();
  predicted["memory_bytes"] = or_null(whole());
  return object({{"model", text()},
                 {"weights_bytes", whole()},
                 {"state_bytes", whole("keys and values of all conversations")},
                 {"compute_bytes", whole("buffers of one step")},
                 {"needs_bytes", whole("what is reserved before it is loaded")},
                 {"fits", yes_or_no("within the budget, whatever else is in memory")},
                 {"budget_bytes", whole("of memory, for all models")},
                 {"in_memory", yes_or_no()},
                 {"room_now", yes_or_no("when those that would leave have left")},
                 {"would_evict", list_of(text("a model that would leave"))},
                 {"draft", or_null(text("the model that would draft for it"))},
                 {"draft_bytes", whole("of what it needs, for that one")},
                 {"predicted", or_null(object(predicted))},
                 {"measured", or_null(measured())}});
}

Json catalogue_entry() {
  return object(
      {{"id", text()},
       {"title", text()},
       {"family", text()},
       {"parameters", whole("as its name has it")},
       {"quantization", text()},
       {"source", text("for a pull: hf:OWNER/REPOSITORY:FILE")},
       {"size_bytes", whole("of the file")},
       {"size_exact", yes_or_no("false: given with two or three digits")},
       {"sha256", or_null(text("of the file; null where nobody gave it"))},
       {"licence", text()},
       {"thinks", yes_or_no("writes down its thoughts before each answer")},
       {"read", list_of(object({{"url", text("of a fixed version")},
                                {"gave", list_of(text("a field that was read there"))}}))},
       {"context", or_null(whole("tokens that it was trained on"))},
       {"needs_bytes", whole("in memory, predicted")},
       {"fits", yes_or_no("within the budget")},
       {"predicted", or_null(object(rates()))},
       {"measured", or_null(measured())},
       {"have", yes_or_no("it is here already")},
       {"recommended", yes_or_no("the one for this machine; the first, if any")},
       {"why", text()}});
}

Json credentials() {
  return list_of(object({{"id", text()},
                         {"kind", one_of({"app", "page"})},
                         {"name", text("of the app; of a page what its browser calls itself")},
                         {"created_ms", whole("Unix milliseconds")},
                         {"last_used_ms", whole("Unix milliseconds; 0: never")}}));
}

Json receipt() {
  return object(
      {{"id", text()},
       {"endpoint", text()},
       {"principal", text("who asked")},
       {"model", text()},
       {"place", text("where it ran")},
       {"why", list_of(text())},
       {"outcome",
        text("how it ended: stop, length, tool_calls, repeats, or the code of its error")},
       {"error", or_null(text())},
       {"started_unix_ms", whole()},
       {"queue_ms", number()},
       {"load_ms", number()},
       {"ttft_ms", number("until the first token")},
       {"total_ms", number()},
       {"cpu_ms", number("CPU time of all cores together")},
       {"prompt_tokens", whole()},
       {"prompt_tokens_reused", whole()},
       {"completion_tokens", whole()},
       {"drafted_tokens", whole("computed ahead because they were likely to come")},
       {"accepted_tokens", whole("of these, those that came")},
       {"bytes_left_device", whole()},
       {"prefill_tokens_per_s", number()},
       {"decode_tokens_per_s", number()}});
}

Json where() {
  return object({{"id", text("of the receipt; `lares why ID` has all of it")},
                 {"place", text("where it ran")},
                 {"model", text()},
                 {"why", list_of(text())},
                 {"outcome", text("how it ended: stop, length, tool_calls, repeats, embedded")},
                 {"queue_ms", number()},
                 {"load_ms", number()},
                 {"ttft_ms", number("until the first token")},
                 {"cpu_ms", number("CPU time of all cores together")},
                 {"prompt_tokens_reused", whole()},
                 {"bytes_left_device", whole()},
                 {"cost_usd", number()},
                 {"fallbacks", list_of(text())},
                 {"message", text("the id under which the answer is kept in its conversation")},
                 {"not_kept", text("why it could not be kept there")}},
                {"message", "not_kept"});
}

Json conversation_fields() {
  return {{"id", text()},
          {"title", text("\"\" until there was a question; then its first words")},
          {"model", text("\"\" for the default model")},
          {"created_ms", whole("Unix time")},
          {"updated_ms", whole("Unix time; no two of one caller have the same")},
          {"messages", whole("in all branches")},
          {"head", or_null(text("the message at the end of the branch that is shown"))}};
}

Json conversation_listed() {
  Json fields = conversation_fields();
  fields.erase("head");
  fields["snippet"] = text("with a query: the words found, and those around them");
  return object(fields, {"snippet"});
}

Json conversation_message() {
  return object(
      {{"id", text()},
       {"parent", or_null(text("the message it follows; null for the first"))},
       {"role", one_of({"system", "user", "assistant", "summary"})},
       {"content", {{"anyOf", Json::array({text(), list_of(typed("object", "a part"))})}}},
       {"created_ms", whole("Unix time")},
       {"model", text("that answered")},
       {"receipt", text("of the answer; `lares why ID` has all of it")},
       {"state", one_of({"whole", "stopped", "failed"})},
       {"error", text("of one that is failed")},
       {"covers", text("of a summary: the last message that it stands for")}},
      {"model", "receipt", "error", "covers"});
}

Json conversation_whole() {
  Json fields = conversation_fields();
  fields["messages"] = list_of(conversation_message());
  return object(fields);
}

Json status() {
  return object({{"version", text()},
                 {"pid", whole()},
                 {"address", text("of the API")},
                 {"socket", text()},
                 {"home", text()},
                 {"config", text("the file of settings")},
                 {"page", yes_or_no("this build has the page")},
                 {"engine", text("the CPU code in use, or why there is none")},
                 {"uptime_s", number()},
                 {"models", whole("known")},
                 {"resident", whole("models in memory")},
                 {"requests", whole("being answered")},
                 {"waiting", whole()},
                 {"restraint", text("why fewer threads compute than otherwise, or lanes wait")},
                 {"paused_lanes", list_of(text())},
                 {"pulls", whole("models on the way")},
                 {"memory_bytes", whole("reserved")},
                 {"memory_budget_bytes", whole()}});
}

Json pull() {
  return object({{"id", text()},
                 {"source", text("where it comes from, in one spelling")},
                 {"model", text("the id that it becomes; empty until that is known")},
                 {"state", one_of({"resolving", "reserving", "fetching", "verifying", "inspecting",
                                   "done", "failed", "cancelled", "waiting"})},
                 {"bytes_done", whole()},
                 {"bytes_total", whole("0 until that is known")},
                 {"bytes_per_s", whole("over the last seconds")},
                 {"eta_s", whole("seconds until it is fetched")},
                 {"begun_ms", whole("Unix milliseconds")},
                 {"error", object({{"message", text("what is in the way, and what to do")},
                                   {"code", text("of the table of codes")}})}},
                {"eta_s", "error"});
}

Json in_memory() {
  return object({{"model", text()},
                 {"state", text()},
                 {"rung", one_of({"absent", "parked", "warm", "hot"})},
                 {"to_rung", one_of({"absent", "parked", "warm", "hot"})},
                 {"back_ms", number("that coming back to hot takes, as far as is known")},
                 {"idle_s", or_null(number("since its last use; null: it was not used"))},
                 {"pinned", yes_or_no("others' need of room does not send it down")},
                 {"pid", whole("of its worker; 0 before it has one")},
                 {"memory_bytes", whole("reserved")},
                 {"requests", whole("being computed")},
                 {"lane", or_null(text("the best one of those; null: there is none"))},
                 {"tokens_per_s", number("of answers, over the last seconds")},
                 {"waiting", whole("requests that no worker has yet")},
                 {"waiting_ms", whole("how long the first of them has waited")},
                 {"paused", or_null(text("why background requests do not compute now"))},
                 {"device_ms", whole("how long its worker has computed")},
                 {"device_wait_ms", whole("how long it waited while others computed")},
                 {"variant", text("the CPU code it runs")},
                 {"draft", or_null(text("the model that drafts for it, whose memory is counted"))},
                 {"draft_refused", or_null(text("why that one does not draft"))},
                 {"load_ms", number()},
                 {"up_s", number()}});
}

Json timings() {
  return object({{"cache_n", whole("prompt tokens that were not computed again")},
                 {"prompt_n", whole("prompt tokens that were computed")},
                 {"prompt_ms", number()},
                 {"prompt_per_second", number()},
                 {"predicted_n", whole("tokens of the answer")},
                 {"predicted_ms", number()},
                 {"predicted_per_second", number()},
                 {"draft_n", whole("tokens computed ahead because they were likely to come")},
                 {"draft_n_accepted", whole("of these, those that came")}});
}

Json usage() {
  return object({{"prompt_tokens", whole()},
                 {"completion_tokens", whole()},
                 {"total_tokens", whole()},
                 {"prompt_tokens_details", object({{"cached_tokens", whole()}})},
                 {"completion_tokens_details", object({{"reasoning_tokens", whole()}})}});
}

}  // namespace

Json shapes() {
  const Json function = object({{"name", text()}, {"arguments", text("JSON, as a string")}});
  const Json call = object({{"id", text()}, {"type", always("function")}, {"function", function}});
  const Json message = object({{"role", always("assistant")},
                               {"content", or_null(text("null: there are only calls"))},
                               {"reasoning_content", text("what the model thought before it")},
                               {"tool_calls", list_of(call)},
                               {"refusal", typed("null")}},
                              {"reasoning_content", "tool_calls"});
  const Json fragment =
      object({{"index", whole("of the call")},
              {"id", text("in the first fragment of a call")},
              {"type", always("function")},
              {"function", object({{"name", text("in the first fragment of a call")},
                                   {"arguments", text("more of a JSON text")}},
                                  {"name"})}},
             {"id", "type"});
  const Json delta = object({{"role", always("assistant")},
                             {"content", text()},
                             {"reasoning_content", text()},
                             {"tool_calls", list_of(fragment)}},
                            {"role", "content", "reasoning_content", "tool_calls"});
  const Json embedding = object(
      {{"object", always("embedding")},
       {"index", whole()},
       {"embedding",
        {{"anyOf", Json::array({list_of(number()), text("base64 of little-endian float32")})}}}});
  return {
      {"Error", object({{"error", error_object_shape()}})},
      {"ErrorText", object({{"error", text()}})},
      {"Usage", usage()},
      {"Timings", timings()},
      {"Where", where()},
      {"ChatCompletion",
       whole_answer_shape("chat.completion",
                          choice_shape({{"message", message}}, token_logprobs(), reason()))},
      {"ChatCompletionChunk",
       chunk_shape("chat.completion.chunk",
                   choice_shape({{"delta", delta}}, token_logprobs(), or_null(reason())))},
      {"TextCompletion",
       whole_answer_shape("text_completion",
                          choice_shape({{"text", text()}}, legacy_logprobs_shape(), reason()))},
      {"TextCompletionChunk",
       chunk_shape("text_completion",
                   choice_shape({{"text", text()}}, legacy_logprobs_shape(), or_null(reason())))},
      {"Embeddings",
       object({{"object", always("list")},
               {"data", list_of(embedding)},
               {"model", text()},
               {"usage", object({{"prompt_tokens", whole()}, {"total_tokens", whole()}})},
               {"lares", shape("Where")}})},
      {"Reranked",
       object({{"object", always("list")},
               {"results",
                list_of(object({{"index", whole("of the document")},
                                {"relevance_score",
                                 number("as the model says it: without bounds, larger is better")},
                                {"document", object({{"text", text()}})}},
                               {"document"}))},
               {"model", text()},
               {"usage", object({{"prompt_tokens", whole()}, {"total_tokens", whole()}})},
               {"lares", shape("Where")}})},
      {"Infill", infill_shape(true)},
      {"InfillChunk", infill_shape(false)},
      {"OpenAiModel", openai_model()},
      {"OpenAiModels",
       object({{"object", always("list")}, {"data", list_of(shape("OpenAiModel"))}})},
      {"Health", object({{"status", always("ok")}})},
      {"Description", typed("object", "an OpenAPI 3.1 document")},
      {"Nothing", object(Json::object())},
      {"Model", our_model()},
      {"Models", list_of(shape("Model"))},
      {"ModelsFound", list_of(object({{"program", text("whose folder it is in")},
                                      {"name", text()},
                                      {"file", text()},
                                      {"size_bytes", whole()}}))},
      {"Plan", plan()},
      {"Catalogue", list_of(catalogue_entry())},
      {"Pull", pull()},
      {"Pulls", list_of(shape("Pull"))},
      {"InMemory", list_of(in_memory())},
      {"Pinned", object({{"model", text()},
                         {"pinned", yes_or_no("")},
                         {"rung", one_of({"absent", "parked", "warm", "hot"})}})},
      {"Evicted", object({{"model", text()},
                          {"from", one_of({"absent", "parked", "warm", "hot"})},
                          {"to", one_of({"absent", "parked", "warm", "hot"})},
                          {"held_bytes", whole("before")}})},
      {"Receipt", receipt()},
      {"Receipts", list_of(shape("Receipt"))},
      {"Checks", list_of(object({{"check", text()},
                                 {"ok", or_null(yes_or_no("null: only told"))},
                                 {"detail", text()},
                                 {"next", text("what to do about it")}}))},
      {"Key",
       object({{"kind", one_of({"file", "passphrase", "secret-service"})},
               {"locked", yes_or_no()},
               {"where", text()},
               {"protects", text("from whom, and from whom not")},
               {"next", text("the command that changes that; empty where nothing is better")}})},
      {"KeyMoved", object({{"kind", one_of({"file", "passphrase", "secret-service"})},
                           {"left", text("what could not be taken away at the old place")}})},
      {"KeyCopy", object({{"copy", text()}})},
      {"KeyImported", object({{"aside", text("the file that was set aside; empty: none was")}})},
      {"Status", status()},
      {"ConversationListed", conversation_listed()},
      {"ConversationsListed", list_of(shape("ConversationListed"))},
      {"ConversationHead", object(conversation_fields())},
      {"Conversation", conversation_whole()},
      {"ConversationMessage", conversation_message()},
      {"Session",
       object({{"principal", text()},
               {"right", one_of({"app", "owner"})},
               {"credential", or_null(text("the id of this page's own among the credentials"))},
               {"version", text()},
               {"system", text("the system prompt of the page's chats, with today's date")}})},
      {"Pairing", object({{"code", text("good once")},
                          {"url", text("of the page, with the code")},
                          {"expires_s", whole("until the code is worth nothing")}})},
      {"Credentials", credentials()},
      {"CredentialGiven", object({{"id", text()}, {"token", text("shown this once")}})},
      {"Settings",
       list_of(object({{"name", text()},
                       {"value", {{"type", Json::array({"string", "integer", "boolean", "null"})}}},
                       {"unit", text()},
                       {"default", text()},
                       {"source", text("where the value comes from")},
                       {"says", text("what it does")}}))},
  };
}

}  // namespace lares::api
