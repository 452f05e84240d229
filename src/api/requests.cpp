#include "api/requests.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "api/media.h"
#include "api/structured.h"
#include "base/text.h"

namespace lares::api {
namespace {

using K = FieldKind;

constexpr size_t kStringShownMax = 16;

std::string spelled(double number) {
  if (std::abs(number) >= 1e6 && std::abs(number) < kInt64Most)
    return std::to_string(static_cast<int64_t>(number));
  if (number == kInt64Least) return "-2^63";
  if (number == kInt64Most) return "2^63 - 1";
  return cat(number);
}

std::string quoted_words(std::string_view words, std::string_view between = ", ") {
  std::string out;
  for (const std::string& word : split(words, '|')) {
    if (!out.empty()) out += between;
    out += cat("'", word, "'");
  }
  return out;
}

std::string allowed(const RequestField& field) {
  switch (field.kind) {
    case K::Boolean: return "true or false";
    case K::Integer:
      return cat("an integer from ", spelled(field.least), " to ", spelled(field.most));
    case K::Number: return cat("a number from ", spelled(field.least), " to ", spelled(field.most));
    case K::String:
      return field.most > 0 ? cat("a string of at most ", spelled(field.most), " bytes")
                            : "a string";
    case K::Word: return cat("one of ", quoted_words(field.words));
    case K::Messages: return cat("an array of 1 to ", kMessagesMax, " messages");
    case K::Prompt:
    case K::Inputs:
      return cat("a string, an array of token ids (0 to ", kTokenIdMax, "), or an array of 1 to ",
                 spelled(field.most), " of one of the two");
    case K::Stops:
      return cat("a string or an array of at most ", kStopsMax, " strings, each of at most ",
                 kStopBytesMax, " bytes");
    case K::Biases:
      return cat("an object of at most ", kLogitBiasMax, " token ids (0 to ", kTokenIdMax,
                 "), each with a number from ", spelled(field.least), " to ", spelled(field.most));
    case K::Loras:
      return cat("an array of at most ", kLorasMax, " objects with an 'id', an adapter's name");
    case K::Documents:
      return cat("an array of 1 to ", spelled(field.most), " strings or objects with a 'text'");
    case K::Extras:
      return cat("an array of at most ", spelled(field.most), " objects with a 'text'");
    case K::Strings:
      return cat("an array of at most ", spelled(field.most), " strings of 1 to ", kBreakerBytesMax,
                 " bytes");
    case K::Object:
    case K::Template: return "an object";
    case K::NoList: return "left out or an empty array";
    case K::NoText: return "left out or an empty string";
    case K::Nothing: return "left out or null";
    case K::OneWord: return cat("left out or ", quoted_words(field.words, " or "));
    case K::Format: return cat("an object of the type ", quoted_words(field.words));
    case K::Schema: return "an object";
    case K::SchemaOrText: return "an object or a string";
    case K::Grammar: return cat("a string of at most ", spelled(field.most), " bytes");
    case K::Texts: return cat("an array of at most ", spelled(field.most), " strings");
    case K::Tools: return cat("an array of at most ", spelled(field.most), " tools");
    case K::Choice: return cat(quoted_words(field.words), ", or an object that names a function");
    case K::SomeWords: return cat("left out or an array of ", quoted_words(field.words, " or "));
  }
  return "";
}

constexpr std::string_view kMissing = "missing";

Error wrong(std::string_view path, std::string_view is, std::string_view must) {
  const std::string_view turn = is == kMissing ? "; it must be " : ", but must be ";
  return {Code::Invalid, cat("reading the request: '", path, "' is ", is, turn, must),
          std::string(path)};
}

Error not_yet(std::string_view path, std::string_view is, std::string_view instead) {
  return {Code::Unsupported,
          cat("reading the request: '", path, "' is ", is, ", which this version does not do yet; ",
              instead),
          std::string(path)};
}

bool has_word(std::string_view words, const Json& value) {
  if (!value.is_string()) return false;
  const auto list = split(words, '|');
  return std::find(list.begin(), list.end(), value.get_ref<const std::string&>()) != list.end();
}

// The integer that a JSON number is, if it is one: 16 and 16.0, not 16.5 or 1e30.
bool integer(const Json& value, int64_t& out) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (!std::in_range<int64_t>(number)) return false;
    out = static_cast<int64_t>(number);
    return true;
  }
  if (value.is_number_integer()) {
    out = value.get<int64_t>();
    return true;
  }
  if (!value.is_number_float()) return false;
  const auto number = value.get<double>();
  // beyond 2^53 it may stand for another number than was written
  if (!(std::abs(number) <= 0x1p53) || std::trunc(number) != number) return false;
  out = static_cast<int64_t>(number);
  return true;
}

