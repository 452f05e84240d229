#include "engine/schema_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "engine/regex_text.h"

namespace lares::engine {
namespace {

constexpr size_t kPathShownMax = 160;
constexpr std::array<std::string_view, 4> kCounts = {"minItems", "maxItems", "minLength",
                                                     "maxLength"};
// What the converter does not know.
constexpr std::array<std::string_view, 15> kNotKept = {"not",
                                                       "if",
                                                       "then",
                                                       "else",
                                                       "patternProperties",
                                                       "uniqueItems",
                                                       "multipleOf",
                                                       "minProperties",
                                                       "maxProperties",
                                                       "contains",
                                                       "propertyNames",
                                                       "minContains",
                                                       "maxContains",
                                                       "dependentRequired",
                                                       "dependentSchemas"};
constexpr std::array<std::string_view, 4> kBounds = {"minimum", "maximum", "exclusiveMinimum",
                                                     "exclusiveMaximum"};

class Schema {
 public:
  Schema(OrderedJson& root, Strict strict, std::string_view param)
      : root_(root), strict_(strict), param_(param) {}

  Result<> run() { return node(root_, "#"); }

 private:
  Error wrong(const std::string& path, std::string_view what, Code code = Code::Invalid) const {
    std::string shown = utf8_repaired(path.substr(0, kPathShownMax));
    return {code, cat("'", param_, "' has a schema that at ", shown, " ", what),
            std::string(param_)};
  }

  Result<> node(OrderedJson& schema, const std::string& path) {
    if (++nodes_ > kSchemaNodesMax)
      return wrong(path, cat("comes to more than ", kSchemaNodesMax, " parts; ask for less"));
    if (!schema.is_object()) return wrong(path, "is not an object");
    if (schema.contains("$ref")) return reference(schema["$ref"], path);
    // a place may be come to on several ways, and a pattern is written anew once
    if (read_.insert(&schema).second) TRY(keywords(schema, path));
    const size_t times = types(schema);
    for (const char* list : {"oneOf", "anyOf", "allOf", "prefixItems"}) {
      const auto found = schema.find(list);
      if (found == schema.end() || !found->is_array()) continue;
      for (size_t i = 0; i < found->size(); i++)
        TRY(node((*found)[i], cat(path, "/", list, "/", i)));
    }
    for (size_t time = 0; time < times; time++) {
      TRY(properties(schema, path));
      if (const auto items = schema.find("items"); items != schema.end()) {
        if (items->is_array()) {
          for (size_t i = 0; i < items->size(); i++)
            TRY(node((*items)[i], cat(path, "/items/", i)));
        } else {
          TRY(node(*items, path + "/items"));
        }
      }
      if (const auto other = schema.find("additionalProperties");
          other != schema.end() && other->is_object())
        TRY(node(*other, path + "/additionalProperties"));
    }
    return Unit{};
  }

  // How often the converter writes such a schema: once for each of its types.
  static size_t types(const OrderedJson& schema) {
    const auto type = schema.find("type");
    return type != schema.end() && type->is_array() ? std::max<size_t>(1, type->size()) : 1;
  }

  Result<> properties(OrderedJson& schema, const std::string& path) {
    const auto found = schema.find("properties");
    if (found == schema.end()) return Unit{};
    if (!found->is_object()) return wrong(path, "has 'properties' that are not an object");
    if (found->size() > kSchemaPropertiesMax)
      return wrong(path, cat("has ", found->size(), " properties, at most ", kSchemaPropertiesMax,
                             " are taken"));
    std::set<std::string> required;
    if (const auto names = schema.find("required"); names != schema.end() && names->is_array()) {
      for (const auto& name : *names) {
        if (name.is_string()) required.insert(name.get<std::string>());
      }
    }
    size_t optional = 0;
    for (auto& [name, property] : found->items()) {
      if (name.size() > kSchemaNameMax)
        return wrong(path, cat("has a property with a name of ", name.size(), " bytes, at most ",
                               kSchemaNameMax, " are taken"));
      optional += required.contains(name) ? 0 : 1;
      TRY(node(property, cat(path, "/properties/", name)));
    }
    if (optional > kSchemaOptionalMax)
      return wrong(path, cat("has ", optional, " properties that are not required, at most ",
                             kSchemaOptionalMax, " are taken"));
    return Unit{};
  }

