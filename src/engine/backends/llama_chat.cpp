#include "engine/backends/llama_chat.h"

#include <chat-auto-parser.h>
#include <llama.h>

#include "base/text.h"
#include "engine/backends/llama_structure.h"
#include "engine/schema_text.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kWordsMax = 300;  // of what a template says in its errors
// llama-common tries a template on a dozen chats to learn how it writes things.
constexpr std::chrono::milliseconds kAnalysisMax{5'000};
constexpr size_t kKnownMax = 32;  // sets of tools

Error wrong(std::string_view what) { return {Code::Invalid, cat("'messages' ", what), "messages"}; }

std::string shortened(std::string_view words) {
  return utf8_repaired(trimmed(words.substr(0, kWordsMax)));
}

Result<std::string> text_field(const Json& object, const char* name, const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return wrong(cat(where, ": '", name, "' is not a string"));
  return found->get<std::string>();
}

common_chat_msg_content_part content_part(const char* type, std::string text) {
  common_chat_msg_content_part part;
  part.type = type;
  part.text = std::move(text);
  return part;
}

Result<> read_content(const Json& content, const std::string& where, std::string_view marker,
                      common_chat_msg& out) {
  if (content.is_null()) return Unit{};
  if (content.is_string()) {
    out.content = content.get<std::string>();
    return Unit{};
  }
  if (!content.is_array()) return wrong(cat(where, ": 'content' is neither text nor an array"));
  // Text is joined, as templates that know no parts would print the parts' JSON; where there are
  // media, the engine's template does that, and knows what may stand around them.
  bool media = false;
  std::vector<common_chat_msg_content_part> parts;
  for (const Json& part : content) {
    const std::string type = part.is_object() && part.contains("type") && part["type"].is_string()
                                 ? part["type"].get<std::string>()
                                 : "";
    if (type == "media" && !marker.empty()) {
      media = true;
      parts.push_back(content_part("media_marker", std::string(marker)));
      continue;
    }
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal") {
      return Error{Code::Unsupported,
                   cat("'messages' ", where, ": has content of type '", shortened(type),
                       "', but this model reads text only"),
                   "messages"};
    }
    TRY_AS(const std::string text, text_field(part, type == "refusal" ? "refusal" : "text", where));
    if (!out.content.empty()) out.content += '\n';
    out.content += text;
    parts.push_back(content_part("text", text));
  }
  if (media) {
    out.content.clear();
    out.content_parts = std::move(parts);
  }
  return Unit{};
}

Result<> read_tool_calls(const Json& calls, const std::string& where, common_chat_msg& out) {
  if (calls.is_null()) return Unit{};
  if (!calls.is_array()) return wrong(cat(where, ": 'tool_calls' is not an array"));
  for (const Json& call : calls) {
    const Json function = call.is_object() ? call.value("function", Json()) : Json();
    if (!function.is_object()) return wrong(cat(where, ": has a tool call without a function"));
    common_chat_tool_call read;
    TRY_AS(read.name, text_field(function, "name", where));
    TRY_AS(read.id, text_field(call, "id", where));
    const auto arguments = function.find("arguments");
    if (arguments != function.end() && arguments->is_object()) {
      read.arguments = dump(*arguments);
    } else {
      TRY_AS(read.arguments, text_field(function, "arguments", where));
    }
    out.tool_calls.push_back(std::move(read));
  }
  return Unit{};
}

Result<common_chat_msg> read_message(const Json& message, size_t number, std::string_view marker) {
  const std::string where = cat("number ", number);
  if (!message.is_object()) return wrong(cat(where, ": is not an object"));
  common_chat_msg out;
  TRY_AS(out.role, text_field(message, "role", where));
  static const std::vector<std::string> known = {"system", "developer", "user", "assistant",
                                                 "tool"};
  if (std::find(known.begin(), known.end(), out.role) == known.end()) {
    return wrong(cat(where, ": has the role '", shortened(out.role),
                     "', but roles are system, "
                     "developer, user, assistant and tool",
                     did_you_mean(out.role, known)));
  }
  TRY(read_content(message.value("content", Json()), where, marker, out));
  TRY(read_tool_calls(message.value("tool_calls", Json()), where, out));
  TRY_AS(out.tool_call_id, text_field(message, "tool_call_id", where));
  TRY_AS(out.tool_name, text_field(message, "name", where));
  TRY_AS(out.reasoning_content, text_field(message, "reasoning_content", where));
  return out;
}