bool token_id(const Json& value) {
  int64_t id = 0;
  return integer(value, id) && id >= 0 && id <= kTokenIdMax;
}

bool token_array(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return token_id(item); });
}

Json normal_tokens(const Json& array) {
  Json out = Json::array();
  for (const Json& item : array) {
    int64_t id = 0;
    integer(item, id);
    out.push_back(static_cast<uint64_t>(id));
  }
  return out;
}

// The first of an array's items that is no token id, or the end.
size_t first_no_token(const Json& array) {
  size_t i = 0;
  while (i < array.size() && token_id(array[i])) i++;
  return i;
}

Error no_token(std::string_view path, const Json& array, size_t i) {
  return wrong(cat(path, "[", i, "]"), shown(array[i]), cat("a token id from 0 to ", kTokenIdMax));
}

// An array of prompts, each a string or an array of token ids.
Result<Json> prompts(const RequestField& field, std::string_view path, Json& value) {
  const auto one = [](Json& item) -> Json {
    return item.is_string() ? std::move(item) : normal_tokens(item);
  };
  if (value.is_string() || token_array(value)) return Json::array({one(value)});
  if (!value.is_array() || value.empty()) return wrong(path, shown(value), allowed(field));
  if (value[0].is_number()) return no_token(path, value, first_no_token(value));
  if (static_cast<double>(value.size()) > field.most) {
    return wrong(path, shown(value), allowed(field));
  }
  Json out = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    Json& item = value[i];
    const std::string at = cat(path, "[", i, "]");
    if (!item.is_string() && !token_array(item)) {
      if (!item.is_array() || item.empty())
        return wrong(at, shown(item), "a string or an array of token ids");
      return no_token(at, item, first_no_token(item));
    }
    out.push_back(one(item));
  }
  return out;
}

Result<Json> stops(const RequestField& field, std::string_view path, Json& value) {
  const bool one = value.is_string();
  if (one) value = Json::array({std::move(value)});
  if (!value.is_array() || value.size() > kStopsMax)
    return wrong(path, shown(value), allowed(field));
  Json out = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    Json& item = value[i];
    if (!item.is_string() || item.get_ref<const std::string&>().size() > kStopBytesMax)
      return wrong(one ? std::string(path) : cat(path, "[", i, "]"), shown(item),
                   cat("a string of at most ", kStopBytesMax, " bytes"));
    if (!item.get_ref<const std::string&>().empty())
      out.push_back(std::move(item));  // some clients send "" for none
  }
  return out;
}

Result<Json> biases(const RequestField& field, std::string_view path, const Json& value) {
  if (!value.is_object() || value.size() > kLogitBiasMax)
    return wrong(path, shown(value), allowed(field));
  for (const auto& [key, bias] : value.items()) {
    const bool digits =
        !key.empty() && key.size() <= 10 &&
        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || std::stoll(key) > kTokenIdMax)
      return wrong(path, cat("an object with the key ", shown(key)), allowed(field));
    const std::string at = cat(path, ".", key);
    if (!bias.is_number() || bias.get<double>() < field.least || bias.get<double>() > field.most)
      return wrong(at, shown(bias),
                   cat("a number from ", spelled(field.least), " to ", spelled(field.most)));
  }
  return value;
}

