#include "engine/schema_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
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
// What it overlooks beside a '$ref', alternatives, an 'allOf' or values, as it does kCounts and
// kBounds.
constexpr std::array<std::string_view, 12> kOverlooked = {
    "anyOf",   "oneOf", "properties",  "required", "additionalProperties",
    "allOf",   "items", "prefixItems", "enum",     "const",
    "pattern", "format"};
// The first of these that is there is the one that it keeps to.
constexpr std::array<std::string_view, 5> kInstead = {"oneOf", "anyOf", "const", "enum", "allOf"};
constexpr std::array<std::string_view, 7> kTypes = {"null",   "boolean", "integer", "number",
                                                    "string", "array",   "object"};
constexpr unsigned kAnyType = (1U << kTypes.size()) - 1;
// So deep, and at so many parts in all, is looked to see what types are allowed; beyond that it is
// any.
constexpr int kTypesDeep = 64;
constexpr size_t kTypesLookedAt = 20'000;
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

// Sets of types, one bit for each of kTypes.
unsigned types_named(std::string_view name) {
  unsigned set = 0;
  for (size_t i = 0; i < kTypes.size(); i++) {
    if (kTypes[i] == name || (name == "number" && kTypes[i] == "integer")) set |= 1U << i;
  }
  return set == 0 ? kAnyType : set;
}
unsigned types_of_value(const OrderedJson& value) {
  for (const auto name : kTypes) {
    if (is_of_type(value, name)) return types_named(name);
  }
  return kAnyType;
}
unsigned types_given(const OrderedJson& type) {
  if (type.is_string()) return types_named(type.get_ref<const std::string&>());
  unsigned set = 0;
  for (const auto& each : type) set |= each.is_string() ? types_given(each) : kAnyType;
  return type.is_array() ? set : kAnyType;
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

// The rule that the converter makes of a '$ref': all that is no letter or digit is lost.
std::string rule_of(std::string_view reference) {
  std::string rule;
  for (const char c : reference) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || c == '-') {
      rule += c;
    } else if (rule.empty() || rule.back() != '\0') {
      rule += '\0';
    }
  }
  std::replace(rule.begin(), rule.end(), '\0', '-');
  return rule;
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

  std::set<std::string> patterns() && { return std::move(patterns_); }

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
    TRY(required_names(schema, path));
    if (schema.contains("$ref")) {
      TRY(reference(schema["$ref"], path));
      TRY(beside(schema, "$ref", path));
      return unknown(schema, path);
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
      if (name.empty() || name == "*")  // it takes them for the root and for all others
        return wrong(path, cat("has a property named '", name, "', which no property can be here"));
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
      patterns_.insert(*written);
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
    TRY(one_of(schema, path));
    TRY(format(schema, path));
    TRY(unknown(schema, path));
    const auto kept = std::find_if(kInstead.begin(), kInstead.end(),
                                   [&](const auto name) { return schema.contains(name); });
    TRY(kept != kInstead.end() ? beside(schema, *kept, path) : untyped(schema, path));
    if (const auto values = schema.find("enum"); values != schema.end() && values->is_array())
      nodes_ += values->size();
    return Unit{};
  }

  Result<> unknown(const OrderedJson& schema, const std::string& path) const {
    for (const auto name : kNotKept) {
      if (schema.contains(name)) TRY(not_kept(cat("'", name, "'"), path));
    }
    return Unit{};
  }

  Result<> format(const OrderedJson& schema, const std::string& path) const {
    const auto format = schema.find("format");
    if (format == schema.end()) return Unit{};
    if (!keeps_format(*format))
      return not_kept(
          cat("the 'format' '", utf8_repaired(format->get<std::string>().substr(0, 40)), "'"),
          path);
    for (const char* other : {"pattern", "minLength", "maxLength"}) {
      if (schema.contains(other))
        TRY(not_kept(cat("a 'format' together with '", other, "'"), path));
    }
    return Unit{};
  }

  // What stands beside `kept`, to which alone the converter keeps.
  Result<> beside(const OrderedJson& schema, std::string_view kept, const std::string& path) {
    const bool value = kept == "const" || kept == "enum";
    for (const Names names : {Names(kOverlooked), Names(kCounts), Names(kBounds)}) {
      for (const auto name : names) {
        const bool held = name == kept || (value && name == "enum");  // values() sees to it
        if (!held && schema.contains(name))
          TRY(not_kept(cat("'", name, "' beside '", kept, "'"), path));
      }
    }
    const auto type = schema.find("type");
    if (value || type == schema.end()) return Unit{};
    if (strict_ == Strict::No || (types_beside(schema) & ~types_given(*type)) == 0) return Unit{};
    return not_kept(cat("'type' beside '", kept, "'"), path);
  }

  // The types that the converter lets be written for what is in kInstead or a '$ref'.
  unsigned types_beside(const OrderedJson& schema, int depth = 0) {
    if (const auto to = schema.find("$ref"); to != schema.end()) {
      const bool here = to->is_string() && to->get_ref<const std::string&>().starts_with("#/");
      return here ? types_of(find(to->get<std::string>()), depth + 1) : kAnyType;
    }
    for (const auto name : kInstead) {
      const auto found = schema.find(name);
      if (found == schema.end()) continue;
      if (name == "const") return types_of_value(*found);
      unsigned set = 0;
      for (const auto& each : *found) {
        if (set == kAnyType) break;
        set |= name == "enum" ? types_of_value(each) : types_of(&each, depth + 1);
      }
      return set;
    }
    return kAnyType;
  }
  unsigned types_of(const OrderedJson* schema, int depth) {
    if (depth > kTypesDeep || ++looked_at_ > kTypesLookedAt || !schema || !schema->is_object())
      return kAnyType;
    const bool instead =
        schema->contains("$ref") || std::any_of(kInstead.begin(), kInstead.end(),
                                                [&](auto name) { return schema->contains(name); });
    if (instead) return types_beside(*schema, depth);
    if (const auto type = schema->find("type"); type != schema->end()) return types_given(*type);
    return schema->contains("properties") ? types_named("object") : kAnyType;
  }

  // Without a type and what tells it, the converter takes anything.
  Result<> untyped(const OrderedJson& schema, const std::string& path) const {
    for (const char* name : {"type", "properties", "additionalProperties", "items", "prefixItems",
                             "pattern", "minLength", "maxLength", "format"}) {
      const auto found = schema.find(name);
      if (found != schema.end() &&
          (name != std::string_view("additionalProperties") || *found != true))
        return Unit{};
    }
    for (const char* name : {"required", "minItems", "maxItems"}) {
      if (schema.contains(name)) TRY(not_kept(cat("'", name, "' without a 'type'"), path));
    }
    return Unit{};
  }

  // Each alternative that is there twice is met twice or not at all.
  Result<> one_of(const OrderedJson& schema, const std::string& path) const {
    const auto list = schema.find("oneOf");
    if (list == schema.end() || !list->is_array()) return Unit{};
    std::set<std::string> known;
    for (size_t i = 0; i < list->size(); i++) {
      if (!known.insert(dump(Json((*list)[i]))).second)
        return wrong(cat(path, "/oneOf/", i),
                     "is the same as another alternative, and of a 'oneOf' only one may be met, so "
                     "neither ever is; leave one of them out");
    }
    return Unit{};
  }

  Result<> required_names(const OrderedJson& schema, const std::string& path) const {
    const auto required = schema.find("required");
    if (required == schema.end()) return Unit{};
    const bool texts =
        required->is_array() && std::all_of(required->begin(), required->end(),
                                            [](const auto& name) { return name.is_string(); });
    if (!texts) return wrong(path, "has a 'required' that is not a list of names");
    for (const char* none : {"", "*"}) {
      if (std::find(required->begin(), required->end(), none) != required->end())
        return wrong(path, cat("requires '", none, "', which no property can be named here"));
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
    if (schema.contains("enum") && schema.contains("const") && schema["enum"].is_array() &&
        std::find(schema["enum"].begin(), schema["enum"].end(), schema["const"]) ==
            schema["enum"].end())
      return wrong(path, "has a 'const' that is not in its 'enum', so nothing is allowed");
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
    if (list->size() <= 1) return Unit{};  // rewrite()
    for (size_t i = 0; i < list->size(); i++) {
      if (!joins(&(*list)[i]))
        return wrong(cat(path, "/allOf/", i),
                     "is part of an 'allOf' and no object with 'properties', so it cannot be "
                     "enforced; write the 'allOf' as one schema",
                     Code::Unsupported);
    }
    return parts(*list, path);
  }

  // Of a list of at least two, that the one object has each property once and no more than each of
  // them takes.
  Result<> parts(const OrderedJson& list, const std::string& path) {
    std::map<std::string, size_t> owner;  // of each property, the part that it was found in
    std::vector<const OrderedJson*> all;
    for (size_t i = 0; i < list.size(); i++) {
      const OrderedJson* const part = followed(&list[i]);
      if (!part || !part->is_object()) return Unit{};  // node() says so
      for (const char* other : {"anyOf", "oneOf", "enum"}) {
        if (part->contains(other)) TRY(not_kept(cat("'", other, "' within an 'allOf'"), path));
      }
      if (const auto type = part->find("type"); type != part->end() && *type != "object")
        TRY(not_kept("a part of 'allOf' with another 'type' than 'object'", path));
      all.push_back(part);
      // rewrite() gives a property to what is required without one
      std::vector<std::string> own = without_property(*part->get_ptr<const Object*>());
      if (const auto given = part->find("properties"); given != part->end() && given->is_object()) {
        for (const auto& entry : given->items()) own.push_back(entry.key());
      }
      for (const std::string& name : own) {
        if (!owner.emplace(name, i).second)
          TRY(not_kept(cat("an 'allOf' with '", utf8_repaired(name.substr(0, 40)),
                           "' in more than one of its parts"),
                       path));
      }
    }
    for (const OrderedJson* part : all) TRY(takes_others(*part, owner, all, path));
    return Unit{};
  }
  Result<> takes_others(const OrderedJson& part, const std::map<std::string, size_t>& owner,
                        const std::vector<const OrderedJson*>& all, const std::string& path) const {
    const auto rest = part.find("additionalProperties");
    const auto own = part.find("properties");
    if (rest == part.end() || *rest == true || *rest == OrderedJson::object()) return Unit{};
    for (const auto& [name, at] : owner) {
      if (own != part.end() && own->contains(name)) continue;
      const std::string shown = utf8_repaired(name.substr(0, 40));
      const auto required = all[at]->find("required");
      if (*rest == false && required != all[at]->end() &&
          std::find(required->begin(), required->end(), name) != required->end())
        return wrong(path, cat("has an 'allOf' of which one part requires '", shown,
                               "' and another takes none but its own, so nothing is allowed"));
      TRY(not_kept(cat("an 'allOf' of which one part has '", shown,
                       "' and another an 'additionalProperties' that is about it"),
                   path));
    }
    return Unit{};
  }

  const OrderedJson* followed(const OrderedJson* schema) {
    for (int step = 0;
         step < kRefsFollowed && schema && schema->is_object() && schema->contains("$ref");
         step++) {
      const auto& to = (*schema)["$ref"];
      if (!to.is_string() || !to.get_ref<const std::string&>().starts_with("#/")) return nullptr;
      schema = find(to.get<std::string>());  // reference() says what is wrong with it
    }
    return schema;
  }
  bool joins(const OrderedJson* part) {
    const OrderedJson* const schema = followed(part);
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

  // The target of "#/a/b", as the converter finds it, which knows no escapes.
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
      if (to == "#")
        return wrong(path,
                     "refers to '#', the whole schema, which is not done here; put it into '$defs' "
                     "and refer to it there");
      if (to.size() > 2 * kSchemaNameMax || !to.starts_with("#/"))
        return wrong(path, cat("refers to '", shown,
                               "', but only '#/...', a place in the same "
                               "schema, can be referred to"));
      OrderedJson* const target = find(to);
      if (!target && to.find_first_of("~%") != std::string::npos)
        return wrong(path, cat("refers to '", shown,
                               "', but escapes ('~0', '~1', '%20') are not read in a '$ref'; give "
                               "what it refers to a name without '/', '~' and '%'"));
      if (!target) return wrong(path, cat("refers to '", shown, "', which is not there"));
      if (const auto [known, fresh] = rules_.emplace(rule_of(to), to);
          !fresh && known->second != to)
        return wrong(path,
                     cat("refers to '", shown, "' and another place to '",
                         utf8_repaired(known->second.substr(0, 64)),
                         "', which differ in no letter or digit; give one of them another name"));
      if (!way.insert(to).second)
        return wrong(path, cat("refers to '", shown, "', which only refers to itself"));
      const bool seen = !refs_.insert(to).second;
      if (refs_.size() > kSchemaRefsMax)
        return wrong(path, cat("is one of more than ", kSchemaRefsMax, " places with a '$ref'"));
      if (!target->is_object())
        return wrong(path, cat("refers to '", shown, "', which is no schema"));
      if (target->contains("$ref")) {
        TRY(beside(*target, "$ref", to));
        TRY(unknown(*target, to));
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
  size_t looked_at_ = 0;
  std::set<std::string> patterns_;
  std::set<std::string> refs_;
  std::map<std::string, std::string> rules_;
  std::set<const Object*> read_;
};

}  // namespace

Result<std::string> schema_for_grammar(std::string_view schema, Strict strict,
                                       std::string_view param, std::set<std::string>* patterns) {
  const auto checked = parse_json(schema, {.depth_max = kSchemaDepthMax, .values_max = 50'000});
  if (!checked)
    return Error{Code::Invalid,
                 cat("'", param, "' has a schema that cannot be read: ", checked.error().message),
                 std::string(param)};
  auto ordered = OrderedJson::parse(schema);
  Schema read(ordered, strict, param);
  TRY(read.run());
  if (patterns) *patterns = std::move(read).patterns();
  return ordered.dump();
}

}  // namespace lares::engine
