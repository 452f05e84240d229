#include "engine/structure.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "base/units.h"
#include "wire/structured_limits.h"

namespace lares::engine {
namespace {

Error wrong(const std::string& field, std::string_view what) {
  return {Code::Invalid, cat("'", field, "' ", what), field};
}

const Json* find(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> text_of(const Json& object, const char* name, const std::string& field) {
  const Json* found = find(object, name);
  if (!found) return std::string();
  if (!found->is_string()) return wrong(field, cat("has a '", name, "' that is not a string"));
  return found->get<std::string>();
}

// `what` is "has a ... ".
Result<> can_be_written(const std::string& text, const std::string& what,
                        const std::string& field) {
  if (!is_utf8(text)) return wrong(field, cat(what, "that is not UTF-8"));
  if (text.find('\0') != std::string::npos)
    return wrong(field, cat(what, "with the sign U+0000, which no grammar can hold; take it out"));
  return Unit{};
}

// One way to say what an answer must be; "" where it is not given.
Result<std::string> said_in(const Json& given, const char* name, const std::string& field) {
  TRY_AS(std::string text, text_of(given, name, field));
  if (text.empty() && find(given, name))
    return wrong(field,
                 cat("has an empty '", name, "', which says nothing of an answer; leave it out"));
  TRY(can_be_written(text, cat("has a '", name, "' "), field));
  return text;
}

Result<Must> read_must(const Json& given) {
  if (!given.is_object()) return wrong("must", "is not an object");
  Must out;
  TRY_AS(out.param, text_of(given, "param", "must"));
  if (out.param.empty()) out.param = "must";
  TRY_AS(out.schema, said_in(given, "schema", out.param));
  if (const Json* strict = find(given, "strict")) {
    if (!strict->is_boolean()) return wrong(out.param, "has a 'strict' that is not true or false");
    out.strict = strict->get<bool>();
  }
  TRY_AS(out.grammar, said_in(given, "grammar", out.param));
  TRY_AS(out.regex, said_in(given, "regex", out.param));
  if (const Json* choice = find(given, "choice")) {
    if (!choice->is_array() || choice->empty())
      return wrong(out.param, cat("is not an array of 1 to ", wire::kChoicesMax, " strings"));
    if (choice->size() > wire::kChoicesMax)
      return wrong(out.param, cat("has ", grouped(choice->size()), " choices, at most ",
                                  grouped(wire::kChoicesMax), " are taken"));
    for (const Json& one : *choice) {
      const std::string what = cat("has a choice (the ", out.choice.size() + 1, ". of them) ");
      if (!one.is_string() || one.get_ref<const std::string&>().empty())
        return wrong(out.param, cat(what, one.is_string() ? "that is empty; leave it out"
                                                          : "that is not a string"));
      out.choice.push_back(one.get<std::string>());
      TRY(can_be_written(out.choice.back(), what, out.param));
    }
  }
  const int given_count = int{!out.schema.empty()} + int{!out.grammar.empty()} +
                          int{!out.regex.empty()} + int{!out.choice.empty()};
  if (given_count != 1)
    return wrong(out.param, "is not exactly one of what an answer can have to be");
  return out;
}

Result<std::vector<Tool>> read_tools(const Json& given) {
  if (!given.is_array() || given.size() > wire::kToolsMax)
    return wrong("tools", cat("is not an array of at most ", wire::kToolsMax));
  std::vector<Tool> out;
  for (const Json& one : given) {
    if (!one.is_object()) return wrong("tools", "has one that is not an object");
    Tool tool;
    TRY_AS(tool.name, text_of(one, "name", "tools"));
    TRY_AS(tool.description, text_of(one, "description", "tools"));
    TRY_AS(tool.parameters, text_of(one, "parameters", "tools"));
    if (tool.name.empty()) return wrong("tools", "has one without a name");
    if (const Json* strict = find(one, "strict")) {
      if (!strict->is_boolean()) return wrong("tools", "has a 'strict' that is not true or false");
      tool.strict = strict->get<bool>();
    }
    out.push_back(std::move(tool));
  }
  return out;
}

// How many tokens of thinking an effort is worth; nullopt: as many as it takes.
constexpr std::array<std::pair<std::string_view, std::optional<Tokens>>, 7> kEfforts = {
    {{"none", 0},
     {"minimal", 128},
     {"low", 512},
     {"medium", 2048},
     {"high", std::nullopt},
     {"xhigh", std::nullopt},
     {"max", std::nullopt}}};

Result<> read_thinking(const Json& body, Structure& out) {
  const Json* effort = find(body, "reasoning_effort");
  if (effort && *effort == "auto") {
    out.automatic = true;
  } else if (effort) {
    const auto row = std::find_if(kEfforts.begin(), kEfforts.end(),
                                  [&](const auto& each) { return *effort == each.first; });
    if (row == kEfforts.end())
      return wrong("reasoning_effort",
                   "is none of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max' "
                   "and 'auto'");
    out.thinking_max = row->second;
    // the words that templates know
    out.effort = row->first == "none"      ? ""
                 : row->first == "minimal" ? "low"
                 : row->second             ? row->first
                                           : "high";
  }
  if (const Json* budget = find(body, "reasoning_budget")) {
    if (!budget->is_number_integer() || *budget < 0 || *budget > INT32_MAX)
      return wrong("reasoning_budget", "is not a whole number of tokens from 0 on");
    out.thinking_max = budget->get<Tokens>();
    out.exact = true;
    out.automatic = false;
  }
  if (const Json* deadline = find(body, "deadline_ms")) {
    if (!deadline->is_number_integer() || *deadline < 1 || *deadline > INT32_MAX)
      return wrong("deadline_ms", "is not a whole number of milliseconds from 1 on");
    out.deadline = std::chrono::milliseconds(deadline->get<int64_t>());
  }
  return Unit{};
}

size_t bytes_of(const Structure& structure) {
  const Must& must = structure.must;
  size_t bytes = must.schema.size() + must.grammar.size() + must.regex.size();
  for (const std::string& one : must.choice) bytes += one.size();
  for (const Tool& tool : structure.tools)
    bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
  return bytes;
}

}  // namespace

Result<Structure> read_structure(const Json& body, bool chat) {
  Structure out;
  if (chat) TRY(read_thinking(body, out));
  if (const Json* must = find(body, "must")) {
    TRY_AS(out.must, read_must(*must));
  }
  if (const Json* tools = find(body, "tools"); tools && chat) {
    TRY_AS(out.tools, read_tools(*tools));
    TRY_AS(const std::string choice, text_of(body, "tool_choice", "tool_choice"));
    if (!choice.empty() && choice != "auto" && choice != "required")
      return wrong("tool_choice", "is neither 'auto' nor 'required'");
    out.tool_choice = choice == "required" ? ToolChoice::Required : ToolChoice::Auto;
    if (const Json* parallel = find(body, "parallel_tool_calls")) {
      if (!parallel->is_boolean()) return wrong("parallel_tool_calls", "is not true or false");
      out.parallel_tool_calls = parallel->get<bool>();
    }
  }
  if (!out.tools.empty() && !out.must.empty())
    return wrong(out.must.param, "is given together with 'tools'; leave one of the two out");
  if (const size_t bytes = bytes_of(out); bytes > wire::kStructureBytesMax) {
    return wrong(out.tools.empty() ? out.must.param : "tools",
                 cat("takes ", grouped(bytes), " bytes, at most ",
                     grouped(wire::kStructureBytesMax), " are taken"));
  }
  return out;
}

}  // namespace lares::engine