// llama-common knows some templates by their words, and works with those at once.
bool has_own_way(const std::string& source) {
  const Hush hush;
  const auto tried = caught([&] {
    const common_chat_template parsed(source, "<s>", "</s>");
    autoparser::generation_params params;
    params.messages = common_json::parse(R"([{"role": "user", "content": "Hi"}])");
    params.add_generation_prompt = true;
    return common_chat_try_specialized_template(parsed, source, params).has_value();
  });
  return !tried || *tried;
}

}  // namespace

ChatTemplate::ChatTemplate(const llama_model* model, Pulse& pulse)
    : vocab_(llama_model_get_vocab(model)) {
  const char* const source = llama_model_chat_template(model, nullptr);
  if (!source || *source == '\0') return;
  source_ = source;
  learn(model, pulse);
}

ChatTemplate::ChatTemplate(const llama_vocab* vocab, std::string source, Pulse& pulse)
    : source_(std::move(source)), vocab_(vocab) {
  learn(nullptr, pulse);
}

void ChatTemplate::learn(const llama_model* model, Pulse& pulse) {
  // the engine tries it on a few messages, however long the rest of the model's head may take
  const Pulse::Quiet quiet(pulse, template_max(1, source_.size()) + kAnalysisMax);
  try {
    templates_ = common_chat_templates_init(model, model ? "" : source_, model ? "" : "<s>",
                                            model ? "" : "</s>");
  } catch (const std::exception&) {  // copied on its way, so that its words are lost
    wrong_ = "it is not valid Jinja";
  }
  if (!templates_) return;
  const auto caps = common_chat_templates_get_caps(templates_.get());
  const auto can = [&](const char* what) {
    const auto found = caps.find(what);
    return found != caps.end() && found->second;
  };
  calls_ = can("supports_tools") || can("supports_tool_calls");
  common_chat_templates_inputs inputs;
  inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  common_chat_msg message;
  message.role = "user";
  message.content = "Hi";
  inputs.messages.push_back(std::move(message));
  own_way_ = has_own_way(common_chat_templates_source(templates_.get()));
  const std::string with_tools = common_chat_templates_source(templates_.get(), "tool_use");
  own_way_with_tools_ = with_tools.empty() ? own_way_ : has_own_way(with_tools);
  if (const auto tried = apply(inputs)) thinks_ = reads_thoughts(*tried);
}

// As apply(). What the engine finds out about a template depends on the tools and not on the
// messages, and takes it tens of times as long as rendering these: so it does that once.
Result<common_chat_params> ChatTemplate::apply_known(
    const common_chat_templates_inputs& inputs) const {
  if (inputs.tools.empty() ? own_way_ : own_way_with_tools_) return apply(inputs);
  common_chat_templates_inputs plain = inputs;
  plain.force_pure_content = true;
  TRY_AS(common_chat_params rendered, apply(plain));
  Json what = Json::array({rendered.generation_prompt, inputs.json_schema, inputs.tool_choice,
                           inputs.parallel_tool_calls, inputs.enable_thinking,
                           inputs.chat_template_kwargs});
  for (const common_chat_tool& tool : inputs.tools)
    what.push_back({tool.name, tool.description, tool.parameters});
  const std::string key = dump(what);
  auto found = known_.find(key);
  if (found == known_.end()) {
    TRY_AS(common_chat_params params, apply(inputs));
    if (known_.size() >= kKnownMax) known_.clear();
    found = known_.emplace(key, std::move(params)).first;
  }
  common_chat_params params = found->second;
  params.prompt = std::move(rendered.prompt);
  return params;
}

Result<common_chat_params> ChatTemplate::apply(const common_chat_templates_inputs& inputs) const {
  const Hush hush;
  auto params = caught([&] { return common_chat_templates_apply(templates_.get(), inputs); });
  if (!params)
    return wrong(cat("do not fit this model's chat template: ", shortened(params.error().message)));
  return params;
}

