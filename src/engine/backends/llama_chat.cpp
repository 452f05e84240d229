#include "engine/backends/llama_chat.h"

#include <llama.h>

#include "base/text.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kWordsMax = 300;  // of what a template says in its errors

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

Result<> read_content(const Json& content, const std::string& where, common_chat_msg& out) {
  if (content.is_null()) return Unit{};
  if (content.is_string()) {
    out.content = content.get<std::string>();
    return Unit{};
  }
  if (!content.is_array()) return wrong(cat(where, ": 'content' is neither text nor an array"));
  // Only text: joined, as templates that know no parts would print the parts' JSON.
  for (const Json& part : content) {
    const std::string type = part.is_object() && part.contains("type") && part["type"].is_string()
                                 ? part["type"].get<std::string>()
                                 : "";
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal") {
      return Error{Code::Unsupported,
                   cat("'messages' ", where, ": has content of type '", shortened(type),
                       "', but this model reads text only"),
                   "messages"};
    }
    TRY_AS(const std::string text, text_field(part, type == "refusal" ? "refusal" : "text", where));
    if (!out.content.empty()) out.content += '\n';
    out.content += text;
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

Result<common_chat_msg> read_message(const Json& message, size_t number) {
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
  TRY(read_content(message.value("content", Json()), where, out));
  TRY(read_tool_calls(message.value("tool_calls", Json()), where, out));
  TRY_AS(out.tool_call_id, text_field(message, "tool_call_id", where));
  TRY_AS(out.tool_name, text_field(message, "name", where));
  TRY_AS(out.reasoning_content, text_field(message, "reasoning_content", where));
  return out;
}

}  // namespace

ChatTemplate::ChatTemplate(const llama_model* model, Pulse& pulse) {
  const char* const source = llama_model_chat_template(model, nullptr);
  if (!source || *source == '\0') return;
  source_ = source;
  // the engine tries it on a few messages, however long the rest of the model's head may take
  const Pulse::Quiet quiet(pulse, template_max(1, 0));
  try {
    templates_ = common_chat_templates_init(model, "");
  } catch (const std::exception&) {  // copied on its way, so that its words are lost
    wrong_ = "it is not valid Jinja";
  }
}

Result<Rendered> ChatTemplate::render(const Json& messages, const Json& kwargs) const {
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
  for (const Json& message : messages) {
    TRY_AS(common_chat_msg read, read_message(message, inputs.messages.size()));
    inputs.messages.push_back(std::move(read));
  }
  if (kwargs.is_object()) {
    for (const auto& [name, value] : kwargs.items())
      inputs.chat_template_kwargs[name] = dump(value);
    const auto thinking = kwargs.find("enable_thinking");
    if (thinking != kwargs.end() && thinking->is_boolean())
      inputs.enable_thinking = thinking->get<bool>();
  }
  inputs.force_pure_content =
      true;  // no tools yet, so nothing that must be parsed out of an answer
  try {
    common_chat_params rendered = common_chat_templates_apply(templates_.get(), inputs);
    return Rendered{std::move(rendered.prompt), std::move(rendered.additional_stops)};
  } catch (const std::exception& e) {
    return wrong(cat("do not fit this model's chat template: ", shortened(e.what())));
  }
}

}  // namespace lares::engine::llama