// A message's content as one text: parts are joined by line ends, as chat templates expect them.
// With pictures or sounds it is an array of {type: "text", text} and of what media_part() gives.
Result<Json> content_of(const std::string& path, Json& content) {
  if (content.is_null()) return Json("");
  if (content.is_string()) return std::move(content);
  if (!content.is_array())
    return wrong(path, shown(content), "a string, an array of parts, or null");
  if (content.size() > kPartsMax)
    return wrong(path, shown(content),
                 cat("a string or an array of at most ", kPartsMax, " parts"));
  std::string text;
  Json parts = Json::array();
  bool media = false;
  for (size_t i = 0; i < content.size(); i++) {
    Json& part = content[i];
    const std::string at = cat(path, "[", i, "]");
    if (!part.is_object() || !part.contains("type") || !part["type"].is_string())
      return wrong(at, shown(part), "an object with a 'type'");
    const auto type = part["type"].get<std::string>();
    if (type == "text" || type == "refusal") {
      const auto found = part.find(type);
      if (found == part.end() || !found->is_string())
        return wrong(cat(at, ".", type),
                     found == part.end() ? std::string(kMissing) : shown(*found), "a string");
      if (!text.empty()) text += '\n';
      text += found->get_ref<const std::string&>();
      parts.push_back({{"type", "text"}, {"text", std::move(*found)}});
    } else if (type == "image_url" || type == "input_audio") {
      media = true;
      TRY_AS(Json read, media_part(at, type, part));
      parts.push_back(std::move(read));
    } else if (type == "file" || type == "video_url") {
      return not_yet(at, cat("of type '", type, "'"), "send texts, pictures and sounds");
    } else {
      return wrong(cat(at, ".type"), shown(part["type"]), "'text', 'image_url' or 'input_audio'");
    }
  }
  if (media) return parts;
  return Json(std::move(text));
}

