#include "engine/schema_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "engine/regex_text.h"

namespace lares::engine {
namespace {

constexpr size_t kPathShownMax = 160;
constexpr std::array<std::string_view, 4> kCounts = {"minItems", "maxItems", "minLength",
                                                     "maxLength"};
// What the converter does not know.
constexpr std::array<std::string_view, 21> kNotKept = {"not",
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
                                                       "dependentSchemas",
                                                       "dependencies",
                                                       "unevaluatedProperties",
                                                       "unevaluatedItems",
                                                       "additionalItems",
                                                       "$dynamicRef",
                                                       "$recursiveRef"};
constexpr std::array<std::string_view, 4> kBounds = {"minimum", "maximum", "exclusiveMinimum",
                                                     "exclusiveMaximum"};
// What it overlooks beside a '$ref' or alternatives, as it does kCounts and kBounds.
constexpr std::array<std::string_view, 10> kOverlooked = {
    "properties", "required", "additionalProperties",
    "allOf",      "items",    "prefixItems",
    "enum",       "const",    "pattern",
    "format"};
// So many '$ref' are followed to see what is part of an 'allOf'.
constexpr int kRefsFollowed = 32;
using Names = std::span<const std::string_view>;
constexpr int64_t kBoundMax = 999'999'999'999'999'999;
// Further away than that from 0, the converter counts the digits of the other end below nothing.
constexpr int64_t kBoundAlone = 999'999'999'999'999;

bool is_of_type(const OrderedJson& value, std::string_view type) {
  if (type == "integer")
    return value.is_number_integer() ||
           (value.is_number() && std::floor(value.get<double>()) == value.get<double>());
  return type == "null"      ? value.is_null()
         : type == "boolean" ? value.is_boolean()
         : type == "number"  ? value.is_number()
         : type == "string"  ? value.is_string()
         : type == "array"   ? value.is_array()
                             : value.is_object();
}

using Object = OrderedJson::object_t;

const OrderedJson* find_in(const Object& object, std::string_view name) {
  const auto at = std::find_if(object.begin(), object.end(),
                               [&](const auto& entry) { return entry.first == name; });
  return at == object.end() ? nullptr : &at->second;
}

bool has_type(const Object& schema, std::string_view type) {
  const OrderedJson* const found = find_in(schema, "type");
  if (!found) return false;
  return found->is_array() ? std::find(found->begin(), found->end(), type) != found->end()
                           : *found == type;
}

bool keeps_format(const OrderedJson& format) {
  if (!format.is_string()) return true;  // the converter says what is wrong with it
  const auto& name = format.get_ref<const std::string&>();
  return name == "date" || name == "time" || name == "date-time" || name == "uuid" ||
         (name.size() == 5 && name.starts_with("uuid") && name[4] >= '1' && name[4] <= '5');
}

class Schema {
 public:
  Schema(OrderedJson& root, Strict strict, std::string_view param)
      : root_(root), strict_(strict), param_(param) {}

  Result<> run() {
    TRY(node(root_, "#"));
    rewrite_within(root_);
    return Unit{};
  }

 private:
  Error wrong(const std::string& path, std::string_view what, Code code = Code::Invalid) const {
    std::string shown = utf8_repaired(path.substr(0, kPathShownMax));
    return {code, cat("'", param_, "' has a schema that at ", shown, " ", what),
            std::string(param_)};
  }

  Result<> node(OrderedJson& schema, const std::string& path) {
    if (++nodes_ > kSchemaNodesMax)
      return wrong(path, cat("comes to more than ", kSchemaNodesMax, " parts; ask for less"));
    if (schema == true) schema = OrderedJson::object();
    if (!schema.is_object())
      return wrong(path, schema == false ? "is 'false', which allows nothing" : "is not an object");
    if (schema.contains("$ref")) {
      TRY(beside(schema, "'$ref'", path));
      return reference(schema["$ref"], path);
    }
    // a place may be come to on several ways, and a pattern is written anew once
    if (read_.insert(schema.get_ptr<Object*>()).second) TRY(keywords(schema, path));
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
        } else if (*items != false || !schema.contains("prefixItems")) {
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
    TRY(in_order(schema, "minItems", "maxItems", path));
    TRY(in_order(schema, "minLength", "maxLength", path));
    TRY(bounds(*schema.get_ptr<Object*>(), path));
    TRY(values(schema, path));
    TRY(all_of(schema, path));
    TRY(required(schema, path));
    TRY(tuple(schema, path));
    for (const char* list : {"oneOf", "anyOf"}) {
      if (schema.contains(list)) TRY(beside(schema, cat("'", list, "'"), path));
    }
    if (const auto format = schema.find("format"); format != schema.end() && !keeps_format(*format))
      TRY(not_kept(
          cat("the 'format' '", utf8_repaired(format->get<std::string>().substr(0, 40)), "'"),
          path));
    for (const auto name : kNotKept) {
      if (schema.contains(name)) TRY(not_kept(cat("'", name, "'"), path));
    }
    if (const auto values = schema.find("enum"); values != schema.end() && values->is_array())
      nodes_ += values->size();
    return Unit{};
  }

