#include "api/structured.h"

#include <algorithm>
#include <optional>
#include <set>

#include "api/requests.h"
#include "base/text.h"

namespace lares::api {
namespace {

Error wrong(std::string_view path, std::string_view is, std::string_view must) {
  return {Code::Invalid, cat("reading the request: '", path, "' is ", is, ", but must be ", must),
          std::string(path)};
}
Error missing(std::string_view path, std::string_view must) {
  return {Code::Invalid, cat("reading the request: '", path, "' is missing; it must be ", must),
          std::string(path)};
}
Error unsupported(std::string_view path, std::string_view is, std::string_view instead) {
  return {Code::Unsupported,
          cat("reading the request: '", path, "' is ", is, ", which this version does not do yet; ",
              instead),
          std::string(path)};
}

const OrderedJson* find(const OrderedJson& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string shown_of(const OrderedJson& value) { return shown(Json(value)); }

Result<std::string> text_of(const OrderedJson& object, const char* name, const std::string& path,
                            size_t most) {
  const OrderedJson* found = find(object, name);
  if (!found) return std::string();
  if (!found->is_string() || (most > 0 && found->get_ref<const std::string&>().size() > most))
    return wrong(path, shown_of(*found),
                 most > 0 ? cat("a string of at most ", most, " bytes") : "a string");
  return found->get<std::string>();
}

Result<bool> flag_of(const OrderedJson& object, const char* name, const std::string& path) {
  const OrderedJson* found = find(object, name);
  if (!found) return false;
  if (!found->is_boolean()) return wrong(path, shown_of(*found), "true or false");
  return found->get<bool>();
}

Result<Json> schema_must(const OrderedJson& schema, const std::string& path) {
  if (!schema.is_object()) return wrong(path, shown_of(schema), "an object, a JSON Schema");
  std::string text = schema.empty() ? R"({"type":"object"})" : schema.dump();
  if (text.size() > kSchemaBytesMax)
    return wrong(path, cat("a schema of ", Bytes{text.size()}),
                 cat("one of at most ", Bytes{kSchemaBytesMax}));
  return Json{{"schema", std::move(text)}};
}

// One way to say what an answer must be; null when it says nothing.
Result<Json> response_format(const OrderedJson& given, const std::string& path) {
  const OrderedJson* type = find(given, "type");
  if (!type && given.empty()) return Json();
  const std::string at = path + ".type";
  constexpr std::string_view kTypes = "'text', 'json_object' or 'json_schema'";
  if (!type) return missing(at, kTypes);
  if (*type == "text" || *type == "") return Json();
  if (*type == "json_object") {
    const OrderedJson* schema = find(given, "schema");
    return schema_must(schema ? *schema : OrderedJson::object(), path + ".schema");
  }
  if (*type != "json_schema") return wrong(at, shown_of(*type), kTypes);
  const OrderedJson* named = find(given, "json_schema");
  const std::string inside = path + ".json_schema";
  if (!named) return missing(inside, "an object with a 'schema'");
  if (!named->is_object()) return wrong(inside, shown_of(*named), "an object with a 'schema'");
  TRY(text_of(*named, "name", inside + ".name", kToolNameMax));
  TRY(text_of(*named, "description", inside + ".description", 0));
  const OrderedJson* schema = find(*named, "schema");
  if (!schema) return missing(inside + ".schema", "an object, a JSON Schema");
  TRY_AS(Json must, schema_must(*schema, inside + ".schema"));
  TRY_AS(const bool strict, flag_of(*named, "strict", inside + ".strict"));
  if (strict) must["strict"] = true;
  return must;
}

Result<Json> text_must(const char* kind, const OrderedJson& value, const std::string& path,
                       size_t most) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() > most)
    return wrong(path, shown_of(value), cat("a string of at most ", most, " bytes"));
  if (value.get_ref<const std::string&>().empty()) {
    if (path == "grammar") return Json();  // of llama-server's clients: none
    return wrong(path, "an empty string", "one that is not, or no field where there is none");
  }
  return Json{{kind, value.get<std::string>()}};
}

Result<Json> choice_must(const OrderedJson& value, const std::string& path) {
  const std::string must = cat("an array of 1 to ", kChoicesOfTextMax, " strings");
  if (!value.is_array() || value.empty() || value.size() > kChoicesOfTextMax)
    return wrong(path, shown_of(value), must);
  Json list = Json::array();
  for (size_t i = 0; i < value.size(); i++) {
    if (!value[i].is_string() || value[i].get_ref<const std::string&>().empty())
      return wrong(cat(path, "[", i, "]"), shown_of(value[i]), "a string that is not empty");
    if (value[i].get_ref<const std::string&>().find('\0') != std::string::npos)
      return wrong(cat(path, "[", i, "]"), "a string with the sign U+0000",
                   "one without it, which no grammar can hold");
    list.push_back(value[i].get<std::string>());
  }
  return Json{{"choice", std::move(list)}};
}

// A schema as vLLM takes it: an object, or its text.
Result<Json> json_must(const OrderedJson& value, const std::string& path) {
  if (!value.is_string()) return schema_must(value, path);
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kSchemaBytesMax)
    return wrong(path, shown_of(value), cat("of at most ", Bytes{kSchemaBytesMax}));
  if (const auto read = parse_json(text, kRequestJson); !read || !read->is_object())
    return wrong(path, shown_of(value), "an object, a JSON Schema, or the text of one");
  return schema_must(OrderedJson::parse(text), path);
}