Result<Json> tool_calls(const std::string& path, const Json& calls) {
  if (!calls.is_array() || calls.size() > kToolCallsMax)
    return wrong(path, shown(calls), cat("an array of at most ", kToolCallsMax, " calls"));
  Json out = Json::array();
  for (size_t i = 0; i < calls.size(); i++) {
    const Json& call = calls[i];
    const std::string at = cat(path, "[", i, "]");
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object())
      return wrong(at, shown(call), "an object with a 'function'");
    const Json& function = call["function"];
    for (const char* name : {"name", "arguments"}) {
      if (!function.contains(name) || !function[name].is_string())
        return wrong(cat(at, ".function.", name),
                     function.contains(name) ? shown(function[name]) : std::string(kMissing),
                     "a string");
    }
    Json one = {{"type", "function"},
                {"function", {{"name", function["name"]}, {"arguments", function["arguments"]}}}};
    if (const Json type = call.value("type", Json()); !type.is_null() && type != "function")
      return wrong(cat(at, ".type"), shown(type), "'function'");
    if (const auto id = call.find("id"); id != call.end() && !id->is_null()) {
      if (!id->is_string()) return wrong(cat(at, ".id"), shown(*id), "a string");
      one["id"] = *id;
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<Json> message(const std::string& path, Json& message) {
  if (!message.is_object()) return wrong(path, shown(message), "an object with a 'role'");
  const auto role = message.find("role");
  if (role == message.end() || !has_word(kRoles, *role))
    return wrong(cat(path, ".role"), role == message.end() ? std::string(kMissing) : shown(*role),
                 cat("one of ", quoted_words(kRoles)));
  Json out = Json::object();
  // templates know one of the two names
  out["role"] = *role == "developer" ? Json("system") : *role;
  const auto content = message.find("content");
  if (content == message.end() && *role != "assistant")
    return wrong(cat(path, ".content"), kMissing, "a string, an array of parts, or null");
  Json none;
  TRY_AS(out["content"],
         content_of(cat(path, ".content"), content == message.end() ? none : *content));
  for (const char* name : {"name", "tool_call_id", "reasoning_content", "refusal"}) {
    const auto found = message.find(name);
    if (found == message.end() || found->is_null()) continue;
    if (!found->is_string()) return wrong(cat(path, ".", name), shown(*found), "a string");
    if (std::string_view(name) != "refusal") out[name] = std::move(*found);  // templates know none
  }
  for (const char* name : {"function_call", "audio"}) {
    if (const auto found = message.find(name); found != message.end() && !found->is_null())
      return not_yet(cat(path, ".", name), shown(*found), "leave it out");
  }
  if (const auto calls = message.find("tool_calls"); calls != message.end() && !calls->is_null()) {
    TRY_AS(Json checked, tool_calls(cat(path, ".tool_calls"), *calls));
    if (!checked.empty()) out["tool_calls"] = std::move(checked);
  }
  return out;
}

Result<Json> messages(const RequestField& field, std::string_view path, Json& value) {
  if (!value.is_array() || value.empty() || value.size() > kMessagesMax)
    return wrong(path, shown(value), allowed(field));
  Json out = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    TRY_AS(Json one, message(cat(path, "[", i, "]"), value[i]));
    out.push_back(std::move(one));
  }
  TRY(check_media(out));
  return out;
}

// Values for the chat template. It is given those that it cannot do without by us: a second set of
// messages in here would be answered in place of the one that was checked.
Result<Json> template_values(std::string_view path, Json& value) {
  for (auto at = value.begin(); at != value.end();)
    at = at->is_null() ? value.erase(at) : std::next(at);
  for (const std::string& name : split(kTemplateOwn, '|')) {
    if (const auto found = value.find(name); found != value.end())
      return wrong(cat(path, ".", name), shown(*found),
                   "left out: the template gets it from the request's other fields and the model");
  }
  if (const auto thinking = value.find("enable_thinking");
      thinking != value.end() && !thinking->is_boolean())
    return wrong(cat(path, ".enable_thinking"), shown(*thinking), "true or false");
  return std::move(value);
}

// The part of a field that may be ignored is nothing; the rest of it is not done yet.
Result<Json> ignored(const RequestField& field, std::string_view path, const Json& value) {
  if (value == "" || has_word(field.words, value)) return Json();
  return not_yet(path, shown(value),
                 field.words.empty()
                     ? "leave it out"
                     : cat("leave it out or send ", quoted_words(field.words, " or ")));
}

Result<Json> ignored_words(const RequestField& field, std::string_view path, const Json& value) {
  for (size_t i = 0; i < value.size(); i++) {
    const std::string at = cat(path, "[", i, "]");
    if (!value[i].is_string()) return wrong(at, shown(value[i]), quoted_words(field.words, " or "));
    TRY(ignored(field, at, value[i]));
  }
  return Json();
}

// An object in which what the table names is true or false.
Result<Json> flags(const RequestField& field, std::string_view path, Json& value) {
  if (field.words.empty()) return std::move(value);
  for (const std::string& name : split(field.words, '|')) {
    const auto found = value.find(name);
    if (found != value.end() && !found->is_null() && !found->is_boolean())
      return wrong(cat(path, ".", name), shown(*found), "true or false");
  }
  return std::move(value);
}

Result<Json> strings(const RequestField& field, std::string_view path, Json& value) {
  if (!value.is_array() || static_cast<double>(value.size()) > field.most)
    return wrong(path, shown(value), allowed(field));
  for (size_t i = 0; i < value.size(); i++) {
    const auto* text = value[i].get_ptr<const std::string*>();
    if (!text || text->empty() || text->size() > kBreakerBytesMax ||
        text->find('\0') != std::string::npos)
      return wrong(cat(path, "[", i, "]"), shown(value[i]),
                   cat("a string of 1 to ", kBreakerBytesMax, " bytes, none of them zero"));
  }
  return std::move(value);
}

Result<Json> loras(const RequestField& field, std::string_view path, const Json& value) {
  if (!value.is_array() || value.size() > kLorasMax)
    return wrong(path, shown(value), allowed(field));
  Json out = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    const Json& item = value[i];
    const std::string at = cat(path, "[", i, "]");
    if (!item.is_object()) return wrong(at, shown(item), "an object with an 'id'");
    const Json id = item.value("id", Json());
    if (!id.is_string() || id.get_ref<const std::string&>().empty() ||
        id.get_ref<const std::string&>().size() > kModelNameMax)
      return wrong(cat(at, ".id"), id.is_null() ? std::string(kMissing) : shown(id),
                   "an adapter's name, as `lares models list` has it");
    const Json scale = item.value("scale", Json(1));
    if (!scale.is_number() || !(scale.get<double>() >= field.least) ||
        !(scale.get<double>() <= field.most))
      return wrong(cat(at, ".scale"), shown(scale),
                   cat("a number from ", spelled(field.least), " to ", spelled(field.most)));
    if (std::any_of(out.begin(), out.end(), [&](const Json& one) { return one["id"] == id; }))
      return wrong(cat(at, ".id"), shown(id), "another adapter than those before it");
    out.push_back({{"id", id}, {"scale", scale}});
  }
  return out;
}