  Result<> beside(const OrderedJson& schema, std::string_view what, const std::string& path) const {
    for (const Names names : {Names(kOverlooked), Names(kCounts), Names(kBounds)}) {
      for (const auto name : names) {
        if (schema.contains(name)) TRY(not_kept(cat("'", name, "' beside ", what), path));
      }
    }
    return Unit{};
  }

  Result<> in_order(const OrderedJson& schema, const char* least, const char* most,
                    const std::string& path) const {
    if (!schema.contains(least) || !schema.contains(most)) return Unit{};
    const auto from = schema[least].get<uint64_t>(), to = schema[most].get<uint64_t>();
    if (from <= to) return Unit{};
    return wrong(path, cat("has a '", least, "' of ", from, " above its '", most, "' of ", to,
                           ", so nothing is allowed"));
  }

  struct Ends {  // of whole numbers, both included
    std::optional<int64_t> least, most;
  };
  Result<Ends> bounds(const Object& schema, const std::string& path) const {
    Ends ends;
    auto& [least, most] = ends;
    if (!has_type(schema, "integer") || has_type(schema, "number")) {
      const std::string_view of =
          has_type(schema, "number") ? "of a number" : "without the type 'integer'";
      for (const auto name : kBounds) {
        if (find_in(schema, name)) TRY(not_kept(cat("'", name, "' ", of), path));
      }
      return ends;
    }
    for (const auto name : kBounds) {
      const OrderedJson* const at = find_in(schema, name);
      if (!at) continue;
      const OrderedJson& found = *at;
      if (!found.is_number()) return wrong(path, cat("has a '", name, "' that is not a number"));
      const auto given = found.get<double>();
      if (!(std::abs(given) < static_cast<double>(kBoundMax)))
        return wrong(path,
                     cat("has a '", name, "' of ", found.dump(), ", at most 18 digits are taken"));
      const bool lower = name == "minimum" || name == "exclusiveMinimum";
      const bool whole = found.is_number_integer();
      int64_t bound = whole ? found.get<int64_t>()
                            : static_cast<int64_t>(lower ? std::ceil(given) : std::floor(given));
      const bool itself = whole || static_cast<double>(bound) == given;
      if (name.starts_with("exclusive") && itself) bound += lower ? 1 : -1;
      if (lower) {
        least = std::max(bound, least.value_or(bound));
      } else {
        most = std::min(bound, most.value_or(bound));
      }
    }
    if (least && most && *least > *most)
      return wrong(
          path, cat("allows no whole number: none is at least ", *least, " and at most ", *most));
    if (least && !most && *least > kBoundAlone) most = kBoundMax;
    if (most && !least && *most < -kBoundAlone) least = -kBoundMax;
    return ends;
  }

  // Those of 'enum' and 'const' that are of another type than its 'type' are none.
  Result<> values(const OrderedJson& schema, const std::string& path) const {
    const auto type = schema.find("type");
    if (type == schema.end()) return Unit{};
    const auto fits = [&](const OrderedJson& value) {
      if (type->is_string()) return is_of_type(value, type->get_ref<const std::string&>());
      return !type->is_array() || std::any_of(type->begin(), type->end(), [&](const auto& each) {
        return !each.is_string() || is_of_type(value, each.template get_ref<const std::string&>());
      });
    };
    if (const auto only = schema.find("const"); only != schema.end() && !fits(*only))
      return wrong(path, "has a 'const' that is not of its 'type', so nothing is allowed");
    const auto list = schema.find("enum");
    if (list == schema.end() || !list->is_array() || list->empty()) return Unit{};
    const auto fitting = std::count_if(list->begin(), list->end(), fits);
    if (fitting == 0)
      return wrong(path, "has an 'enum' with nothing of its 'type', so nothing is allowed");
    if (static_cast<size_t>(fitting) < list->size())
      return not_kept("an 'enum' with values that are not of its 'type'", path);
    return Unit{};
  }

  // The converter makes one object of them, whatever they are.
  Result<> all_of(const OrderedJson& schema, const std::string& path) {
    const auto list = schema.find("allOf");
    if (list == schema.end() || !list->is_array()) return Unit{};
    if (schema.contains("properties")) return not_kept("'allOf' beside 'properties'", path);
    if (list->size() == 1) return Unit{};  // rewrite()
    for (size_t i = 0; i < list->size(); i++) {
      if (!joins(&(*list)[i]))
        return wrong(cat(path, "/allOf/", i),
                     "is part of an 'allOf' and no object with 'properties', so it cannot be "
                     "enforced; write the 'allOf' as one schema",
                     Code::Unsupported);
    }
    return Unit{};
  }
  bool joins(const OrderedJson* schema) {
    for (int step = 0;
         step < kRefsFollowed && schema && schema->is_object() && schema->contains("$ref");
         step++) {
      const auto& to = (*schema)["$ref"];
      if (!to.is_string() || !to.get_ref<const std::string&>().starts_with("#/")) return true;
      schema = find(to.get<std::string>());  // reference() says what is wrong with it
    }
    if (!schema || !schema->is_object()) return true;
    for (const char* list : {"anyOf", "oneOf"}) {
      const auto found = schema->find(list);
      if (found == schema->end() || !found->is_array()) continue;
      return std::all_of(found->begin(), found->end(), [&](const OrderedJson& each) {
        return each.is_object() && (each.contains("properties") || each.contains("$ref"));
      });
    }
    return schema->contains("properties") || schema->contains("enum");
  }

