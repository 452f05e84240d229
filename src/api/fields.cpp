#include "api/fields.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace lares::api {
namespace {

using K = FieldKind;

constexpr double kTokensMax = 2'147'483'647;
constexpr std::string_view kIgnored = "Taken, since clients send it, and ignored.";

// One array of several.
template <size_t... N>
constexpr auto joined(const std::array<RequestField, N>&... parts) {
  std::array<RequestField, (N + ...)> out{};
  auto* at = out.data();
  ((at = std::copy(parts.begin(), parts.end(), at)), ...);
  return out;
}

static_assert(kStopsMax == 16 && kStopBytesMax == 256 && kLogitBiasMax == 1'024);  // said below

// Fields that chat and completion share. The samplers' defaults are llama-server's, so that a model
// answers here as people know it from there.
// clang-format off
constexpr auto kShared = std::to_array<RequestField>({
    {"temperature", K::Number, "temperature", 0, 2, "0.8", "", "How far to stray from the likeliest token; 0 never does."},
    {"top_p", K::Number, "top_p", 0, 1, "0.95", "", "Keeps the likeliest tokens that make up this share."},
    {"top_k", K::Integer, "top_k", -1, 1'000'000, "40", "", "Keeps this many of the likeliest tokens; 0 and -1 keep all."},
    {"min_p", K::Number, "min_p", 0, 1, "0.05", "", "Drops tokens less likely than this share of the likeliest."},
    {"typical_p", K::Number, "typical_p", 0.001, 1, "1.0", "", "Keeps the most typical tokens that make up this share; 1 keeps all."},
    {"presence_penalty", K::Number, "presence_penalty", -2, 2, "0.0", "", "Taken from the logit of each token that was there before."},
    {"frequency_penalty", K::Number, "frequency_penalty", -2, 2, "0.0", "", "The same, times how often it was there."},
    {"repeat_penalty", K::Number, "repeat_penalty", 0.01, 10, "1.0", "", "Divides the logit of each token that was there before; 1 does nothing."},
    {"repeat_last_n", K::Integer, "repeat_last_n", -1, 65'536, "64", "", "How many tokens back the penalties look; -1 is all of the context, 0 none."},
    {"xtc_probability", K::Number, "xtc_probability", 0, 1, "", "", "How often the likeliest tokens are left out, but for the least likely of those above xtc_threshold (XTC); 0 never."},
    {"xtc_threshold", K::Number, "xtc_threshold", 0, 1, "", "", "From which probability XTC leaves tokens out, 0.1 when left out; above 0.5 it does nothing."},
    {"dry_multiplier", K::Number, "dry_multiplier", 0, 100, "", "", "How much a token loses that would go on with a repetition (DRY): this, times dry_base to the power of the repetition's length beyond dry_allowed_length; 0 turns it off."},
    {"dry_base", K::Number, "dry_base", 1, 100, "", "", "See dry_multiplier; 1.75 when left out."},
    {"dry_allowed_length", K::Integer, "dry_allowed_length", 0, 65'536, "", "", "How many tokens DRY lets be repeated; 2 when left out."},
    {"dry_penalty_last_n", K::Integer, "dry_penalty_last_n", -1, 65'536, "", "", "How many tokens back DRY looks, 64 when left out; -1 is all of the context, 0 none."},
    {"dry_sequence_breakers", K::Strings, "dry_sequence_breakers", 0, kBreakersMax, "", "", "Across these strings DRY sees no repetition; a line end, a colon, a quote and an asterisk when left out."},
    {"mirostat", K::Integer, "mirostat", 0, 2, "", "", "1 or 2: Mirostat of that version steers how surprising the text is, in place of every other sampler but temperature and logit_bias; 0 turns it off."},
    {"mirostat_tau", K::Number, "mirostat_tau", 0, 100, "", "", "The surprise that Mirostat aims at, in bits; 5 when left out."},
    {"mirostat_eta", K::Number, "mirostat_eta", 0, 1, "", "", "How fast Mirostat learns; 0.1 when left out."},
    {"top_n_sigma", K::Number, "top_n_sigma", -1, 100, "", "", "Keeps tokens whose logit is within so many standard deviations of the largest; 0 and less keep all."},
    {"dynatemp_range", K::Number, "dynatemp_range", 0, 2, "", "", "Moves the temperature so far up and down by how sure the model is; 0 leaves it."},
    {"dynatemp_exponent", K::Number, "dynatemp_exponent", 0, 100, "", "", "How the temperature follows the model's entropy within dynatemp_range; 1 when left out."},
    {"seed", K::Integer, "seed", kInt64Least, kInt64Most, "", "", "The same seed, model and request give the same text on the same machine, as long as nothing else computes on the model at the time. Left out, it differs."},
    {"stop", K::Stops, "stop", 0, kStopsMax, "", "", "Ends the text before the first of these; it is not part of the text. At most 16, of 256 bytes each. Thoughts are not looked at."},
    {"logit_bias", K::Biases, "logit_bias", -100, 100, "", "", "Added to the logits of these token ids; -100 forbids a token. At most 1,024 of them, from -100 to 100."},
    {"lora", K::Loras, "lora", -16, 16, "", "", "Adapters to answer with, by the names that the list of models has for them, each with a scale from -16 to 16 (1 when left out). Requests of one set share what they compute; sets take turns."},
    {"ignore_eos", K::Boolean, "ignore_eos", 0, 0, "", "", "Goes on when the model says it is done; for measuring."},
    {"stop_repeating", K::Boolean, "stop_repeating", 0, 0, "", "", "Ends an answer that has become one piece over and over again, at least four times and 160 tokens of it; its finish_reason is 'stop', the outcome of its receipt 'repeats'."},
    {"n", K::Integer, "", 1, kChoicesMax, "1", "", "How many answers to make."},
    {"stream", K::Boolean, "", 0, 0, "false", "", "Sends the answer as server-sent events while it is made."},
    {"stream_options", K::Object, "", 0, 0, "", "include_usage|include_obfuscation", "include_usage: true sends the usage as the last event; the other is ignored."},
    {"grammar", K::Grammar, "", 0, 65'536, "", "", "The text must be what this grammar (GBNF) makes of its rule 'root'. Thoughts before an answer are free."},
    {"json_schema", K::Schema, "", 0, 0, "", "", "The text must be JSON of this schema. Thoughts before an answer are free."},
    {"structured_outputs", K::Schema, "", 0, 0, "", "", "The same as one of: json (a schema), regex, choice (a list of texts), grammar."},
    {"guided_json", K::SchemaOrText, "", 0, 0, "", "", "An older name of structured_outputs.json."},
    {"guided_regex", K::Grammar, "", 0, 4'096, "", "", "An older name of structured_outputs.regex."},
    {"guided_choice", K::Texts, "", 0, 1'000, "", "", "An older name of structured_outputs.choice."},
    {"guided_grammar", K::Grammar, "", 0, 65'536, "", "", "An older name of structured_outputs.grammar."},
    {"user", K::String, "", 0, 0, "", "", kIgnored},
});

constexpr auto kChatFirst = std::to_array<RequestField>({
    {"model", K::String, "", 0, kModelNameMax, "", "", "A model's id or the beginning of one; the default model when left out."},
    {"messages", K::Messages, "messages", 1, kMessagesMax, "", "", "The conversation so far: role and text of each message.", true},
    {"max_tokens", K::Integer, "max_tokens", 1, kTokensMax, "", "", "The most tokens to make; until the model is done when left out. More than the model's context has room for is no error: an answer that reaches its end stops there, with the finish_reason 'length'."},
    {"max_completion_tokens", K::Integer, "", 1, kTokensMax, "", "", "The newer name of max_tokens, which it replaces."},
});
constexpr auto kChatMore = std::to_array<RequestField>({
    {"logprobs", K::Boolean, "logprobs", 0, 0, "", "", "Sends the log probability of each token."},
    {"top_logprobs", K::Integer, "top_logprobs", 0, 20, "", "", "With logprobs: also those of this many likeliest tokens."},
    {"chat_template_kwargs", K::Template, "chat_template_kwargs", 0, 0, "", "", "Values for the model's own chat template, as enable_thinking; not those that it gets from the request's other fields and from the model."},
    {"response_format", K::Format, "", 0, 0, "", "text|json_object|json_schema", "What the answer must be; json_schema: {name, schema, strict}, where strict refuses a schema of which something cannot be enforced. Thoughts before it are free."},
    {"tools", K::Tools, "", 0, 128, "", "", "Functions that the model may call: name, description and parameters, a JSON Schema, of each."},
    {"tool_choice", K::Choice, "", 0, 0, "\"auto\"", "none|auto|required", "required, or an object that names a function: the answer is a call, its arguments of the function's schema. none: the tools are left out."},
    {"parallel_tool_calls", K::Boolean, "", 0, 0, "true", "", "Whether one answer may have several calls."},
    {"functions", K::NoList, "", 0, 0, "", "", "Not yet: only an empty list is taken."},
    {"function_call", K::OneWord, "", 0, 0, "", "none|auto", "Not yet: only \"none\" and \"auto\" are taken."},
    {"modalities", K::SomeWords, "", 0, 0, "", "text", "Only [\"text\"] so far."},
    {"audio", K::Nothing, "", 0, 0, "", "", "Not yet."},
    {"web_search_options", K::Nothing, "", 0, 0, "", "", "Not yet: nothing is looked up anywhere."},
    {"reasoning_budget", K::Integer, "reasoning_budget", 0, kTokensMax, "", "", "The most tokens that the model may think before it answers; then its thoughts are ended, and the answer comes. 0: none. In any case thoughts leave room for the answer: a quarter of max_tokens, or of what the context has left, but at least 16 tokens and at most 1,024."},
    {"reasoning_budget_tokens", K::Integer, "", 0, kTokensMax, "", "", "The same, as llama-server calls it."},
    {"reasoning_effort", K::Word, "reasoning_effort", 0, 0, "", "none|minimal|low|medium|high|xhigh|max|auto", "How long to think: none is a reasoning_budget of 0, minimal of 128, low of 512, medium of 2048, and high, xhigh and max have none; models that know the word are told it too. auto: as much of models.reasoning_seconds as the question looks worth, by its length, figures, code and parts, at the speed of this machine."},
    {"reasoning", K::Object, "", 0, 0, "", "", kIgnored},
    {"verbosity", K::String, "", 0, 0, "", "", kIgnored},
    {"prediction", K::Object, "", 0, 0, "", "", kIgnored},
    {"metadata", K::Object, "", 0, 0, "", "", kIgnored},
    {"store", K::Boolean, "", 0, 0, "", "", kIgnored},
    {"service_tier", K::String, "", 0, 0, "", "", kIgnored},
    {"safety_identifier", K::String, "", 0, 0, "", "", kIgnored},
    {"prompt_cache_key", K::String, "", 0, 0, "", "", kIgnored},
    {"prompt_cache_retention", K::String, "", 0, 0, "", "", kIgnored},
    {"lares", K::Object, "", 0, 0, "", "", "What only Lares knows: see its own fields."},
});
constexpr auto kChat = joined(kChatFirst, kShared, kChatMore);

constexpr auto kCompletionFirst = std::to_array<RequestField>({
    {"model", K::String, "", 0, kModelNameMax, "", "", "A model's id or the beginning of one; the default model when left out."},
    {"prompt", K::Prompt, "prompt", 1, kPromptsMax, "", "", "The text to go on with, as a string or token ids; or several of them.", true},
    {"max_tokens", K::Integer, "max_tokens", 0, kTokensMax, "16", "", "The most tokens to make. More than the model's context has room for is no error: an answer that reaches its end stops there, with the finish_reason 'length'."},
});
constexpr auto kCompletionMore = std::to_array<RequestField>({
    {"logprobs", K::Integer, "", 0, 5, "", "", "Sends the log probability of each token and of this many likeliest."},
    {"echo", K::Boolean, "echo", 0, 0, "", "", "Sends the prompt before the text."},
    {"best_of", K::Integer, "", 1, kChoicesMax, "", "", "Only the same number as n: every answer made is sent."},
    {"suffix", K::String, "", 0, 0, "", "", "Text behind a gap, which the answer fills: the prompt stands before it. For models that know how."},
    {"lares", K::Object, "", 0, 0, "", "", "What only Lares knows: see its own fields."},
});
constexpr auto kCompletion = joined(kCompletionFirst, kShared, kCompletionMore);

constexpr auto kInfillFirst = std::to_array<RequestField>({
    {"model", K::String, "", 0, kModelNameMax, "", "", "A model's id or the beginning of one; the default model when left out."},
    {"input_prefix", K::String, "input_prefix", 0, 0, "", "", "The text before the gap; of a long one its end.", true},
    {"input_suffix", K::String, "input_suffix", 0, 0, "", "", "The text behind the gap; of a long one its beginning.", true},
    {"input_extra", K::Extras, "input_extra", 0, kExtrasMax, "", "", "Other files to look at: {filename, text}, the nearest last; as many as have room."},
    {"prompt", K::String, "prompt", 0, 0, "", "", "How the text in the gap begins."},
    {"n_predict", K::Integer, "", -1, kTokensMax, "", "", "The most tokens to make; until the model is done when left out or -1."},
    {"max_tokens", K::Integer, "max_tokens", 1, kTokensMax, "", "", "The same, by OpenAI's name."},
});
constexpr auto kInfillMore = std::to_array<RequestField>({
    {"lares", K::Object, "", 0, 0, "", "", "What only Lares knows: see its own fields."},
});
constexpr auto kInfill = joined(kInfillFirst, kShared, kInfillMore);

constexpr RequestField kRerank[] = {
    {"model", K::String, "", 0, kModelNameMax, "", "", "A reranker's id or the beginning of one; the first reranker when left out."},
    {"query", K::String, "query", 0, 0, "", "", "What the documents are held against.", true},
    {"documents", K::Documents, "documents", 1, kInputsMax, "", "", "Texts, or objects with a text.", true},
    {"top_n", K::Integer, "", 1, kTokensMax, "", "", "Sends only so many results, the best."},
    {"return_documents", K::Boolean, "", 0, 0, "false", "", "Sends each result's text with it."},
    {"user", K::String, "", 0, 0, "", "", kIgnored},
    {"lares", K::Object, "", 0, 0, "", "", "What only Lares knows: see its own fields."},
};

constexpr RequestField kEmbedding[] = {
    {"model", K::String, "", 0, kModelNameMax, "", "", "An embedding model's id or the beginning of one; the default embedder when left out."},
    {"input", K::Inputs, "inputs", 1, kInputsMax, "", "", "A text or token ids, or several of them.", true},
    {"encoding_format", K::Word, "", 0, 0, "\"float\"", "float|base64", "base64: float32, little-endian."},
    {"dimensions", K::Integer, "", 1, 65'536, "", "", "Keeps this many numbers of each vector and scales them to length 1; at most the model's own."},
    {"user", K::String, "", 0, 0, "", "", kIgnored},
    {"lares", K::Object, "", 0, 0, "", "", "What only Lares knows: see its own fields."},
};

constexpr double kDeadlineMsMax = 86'400'000;

constexpr RequestField kLares[] = {
    {"conversation", K::String, "", 0, kShortStringMax, "", "", "The conversation (/lares/v1/conversations) to which the answer is added when it ends; for chats with n = 1."},
    {"parent", K::String, "", 0, kShortStringMax, "", "", "With conversation: the message that is answered; the one shown now when left out."},
    {"priority", K::Word, "", 0, 0, "\"interactive\"", "interactive|agent|background", "Who waits for it."},
    {"place", K::Word, "", 0, 0, "\"auto\"", "auto|local|cloud", "Where it may run; there is no cloud yet."},
    {"privacy", K::Word, "", 0, 0, "\"personal\"", "public|personal|secret", "How confidential it is."},
    {"keep_alive_s", K::Integer, "", -1, 31'536'000, "", "", "How long the model stays in memory when this was its last request: 0 is at once, -1 until others need its room. Else the settings memory.warm_after, park_after and unload_after say so."},
    {"deadline_ms", K::Integer, "", 1, kDeadlineMsMax, "", "", "Ends with an error when it takes longer. With reasoning_effort auto, thoughts keep to half of it."},
    {"cost_max_usd", K::Number, "", 0, 1'000'000, "", "", "What it may cost; on this machine nothing does."},
};
// clang-format on

std::string_view schema_type(FieldKind kind) {
  switch (kind) {
    case K::Boolean: return "boolean";
    case K::Integer: return "integer";
    case K::Number: return "number";
    case K::String:
    case K::Word:
    case K::NoText:
    case K::Grammar:
    case K::OneWord: return "string";
    case K::Messages:
    case K::Strings:
    case K::Loras:
    case K::Documents:
    case K::Extras:
    case K::NoList:
    case K::Texts:
    case K::Tools:
    case K::SomeWords: return "array";
    case K::Biases:
    case K::Object:
    case K::Template:
    case K::Schema:
    case K::Format: return "object";
    case K::Nothing: return "null";
    case K::Prompt:
    case K::Inputs:
    case K::SchemaOrText:
    case K::Choice:
    case K::Stops: break;
  }
  return "";  // more than one
}

OrderedJson field_schema(const RequestField& field) {
  OrderedJson out;
  if (const auto type = schema_type(field.kind); !type.empty()) out["type"] = type;
  out["description"] = field.sentence;
  switch (field.kind) {
    case K::Integer:
      if (field.least == kInt64Least) {
        out["format"] = "int64";
        break;
      }
      out["minimum"] = static_cast<int64_t>(field.least);
      out["maximum"] = static_cast<int64_t>(field.most);
      break;
    case K::Number:
      out["minimum"] = field.least;
      out["maximum"] = field.most;
      break;
    case K::String:
      if (field.most > 0) out["maxLength"] = static_cast<int64_t>(field.most);
      break;
    case K::Word:
    case K::OneWord: out["enum"] = split(field.words, '|'); break;
    case K::Messages:
      out["minItems"] = 1;
      out["maxItems"] = kMessagesMax;
      out["items"] = {
          {"type", "object"},
          {"required", {"role"}},
          {"properties",
           {{"role", {{"type", "string"}, {"enum", split(kRoles, '|')}}},
            {"content",
             {{"anyOf",
               {{{"type", "string"}},
                {{"type", "null"}},
                {{"type", "array"},
                 {"maxItems", kPartsMax},
                 {"items",
                  {{"type", "object"},
                   {"required", {"type"}},
                   {"properties",
                    {{"type", {{"enum", {"text", "image_url", "input_audio"}}}},
                     {"text", {{"type", "string"}}},
                     {"image_url",
                      {{"type", "object"},
                       {"required", {"url"}},
                       {"properties", {{"url", {{"type", "string"}}}}}}},
                     {"input_audio",
                      {{"type", "object"},
                       {"required", {"data"}},
                       {"properties",
                        {{"data", {{"type", "string"}}},
                         {"format",
                          {{"type", "string"}, {"enum", {"wav", "mp3", "flac"}}}}}}}}}}}}}}}}}}}};
      break;
    case K::Prompt:
    case K::Inputs: {
      const OrderedJson text = {{"type", "string"}};
      const OrderedJson tokens = {
          {"type", "array"},
          {"minItems", 1},
          {"items", {{"type", "integer"}, {"minimum", 0}, {"maximum", kTokenIdMax}}}};
      const OrderedJson several = {{"type", "array"},
                                   {"minItems", 1},
                                   {"maxItems", static_cast<int64_t>(field.most)},
                                   {"items", {{"anyOf", {text, tokens}}}}};
      out["anyOf"] = {text, tokens, several};
      break;
    }
    case K::Stops: {
      const OrderedJson text = {{"type", "string"}, {"maxLength", kStopBytesMax}};
      out["anyOf"] = {text, {{"type", "array"}, {"maxItems", kStopsMax}, {"items", text}}};
      break;
    }
    case K::Biases:
      out["maxProperties"] = kLogitBiasMax;
      out["additionalProperties"] = {
          {"type", "number"}, {"minimum", field.least}, {"maximum", field.most}};
      break;
    case K::Loras:
      out["maxItems"] = kLorasMax;
      out["items"] = {{"type", "object"},
                      {"required", {"id"}},
                      {"properties",
                       {{"id", {{"type", "string"}, {"maxLength", kModelNameMax}}},
                        {"scale",
                         {{"type", "number"},
                          {"minimum", field.least},
                          {"maximum", field.most},
                          {"default", 1}}}}}};
      break;
    case K::Documents: {
      out["minItems"] = 1;
      out["maxItems"] = static_cast<int64_t>(field.most);
      const OrderedJson text = {{"type", "string"}};
      out["items"]["anyOf"] = {
          text, {{"type", "object"}, {"required", {"text"}}, {"properties", {{"text", text}}}}};
      break;
    }
    case K::Extras:
      out["maxItems"] = static_cast<int64_t>(field.most);
      out["items"] = {{"type", "object"},
                      {"required", {"text"}},
                      {"properties",
                       {{"filename", {{"type", "string"}, {"maxLength", kShortStringMax}}},
                        {"text", {{"type", "string"}}}}}};
      break;
    case K::Strings:
      out["maxItems"] = static_cast<int64_t>(field.most);
      out["items"] = {{"type", "string"}, {"minLength", 1}, {"maxLength", kBreakerBytesMax}};
      break;
    case K::Object:
      for (const std::string& word : split(field.words, '|')) {
        if (!word.empty()) out["properties"][word] = {{"type", "boolean"}};
      }
      break;
    case K::Template:
      out["properties"]["enable_thinking"] = {{"type", "boolean"}};
      out["propertyNames"]["not"]["enum"] = split(kTemplateOwn, '|');
      break;
    case K::NoList: out["maxItems"] = 0; break;
    case K::NoText: out["maxLength"] = 0; break;
    case K::Format:
      out["properties"]["type"]["enum"] = split(field.words, '|');
      out["properties"]["json_schema"] = {{"type", "object"},
                                          {"required", {"schema"}},
                                          {"properties",
                                           {{"name", {{"type", "string"}}},
                                            {"schema", {{"type", "object"}}},
                                            {"strict", {{"type", {"boolean", "null"}}}}}}};
      break;
    case K::SchemaOrText: out["anyOf"] = {{{"type", "object"}}, {{"type", "string"}}}; break;
    case K::Grammar: out["maxLength"] = static_cast<int64_t>(field.most); break;
    case K::Texts:
      out["maxItems"] = static_cast<int64_t>(field.most);
      out["items"] = {{"type", "string"}};
      break;
    case K::Tools:
      out["maxItems"] = static_cast<int64_t>(field.most);
      out["items"] = {{"type", "object"},
                      {"required", {"type", "function"}},
                      {"properties",
                       {{"type", {{"const", "function"}}},
                        {"function",
                         {{"type", "object"},
                          {"required", {"name"}},
                          {"properties",
                           {{"name", {{"type", "string"}, {"pattern", "^[a-zA-Z0-9_-]{1,64}$"}}},
                            {"description", {{"type", "string"}}},
                            {"parameters", {{"type", "object"}}},
                            {"strict", {{"type", {"boolean", "null"}}}}}}}}}}};
      break;
    case K::Choice:
      out["anyOf"] = {{{"type", "string"}, {"enum", split(field.words, '|')}},
                      {{"type", "object"}}};
      break;
    case K::Schema:
    case K::Nothing: break;
    case K::SomeWords: out["items"]["enum"] = split(field.words, '|'); break;
    case K::Boolean: break;
  }
  if (!field.standard.empty()) out["default"] = OrderedJson::parse(field.standard);
  return out;
}

OrderedJson table_schema(Table table) {
  OrderedJson out = {{"type", "object"}};
  OrderedJson required = OrderedJson::array();
  OrderedJson properties = OrderedJson::object();
  for (const RequestField& field : fields(table)) {
    if (field.required) required.push_back(field.name);
    properties[std::string(field.name)] =
        field.name == "lares" ? table_schema(Table::Lares) : field_schema(field);
  }
  if (!required.empty()) out["required"] = std::move(required);
  out["properties"] = std::move(properties);
  if (table == Table::Lares) out["additionalProperties"] = false;
  return out;
}

}  // namespace

std::span<const RequestField> fields(Table table) {
  switch (table) {
    case Table::Chat: return kChat;
    case Table::Completion: return kCompletion;
    case Table::Infill: return kInfill;
    case Table::Embedding: return kEmbedding;
    case Table::Rerank: return kRerank;
    case Table::Lares: return kLares;
  }
  return {};
}

std::string schema(Table table) { return table_schema(table).dump(); }

}  // namespace lares::api