Result<Json> one_must(const std::string& kind, const OrderedJson& value, const std::string& path) {
  if (kind == "json") return json_must(value, path);
  if (kind == "regex") return text_must("regex", value, path, kRegexBytesMax);
  if (kind == "choice") return choice_must(value, path);
  return text_must("grammar", value, path, kGrammarBytesMax);
}

// All that say what the answer must be, each with the field that errors name.
Result<std::vector<std::pair<std::string, Json>>> musts(const OrderedJson& body) {
  std::vector<std::pair<std::string, Json>> out;
  const auto add = [&](const std::string& path, Json must) {
    if (!must.is_null()) out.emplace_back(path, std::move(must));
  };
  if (const OrderedJson* found = find(body, "response_format")) {
    TRY_AS(Json must, response_format(*found, "response_format"));
    add("response_format", std::move(must));
  }
  if (const OrderedJson* found = find(body, "json_schema")) {
    TRY_AS(Json must, schema_must(*found, "json_schema"));
    add("json_schema", std::move(must));
  }
  if (const OrderedJson* found = find(body, "grammar")) {
    TRY_AS(Json must, one_must("grammar", *found, "grammar"));
    add("grammar", std::move(must));
  }
  for (const char* kind : {"json", "regex", "choice", "grammar"}) {
    const std::string name = cat("guided_", kind);
    if (const OrderedJson* found = find(body, name.c_str())) {
      TRY_AS(Json must, one_must(kind, *found, name));
      add(name, std::move(must));
    }
  }
  if (const OrderedJson* found = find(body, "structured_outputs")) {
    const size_t before = out.size();
    for (const auto& [key, value] : found->items()) {
      const std::string path = cat("structured_outputs.", utf8_repaired(key.substr(0, 64)));
      if (value.is_null()) continue;
      if (key != "json" && key != "regex" && key != "choice" && key != "grammar") {
        constexpr std::string_view kSend = "send 'json', 'regex', 'choice' or 'grammar'";
        if (key.starts_with("structural_tag") || key == "json_object" ||
            key.find("whitespace") != std::string::npos)
          return unsupported(path, shown_of(value), kSend);
        return wrong(path, shown_of(value), cat("left out, as there is no such field; ", kSend));
      }
      TRY_AS(Json must, one_must(key, value, path));
      add(path, std::move(must));
    }
    if (out.size() == before)
      return wrong(
          "structured_outputs", "an object that says nothing",
          "one of 'json', 'regex', 'choice' and 'grammar', or no field where there is none");
  }
  return out;
}

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= kToolNameMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

Result<Json> tool(const OrderedJson& given, const std::string& path) {
  if (!given.is_object()) return wrong(path, shown_of(given), "an object with a 'function'");
  const OrderedJson* type = find(given, "type");
  if (type && *type != "function") {
    if (!type->is_string()) return wrong(path + ".type", shown_of(*type), "'function'");
    return unsupported(path + ".type", shown_of(*type), "send 'function'");
  }
  const OrderedJson* function = find(given, "function");
  const std::string inside = path + ".function";
  if (!function) return missing(inside, "an object with a 'name'");
  if (!function->is_object()) return wrong(inside, shown_of(*function), "an object with a 'name'");
  TRY_AS(std::string name, text_of(*function, "name", inside + ".name", 0));
  if (!is_name(name))
    return wrong(inside + ".name",
                 name.empty()                 ? "empty or missing"
                 : name.size() > kToolNameMax ? cat("a string of ", name.size(), " bytes")
                                              : dump(Json(name)),
                 cat("1 to ", kToolNameMax, " of the signs a-z, A-Z, 0-9, _ and -"));
  TRY_AS(std::string description, text_of(*function, "description", inside + ".description", 0));
  TRY_AS(const bool strict, flag_of(*function, "strict", inside + ".strict"));
  std::string parameters = "{}";
  if (const OrderedJson* schema = find(*function, "parameters")) {
    TRY_AS(const Json must, schema_must(*schema, inside + ".parameters"));
    if (const OrderedJson* kind = find(*schema, "type"); kind && *kind != "object")
      return wrong(inside + ".parameters.type", shown_of(*kind),
                   "'object', since a call's arguments are one");
    parameters = schema->empty() ? "{}" : must["schema"].get<std::string>();
  }
  Json out{{"name", std::move(name)},
           {"description", std::move(description)},
           {"parameters", std::move(parameters)}};
  if (strict) out["strict"] = true;
  return out;
}