  Result<> keywords(OrderedJson& schema, const std::string& path) {
    if (const auto pattern = schema.find("pattern"); pattern != schema.end()) {
      if (!pattern->is_string()) return wrong(path, "has a 'pattern' that is not a string");
      auto written = regex_for_grammar(pattern->get_ref<const std::string&>(), RegexOf::JsonString);
      if (!written)
        return wrong(path, cat("has a 'pattern' that ", written.error().message),
                     written.error().code);
      *pattern = *std::move(written);
      if (schema.contains("minLength") || schema.contains("maxLength"))
        TRY(not_kept("a 'pattern' together with a length", path));
    }
    for (const auto name : kCounts) TRY(count(schema, std::string(name), path));
    const auto type = schema.find("type");
    if (type != schema.end() && *type == "number") {
      for (const auto name : kBounds) {
        if (schema.contains(name)) TRY(not_kept(cat("'", name, "' of a number"), path));
      }
    }
    for (const auto name : kNotKept) {
      if (schema.contains(name)) TRY(not_kept(cat("'", name, "'"), path));
    }
    if (const auto values = schema.find("enum"); values != schema.end() && values->is_array())
      nodes_ += values->size();
    return Unit{};
  }

  Result<> not_kept(std::string_view what, const std::string& path) const {
    if (strict_ == Strict::No) return Unit{};
    return wrong(
        path,
        cat("has ", what, ", which cannot be enforced; leave it out, or set 'strict' to false"),
        Code::Unsupported);
  }

  Result<> count(OrderedJson& schema, const std::string& name, const std::string& path) {
    const auto found = schema.find(name);
    if (found == schema.end()) return Unit{};
    if (!found->is_number_unsigned())
      return wrong(path, cat("has a '", name, "' that is not a whole number from 0 on"));
    const auto number = found->get<uint64_t>();
    if (number > kSchemaCountMax) {
      if (name.starts_with("min"))
        return wrong(path, cat("has a '", name, "' of ", number, ", at most ", kSchemaCountMax,
                               " are taken"));
      *found = kSchemaCountMax;  // what keeps to less keeps to more
    }
    counts_ += std::min<uint64_t>(number, kSchemaCountMax);
    if (counts_ > kSchemaCountsMax)
      return wrong(path, cat("comes to lengths and counts of more than ", kSchemaCountsMax,
                             " together; ask for less"));
    return Unit{};
  }

  // The target of "#/a/b", as the converter finds it: without escapes.
  OrderedJson* find(const std::string& reference) {
    OrderedJson* at = &root_;
    for (const std::string& step : split(std::string_view(reference).substr(2), '/')) {
      if (at->is_object() && at->contains(step)) {
        at = &(*at)[step];
      } else if (at->is_array()) {
        size_t index = 0;
        const auto [end, problem] = std::from_chars(step.data(), step.data() + step.size(), index);
        if (problem != std::errc() || end != step.data() + step.size() || index >= at->size())
          return nullptr;
        at = &(*at)[index];
      } else {
        return nullptr;
      }
    }
    return at;
  }

  Result<> reference(const OrderedJson& value, const std::string& path) {
    if (!value.is_string()) return wrong(path, "has a '$ref' that is not a string");
    std::string to = value.get<std::string>();
    std::set<std::string> way;
    for (;;) {
      const std::string shown = utf8_repaired(to.substr(0, 64));
      if (to.size() > 2 * kSchemaNameMax || !to.starts_with("#/"))
        return wrong(path, cat("refers to '", shown,
                               "', but only '#/...', a place in the same "
                               "schema, can be referred to"));
      OrderedJson* const target = find(to);
      if (!target) return wrong(path, cat("refers to '", shown, "', which is not there"));
      if (!way.insert(to).second)
        return wrong(path, cat("refers to '", shown, "', which only refers to itself"));
      const bool seen = !refs_.insert(to).second;
      if (refs_.size() > kSchemaRefsMax)
        return wrong(path, cat("is one of more than ", kSchemaRefsMax, " places with a '$ref'"));
      if (!target->is_object())
        return wrong(path, cat("refers to '", shown, "', which is no schema"));
      if (target->contains("$ref")) {
        if (!(*target)["$ref"].is_string()) return wrong(path, "has a '$ref' that is not a string");
        to = (*target)["$ref"].get<std::string>();
        continue;
      }
      if (seen) return Unit{};
      return node(*target, to);
    }
  }

  OrderedJson& root_;
  const Strict strict_;
  const std::string_view param_;
  size_t nodes_ = 0;
  size_t counts_ = 0;
  std::set<std::string> refs_;
  std::set<const OrderedJson*> read_;
};

}  // namespace

Result<std::string> schema_for_grammar(std::string_view schema, Strict strict,
                                       std::string_view param) {
  const auto checked = parse_json(schema, {.depth_max = kSchemaDepthMax, .values_max = 50'000});
  if (!checked)
    return Error{Code::Invalid,
                 cat("'", param, "' has a schema that cannot be read: ", checked.error().message),
                 std::string(param)};
  auto ordered = OrderedJson::parse(schema);
  TRY(Schema(ordered, strict, param).run());
  return ordered.dump();
}

}  // namespace lares::engine