// Each as its text alone.
Result<Json> documents(const RequestField& field, std::string_view path, Json& value) {
  if (!value.is_array() || value.empty() || static_cast<double>(value.size()) > field.most)
    return wrong(path, shown(value), allowed(field));
  Json out = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    Json& item = value[i];
    Json* const text = item.is_object() && item.contains("text") ? &item["text"] : &item;
    if (!text->is_string())
      return wrong(cat(path, "[", i, text == &item ? "]" : "].text"), shown(*text),
                   text == &item ? "a string or an object with a 'text'" : "a string");
    out.push_back(std::move(*text));
  }
  return out;
}

Result<Json> extras(const RequestField& field, std::string_view path, Json& value) {
  if (!value.is_array() || static_cast<double>(value.size()) > field.most)
    return wrong(path, shown(value), allowed(field));
  Json out = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    Json& item = value[i];
    const std::string at = cat(path, "[", i, "]");
    if (!item.is_object() || !item.contains("text") || !item["text"].is_string())
      return wrong(at, shown(item), "an object with a 'text'");
    const Json name = item.value("filename", Json("file"));
    if (!name.is_string() || name.get_ref<const std::string&>().size() > kShortStringMax)
      return wrong(cat(at, ".filename"), shown(name),
                   cat("a string of at most ", kShortStringMax, " bytes"));
    out.push_back({{"filename", name}, {"text", std::move(item["text"])}});
  }
  return out;
}

Result<Json> checked(const RequestField& field, std::string_view path, Json& value) {
  switch (field.kind) {
    case K::Boolean:
      if (value.is_boolean()) return value;
      break;
    case K::Integer: {
      int64_t number = 0;
      if (integer(value, number) && static_cast<double>(number) >= field.least &&
          static_cast<double>(number) <= field.most)
        return Json(number);
      break;
    }
    case K::Number:
      if (value.is_number() && value.get<double>() >= field.least &&
          value.get<double>() <= field.most)
        return value;
      break;
    case K::String:
      if (value.is_string() &&
          (field.most == 0 ||
           static_cast<double>(value.get_ref<const std::string&>().size()) <= field.most))
        return std::move(value);
      break;
    case K::Word:
      if (has_word(field.words, value)) return std::move(value);
      break;
    case K::Messages: return messages(field, path, value);
    case K::Prompt:
    case K::Inputs: return prompts(field, path, value);
    case K::Stops: return stops(field, path, value);
    case K::Biases: return biases(field, path, value);
    case K::Loras: return loras(field, path, value);
    case K::Documents: return documents(field, path, value);
    case K::Extras: return extras(field, path, value);
    case K::Strings: return strings(field, path, value);
    case K::Object:
      if (value.is_object()) return flags(field, path, value);
      break;
    case K::Template:
      if (value.is_object()) return template_values(path, value);
      break;
    case K::NoList:
      if (!value.is_array()) break;
      if (value.empty()) return Json();
      return ignored(field, path, value);
    case K::NoText:
      if (value.is_string()) return ignored(field, path, value);
      break;
    case K::OneWord:
      if (value.is_string() || value.is_object()) return ignored(field, path, value);
      break;
    case K::Format:
    case K::Schema:
      if (value.is_object()) return Json(true);
      break;
    case K::SchemaOrText:
      if (value.is_object() || value.is_string()) return Json(true);
      break;
    case K::Grammar:
      if (value.is_string() &&
          static_cast<double>(value.get_ref<const std::string&>().size()) <= field.most)
        return Json(true);
      break;
    case K::Texts:
    case K::Tools:
      if (value.is_array() && static_cast<double>(value.size()) <= field.most) return Json(true);
      break;
    case K::Choice:
      if (value.is_string() || value.is_object()) return Json(true);
      break;
    case K::SomeWords:
      if (value.is_array()) return ignored_words(field, path, value);
      break;
    case K::Nothing:
      if (value.is_object()) return ignored(field, path, value);
      break;
  }
  return wrong(path, shown(value), allowed(field));
}