  // Names that are required and have no property: the converter would leave them out.
  static std::vector<std::string> without_property(const Object& schema) {
    std::vector<std::string> missing;
    const OrderedJson* const names = find_in(schema, "required");
    const OrderedJson* const given = find_in(schema, "properties");
    if (!names || !names->is_array() || (!given && !has_type(schema, "object"))) return missing;
    for (const char* other : {"anyOf", "oneOf", "allOf"}) {
      if (find_in(schema, other)) return missing;
    }
    if (given && !given->is_object()) return missing;  // properties() says so
    for (const auto& name : *names) {
      if (!name.is_string()) continue;
      const auto& text = name.get_ref<const std::string&>();
      const bool twice = std::find(missing.begin(), missing.end(), text) != missing.end();
      if (!twice && (!given || !given->contains(text))) missing.push_back(text);
    }
    return missing;
  }
  Result<> required(const OrderedJson& schema, const std::string& path) const {
    const auto missing = without_property(*schema.get_ptr<const Object*>());
    if (missing.empty()) return Unit{};
    const auto rest = schema.find("additionalProperties");
    if (rest != schema.end() && *rest == false)
      return wrong(path, cat("requires '", utf8_repaired(missing.front().substr(0, 40)),
                             "', which is none of its 'properties', and takes no others"));
    const auto given = schema.find("properties");
    const size_t all = missing.size() + (given == schema.end() ? 0 : given->size());
    if (all > kSchemaPropertiesMax)
      return wrong(path,
                   cat("has ", all, " properties, at most ", kSchemaPropertiesMax, " are taken"));
    for (const std::string& name : missing) {
      if (name.size() > kSchemaNameMax)
        return wrong(path, cat("requires a name of ", name.size(), " bytes, at most ",
                               kSchemaNameMax, " are taken"));
    }
    return Unit{};
  }

  // All that was read. After that, and what lies within before what it lies in: writing moves and
  // copies what lies within, and a '$ref' may lead from there to here.
  void rewrite_within(OrderedJson& value) const {
    for (auto& inner : value) {
      if (inner.is_structured()) rewrite_within(inner);
    }
    auto* const object = value.get_ptr<Object*>();
    if (object && read_.contains(object)) rewrite(*object);
  }

  // As the converter keeps it: both ends of whole numbers included, and none alone that is far
  // away; one part of 'allOf' as it is; each name that is required with a property.
  void rewrite(Object& schema) const {
    if (const auto ends = bounds(schema, ""); ends && (ends->least || ends->most)) {
      for (const auto name : kBounds) schema.erase(std::string(name));
      if (ends->least) schema["minimum"] = *ends->least;
      if (ends->most) schema["maximum"] = *ends->most;
    }
    for (const std::string& name : without_property(schema)) {
      const OrderedJson* const rest = find_in(schema, "additionalProperties");
      OrderedJson any = rest && rest->is_object() ? *rest : OrderedJson::object();
      if (!rest && !find_in(schema, "properties")) schema["additionalProperties"] = true;
      schema["properties"][name] = std::move(any);
    }
    const OrderedJson* const items = find_in(schema, "items");
    if (items && *items == false && find_in(schema, "prefixItems"))
      schema.erase(std::string("items"));
    const OrderedJson* const all = find_in(schema, "allOf");
    if (!all || !all->is_array() || all->size() != 1) return;
    for (const char* other : {"anyOf", "oneOf", "properties"}) {
      if (find_in(schema, other)) return;
    }
    OrderedJson one = *all;  // and 'allOf' stays, since a '$ref' may lead into it
    schema["anyOf"] = std::move(one);
  }

  // A list of parts is always as long as it is.
  Result<> tuple(const OrderedJson& schema, const std::string& path) const {
    auto parts = schema.find("prefixItems");
    const auto items = schema.find("items");
    if (parts != schema.end() && items != schema.end() && *items != false)
      return not_kept("'prefixItems' beside 'items'", path);
    if (parts == schema.end() && items != schema.end() && items->is_array()) parts = items;
    if (parts == schema.end() || !parts->is_array()) return Unit{};
    for (const char* name : {"minItems", "maxItems"}) {
      if (schema.contains(name) && schema[name].get<uint64_t>() != parts->size())
        return not_kept(cat("a '", name, "' of another number than its parts"), path);
    }
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
  std::set<const Object*> read_;
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
