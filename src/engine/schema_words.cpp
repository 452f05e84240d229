#include "engine/schema_words.h"

#include <algorithm>
#include <cmath>

namespace lares::engine::schema {

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

bool say_nothing(const OrderedJson& alternatives) {
  constexpr std::array<std::string_view, 12> kSays = {
      "$ref",  "type",  "properties", "items",   "enum",   "const",
      "anyOf", "oneOf", "allOf",      "pattern", "format", "prefixItems"};
  return alternatives.is_array() &&
         std::all_of(alternatives.begin(), alternatives.end(), [&](const OrderedJson& each) {
           return each.is_object() &&
                  std::none_of(kSays.begin(), kSays.end(),
                               [&](const auto word) { return each.contains(word); });
         });
}

size_t times_written(const OrderedJson& schema) {
  const auto type = schema.find("type");
  return type != schema.end() && type->is_array() ? std::max<size_t>(1, type->size()) : 1;
}

std::string rule_of(std::string_view name) {
  std::string rule;
  for (const char c : name) {
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

}  // namespace lares::engine::schema