// The fields of `table` that `body` gives, checked; null is as good as left out. Takes `body`
// apart.
Result<Json> read_fields(Table table, Json& body, std::string_view prefix = "") {
  Json out = Json::object();
  for (const RequestField& field : fields(table)) {
    const std::string path = cat(prefix, field.name);
    const auto found = body.find(field.name);
    if (found == body.end() || found->is_null()) {
      if (field.required) return wrong(path, kMissing, allowed(field));
      continue;
    }
    TRY_AS(Json value, checked(field, path, *found));
    if (!value.is_null()) out[std::string(field.name)] = std::move(value);
  }
  return out;
}

// The part of a worker's body that the table names: given values, else the table's defaults.
Json wire_body(Table table, Json& given) {
  Json out = Json::object();
  for (const RequestField& field : fields(table)) {
    if (field.wire.empty()) continue;
    const auto found = given.find(field.name);
    if (found != given.end()) {
      out[std::string(field.wire)] = std::move(*found);
    } else if (!field.standard.empty()) {
      out[std::string(field.wire)] = *parse_json(field.standard);
    }
  }
  return out;
}

// What "lares" asks for, put into the work.
Result<> read_lares(Json& given, Work& work) {
  const auto found = given.find("lares");
  if (found == given.end()) return Unit{};
  std::vector<std::string> names;
  for (const RequestField& field : fields(Table::Lares)) names.emplace_back(field.name);
  for (const auto& [key, value] : found->items()) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::string hint = did_you_mean(key, names);
    return Error{Code::Invalid,
                 cat("reading the request: 'lares' has no field ", shown(key),
                     hint.empty() ? "; leave it out" : hint),
                 key.size() <= 64 ? cat("lares.", key) : "lares"};
  }
  TRY_AS(const Json object, read_fields(Table::Lares, *found, "lares."));
  work.lane = object.value("priority", "interactive");
  work.deadline_ms = object.value("deadline_ms", int64_t{0});
  if (const auto kept = object.find("keep_alive_s"); kept != object.end() && kept->is_number())
    work.keep_alive_s = kept->get<int64_t>();
  work.conversation = object.value("conversation", "");
  work.parent = object.value("parent", "");
  if (work.conversation.empty() && !work.parent.empty())
    return wrong("lares.parent", "given without 'lares.conversation'",
                 "left out, or the id of a message of that conversation");
  if (!work.conversation.empty() && work.kind != Work::Kind::Chat)
    return wrong("lares.conversation", "given", "left out here: only chats are kept");
  if (!work.conversation.empty() && work.choices != 1)
    return wrong("n", cat(work.choices), "1 with 'lares.conversation', which keeps one answer");
  if (object.value("place", "auto") == "cloud")
    return not_yet("lares.place", "\"cloud\"", "send 'auto' or 'local'");
  return Unit{};
}