Result<Json> tools(const OrderedJson& given) {
  Json out = Json::array();
  if (!given.is_array() || given.size() > kToolsMax)
    return wrong("tools", shown_of(given), cat("an array of at most ", kToolsMax, " tools"));
  std::set<std::string> names;
  for (size_t i = 0; i < given.size(); i++) {
    const std::string path = cat("tools[", i, "]");
    TRY_AS(Json one, tool(given[i], path));
    if (!names.insert(one["name"].get<std::string>()).second)
      return wrong(path + ".function.name", cat("'", one["name"].get<std::string>(), "' again"),
                   "a name that no other tool has");
    out.push_back(std::move(one));
  }
  return out;
}

// Keeps of `offered` what may be called; "auto", "required" or "none".
Result<std::string> tool_choice(const OrderedJson& given, Json& offered) {
  constexpr std::string_view kMust =
      "'none', 'auto', 'required', or an object that names a function";
  if (given == "" || given == "auto") return std::string("auto");
  if (given == "none") return std::string("none");
  std::string name;
  if (given.is_object()) {
    const OrderedJson* type = find(given, "type");
    if (type && *type != "function" && type->is_string())
      return unsupported("tool_choice.type", shown_of(*type), "send 'function'");
    const OrderedJson* function = find(given, "function");
    if (!function || !function->is_object()) return wrong("tool_choice", shown_of(given), kMust);
    TRY_AS(name, text_of(*function, "name", "tool_choice.function.name", 0));
  } else if (given != "required") {
    return wrong("tool_choice", shown_of(given), kMust);
  }
  if (offered.empty())
    return wrong("tool_choice",
                 name.empty() ? "'required' without 'tools'" : "given without 'tools'",
                 "left out, or 'tools' given");
  if (given == "required") return std::string("required");
  std::vector<std::string> names;
  for (const Json& one : offered) {
    names.push_back(one["name"].get<std::string>());
    if (names.back() != name) continue;
    offered = Json::array({Json(one)});
    return std::string("required");
  }
  return wrong("tool_choice.function.name", shown(Json(name)),
               cat("the name of one of the 'tools'", did_you_mean(name, names)));
}

size_t texts_in(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size();
  size_t sum = 0;
  if (value.is_structured()) {
    for (const Json& one : value) sum += texts_in(one);
  }
  return sum;
}

}  // namespace

Result<> read_structured(const Json& given, std::string_view body, Json& out) {
  constexpr const char* kNames[] = {"response_format", "json_schema",        "grammar",
                                    "guided_json",     "guided_regex",       "guided_choice",
                                    "guided_grammar",  "structured_outputs", "tools",
                                    "tool_choice"};
  if (std::none_of(std::begin(kNames), std::end(kNames),
                   [&](const char* name) { return given.contains(name); }))
    return Unit{};
  // read once more, and within limits that were held before
  auto ordered = OrderedJson::parse(body);
  for (const char* name : kNames) {
    if (!given.contains(name)) ordered.erase(name);
  }
  TRY_AS(auto found, musts(ordered));
  if (found.size() > 1) {
    return Error{Code::Invalid,
                 cat("reading the request: '", found[1].first, "' is given together with '",
                     found[0].first, "'; leave one of the two out"),
                 found[1].first};
  }
  Json offered = Json::array();
  if (const OrderedJson* list = find(ordered, "tools")) {
    TRY_AS(offered, tools(*list));
  }
  std::string choice = "auto";
  if (const OrderedJson* chosen = find(ordered, "tool_choice")) {
    TRY_AS(choice, tool_choice(*chosen, offered));
  }
  if (choice == "none") offered = Json::array();
  if (!offered.empty() && !found.empty())
    return unsupported(found[0].first, "given together with 'tools'",
                       "leave one of the two out, or send tool_choice 'none'");
  if (!found.empty()) {
    out["must"] = std::move(found[0].second);
    out["must"]["param"] = found[0].first;
  }
  if (!offered.empty()) {
    out["tools"] = std::move(offered);
    out["tool_choice"] = choice;
    // one that is named is called once
    const bool named = given.contains("tool_choice") && given["tool_choice"].is_object();
    out["parallel_tool_calls"] = !named && given.value("parallel_tool_calls", true);
  }
  const size_t bytes = texts_in(out.value("must", Json())) + texts_in(out.value("tools", Json()));
  if (bytes > kStructureBytesMax) {
    const std::string field = found.empty() ? "tools" : found[0].first;
    return wrong(field, cat(grouped(bytes), " bytes of texts"),
                 cat("at most ", grouped(kStructureBytesMax)));
  }
  return Unit{};
}

}  // namespace lares::api