Result<Rendered> ChatTemplate::render(const Chat& chat, std::string_view marker) const {
  if (!present()) {
    return Error{
        Code::Invalid,
        "this model has no chat template: it is not made for chats; use /v1/completions, or a "
        "model whose name has 'instruct' or 'it'",
        "messages"};
  }
  if (!templates_) {
    return Error{Code::Unsupported, cat("this model's chat template cannot be used: ", wrong_),
                 "messages"};
  }
  common_chat_templates_inputs inputs;
  for (const Json& message : chat.messages) {
    TRY_AS(common_chat_msg read, read_message(message, inputs.messages.size(), marker));
    inputs.messages.push_back(std::move(read));
  }
  if (chat.kwargs.is_object()) {
    for (const auto& [name, value] : chat.kwargs.items())
      inputs.chat_template_kwargs[name] = dump(value);
    const auto thinking = chat.kwargs.find("enable_thinking");
    if (thinking != chat.kwargs.end() && thinking->is_boolean())
      inputs.enable_thinking = thinking->get<bool>();
  }
  if (chat.structure.thinking_max == Tokens{0}) inputs.enable_thinking = false;
  if (!chat.structure.effort.empty())
    inputs.chat_template_kwargs.emplace("reasoning_effort", dump(Json(chat.structure.effort)));
  if (!chat.structure.tools.empty() || thinks_) return render_structure(chat, std::move(inputs));
  inputs.force_pure_content = true;  // nothing has to be parsed out of an answer
  TRY_AS(common_chat_params params, apply(inputs));
  Rendered rendered{std::move(params.prompt), std::move(params.additional_stops)};
  if (!chat.structure.must.empty()) {
    auto constraint = std::make_shared<LlamaConstraint>();
    TRY_AS(constraint->grammar, grammar_of(chat.structure.must));
    constraint->param = chat.structure.must.param;
    rendered.constraint = std::move(constraint);
  }
  return rendered;
}

// With tools, or of a model that thinks: what comes has to be taken apart.
Result<Rendered> ChatTemplate::render_structure(const Chat& chat,
                                                common_chat_templates_inputs inputs) const {
  const Structure& structure = chat.structure;
  if (!structure.tools.empty() && !calls_) {
    return Error{Code::Unsupported,
                 "'tools' are given, but this model's chat template knows none; leave them out, or "
                 "use a model that was made for tools",
                 "tools"};
  }
  inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  inputs.parallel_tool_calls = structure.parallel_tool_calls;
  TRY_AS(inputs.tools, tools_of(vocab_, structure));
  const Must& must = structure.must;
  if (!must.schema.empty()) {
    TRY_AS(const std::string alone, grammar_of(must));  // says better what is wrong
    TRY(Grammar::make(vocab_, alone, {}, {}, must.param));
    TRY_AS(inputs.json_schema,
           schema_for_grammar(must.schema, must.strict ? Strict::Yes : Strict::No, must.param));
  }
  TRY_AS(common_chat_params params, apply_known(inputs));
  // The grammar of a call that is required lets any text come before it, that of one that may come
  // begins with it: where that begins with a word it is in force at once.
  const bool required = structure.tool_choice == ToolChoice::Required;
  const bool at_once =
      required && params.grammar_lazy && !params.grammar.empty() &&
      std::all_of(params.grammar_triggers.begin(), params.grammar_triggers.end(),
                  [](const auto& t) { return t.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD; });
  if (required && !at_once) {
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    TRY_AS(params, apply_known(inputs));
  }
  complete_generation_prompt(params);
  Rendered rendered;
  rendered.format = format_of(vocab_, params);
  auto constraint = constraint_of(vocab_, params, structure.tools.empty() ? must.param : "tools");
  if (at_once) {
    constraint->triggers = {};
    constraint->after_thinking = true;
  }
  if (required && params.grammar.empty()) {
    return Error{Code::Unsupported,
                 "'tool_choice' requires a call, which cannot be forced with this model's chat "
                 "template; send 'auto'",
                 "tool_choice"};
  }
  rendered.thought_tags = tag_tokens(vocab_, constraint->tags);
  if (!must.empty() && must.schema.empty()) {
    TRY_AS(constraint->grammar, grammar_of(must));
    constraint->ambiguity = Ambiguity::Checked;
    constraint->covers_prompt = false;
    constraint->after_thinking = true;
  }
  rendered.constraint = std::move(constraint);
  rendered.prompt = std::move(params.prompt);
  rendered.stops = std::move(params.additional_stops);
  // the model reads the schemas as they were given, not as they were written anew for the grammar
  bool anew = false;
  for (size_t i = 0; i < inputs.tools.size(); i++) {
    anew = anew || inputs.tools[i].parameters != structure.tools[i].parameters;
    inputs.tools[i].parameters = structure.tools[i].parameters;
  }
  if (anew) {
    TRY_AS(common_chat_params as_given, apply(inputs));
    rendered.prompt = std::move(as_given.prompt);
  }
  return rendered;
}

}  // namespace lares::engine::llama