Result<Json> read_body(std::string_view body) {
  auto parsed = parse_json(body, kRequestJson);
  if (!parsed) return std::move(parsed).error().within("reading the request");
  if (!parsed->is_object())
    return Error{Code::Invalid, cat("reading the request: the body is ", shown(*parsed),
                                    ", but must be an object")};
  return parsed;
}

// Workers take 32 bits. Small seeds stay what they are; -1 is llama-server's word for none.
void fold_seed(Json& given) {
  const auto found = given.find("seed");
  if (found == given.end()) return;
  const auto seed = found->get<int64_t>();
  if (seed == -1) {
    given.erase(found);
    return;
  }
  const auto bits = static_cast<uint64_t>(seed);
  const auto folded = static_cast<uint32_t>(bits ^ (bits >> 32));
  *found = folded == std::numeric_limits<uint32_t>::max() ? folded - 1 : folded;
}

// What chat and completion have in common, once their own fields are settled.
Result<Work> generation_work(Table table, Json& given, std::string_view body,
                             GenerationRequest& request, const consent::Principal& who) {
  Work work;
  work.kind = table == Table::Chat ? Work::Kind::Chat : Work::Kind::Completion;
  work.endpoint = table == Table::Chat     ? "/v1/chat/completions"
                  : table == Table::Infill ? "/infill"
                                           : "/v1/completions";
  work.who = who;
  work.model = given.value("model", "");
  work.choices = given.value("n", 1u);
  TRY(read_lares(given, work));
  request.stream = given.value("stream", false);
  if (const auto options = given.find("stream_options"); options != given.end())
    request.include_usage = options->value("include_usage", Json()) == true;
  fold_seed(given);
  Json structured = Json::object();
  TRY(read_structured(given, body, structured));
  if (!work.conversation.empty() && structured.contains("tools"))
    return not_yet("tools", "given together with 'lares.conversation', which keeps texts",
                   "leave one of the two out");
  work.body = wire_body(table, given);
  work.body.update(structured);
  if (work.kind == Work::Kind::Chat && work.deadline_ms > 0)
    work.body["deadline_ms"] = work.deadline_ms;
  const auto messages = work.body.find("messages");
  if (!work.conversation.empty() && messages != work.body.end() && has_media(*messages))
    return not_yet("messages",
                   "given with pictures or sounds beside 'lares.conversation', which keeps texts",
                   "leave one of the two out");
  return work;
}

}  // namespace

std::string shown(const Json& value) {
  if (value.is_array()) return cat("an array of ", value.size());
  if (value.is_object()) return cat("an object of ", value.size());
  if (value.is_string() && value.get_ref<const std::string&>().size() > kStringShownMax)
    return cat("a string of ", value.get_ref<const std::string&>().size(), " bytes");
  return dump(value);
}

Result<GenerationRequest> read_chat(std::string_view body, const consent::Principal& who) {
  TRY_AS(Json json, read_body(body));
  TRY_AS(Json given, read_fields(Table::Chat, json));
  GenerationRequest request;
  if (const auto newer = given.find("max_completion_tokens"); newer != given.end())
    given["max_tokens"] = *newer;
  if (const auto older = given.find("reasoning_budget_tokens"); older != given.end()) {
    if (given.contains("reasoning_budget") && given["reasoning_budget"] != *older)
      return wrong("reasoning_budget_tokens", cat(shown(*older), " beside 'reasoning_budget'"),
                   "left out, or the same");
    given["reasoning_budget"] = *older;
  }
  request.logprobs = given.value("logprobs", false);
  if (!request.logprobs && given.value("top_logprobs", 0) > 0)
    return wrong("top_logprobs", cat(shown(given["top_logprobs"]), " without 'logprobs'"),
                 "left out, or 'logprobs' true");
  TRY_AS(Work work, generation_work(Table::Chat, given, body, request, who));
  request.works.push_back(std::move(work));
  return request;
}

Result<GenerationRequest> read_completion(std::string_view body, const consent::Principal& who) {
  TRY_AS(Json json, read_body(body));
  TRY_AS(Json given, read_fields(Table::Completion, json));
  GenerationRequest request;
  const auto n = given.value("n", 1u);
  if (const auto best = given.value("best_of", n); best != n)
    return wrong("best_of", cat(best), cat("left out or the same as 'n', which is ", n));
  const auto likeliest = given.find("logprobs");
  request.logprobs = likeliest != given.end();
  if (request.logprobs && given.value("echo", false))
    return not_yet("logprobs", cat(shown(*likeliest), " together with 'echo'"),
                   "leave one of the two out");
  const auto top = request.logprobs ? likeliest->get<int64_t>() : 0;
  Json several = std::move(given["prompt"]);
  given.erase("prompt");
  const std::string suffix = given.value("suffix", "");
  if (!suffix.empty() && given.value("echo", false))
    return not_yet("suffix", "given together with 'echo'", "leave one of the two out");
  TRY_AS(Work work, generation_work(Table::Completion, given, body, request, who));
  if (request.logprobs) {
    work.body["logprobs"] = true;
    work.body["top_logprobs"] = top;
  }
  for (Json& prompt : several) {
    Work one = work;
    if (!suffix.empty()) {
      if (!prompt.is_string())
        return wrong("prompt", "token ids", "a string, or several, where there is a 'suffix'");
      one.body["input_prefix"] = std::move(prompt);
      one.body["input_suffix"] = suffix;
      one.body.erase("echo");
    } else {
      one.body["prompt"] = std::move(prompt);
    }
    request.works.push_back(std::move(one));
  }
  return request;
}

Result<GenerationRequest> read_infill(std::string_view body, const consent::Principal& who) {
  TRY_AS(Json json, read_body(body));
  TRY_AS(Json given, read_fields(Table::Infill, json));
  if (const auto most = given.value("n_predict", int64_t{-1});
      most >= 0 && given["max_tokens"].is_null())
    given["max_tokens"] = most;
  if (given.contains("max_tokens") && given["max_tokens"].is_null()) given.erase("max_tokens");
  if (const auto n = given.value("n", 1u); n != 1)
    return wrong("n", cat(n), "1 here: a gap is filled once");
  GenerationRequest request;
  TRY_AS(Work work, generation_work(Table::Infill, given, body, request, who));
  request.works.push_back(std::move(work));
  return request;
}

Result<RerankRequest> read_rerank(std::string_view body, const consent::Principal& who,
                                  std::string_view route) {
  TRY_AS(Json json, read_body(body));
  TRY_AS(Json given, read_fields(Table::Rerank, json));
  RerankRequest request;
  request.count = given["documents"].size();
  request.top = std::min<size_t>(request.count, given.value("top_n", request.count));
  if (given.value("return_documents", false))
    request.documents = given["documents"].get<std::vector<std::string>>();
  request.work.kind = Work::Kind::Rerank;
  request.work.endpoint = route;
  request.work.who = who;
  request.work.model = given.value("model", "");
  TRY(read_lares(given, request.work));
  request.work.body = wire_body(Table::Rerank, given);
  return request;
}

Result<EmbeddingRequest> read_embedding(std::string_view body, const consent::Principal& who) {
  TRY_AS(Json json, read_body(body));
  TRY_AS(Json given, read_fields(Table::Embedding, json));
  EmbeddingRequest request;
  request.base64 = given.value("encoding_format", "float") == "base64";
  request.dimensions = given.value("dimensions", 0u);
  request.inputs = given["input"].size();
  request.work.kind = Work::Kind::Embedding;
  request.work.endpoint = "/v1/embeddings";
  request.work.who = who;
  request.work.model = given.value("model", "");
  TRY(read_lares(given, request.work));
  request.work.body = wire_body(Table::Embedding, given);
  return request;
}

Result<Json> read_object(std::string_view body) {
  if (trimmed(body).empty()) return Json::object();
  return read_body(body);
}

}  // namespace lares::api
