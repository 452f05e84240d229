#include "engine/schema_keywords.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <vector>

#include "base/text.h"
#include "wire/structured_limits.h"

namespace lares::engine::schema {
namespace {

constexpr int64_t kBoundMax = 999'999'999'999'999'999;
// Further away than that from 0, the converter counts the digits of the other end below nothing.
constexpr int64_t kBoundAlone = 999'999'999'999'999;

}  // namespace

Result<Ends> bounds(const Object& schema, const std::string& path, const Report& report) {
  Ends ends;
  auto& [least, most] = ends;
  if (!has_type(schema, "integer") || has_type(schema, "number")) {
    const std::string_view of =
        has_type(schema, "number") ? "of a number" : "without the type 'integer'";
    for (const auto name : kBounds) {
      if (find_in(schema, name)) TRY(report.not_kept(cat("'", name, "' ", of), path));
    }
    return ends;
  }
  for (const auto name : kBounds) {
    const OrderedJson* const at = find_in(schema, name);
    if (!at) continue;
    const OrderedJson& found = *at;
    if (!found.is_number())
      return report.wrong(path, cat("has a '", name, "' that is not a number"));
    const auto given = found.get<double>();
    if (!(std::abs(given) < static_cast<double>(kBoundMax)))
      return report.wrong(
          path, cat("has a '", name, "' of ", found.dump(), ", at most 18 digits are taken"));
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
    return report.wrong(
        path, cat("allows no whole number: none is at least ", *least, " and at most ", *most));
  if (least && !most && *least > kBoundAlone) most = kBoundMax;
  if (most && !least && *most < -kBoundAlone) least = -kBoundMax;
  return ends;
}

Result<> in_order(const OrderedJson& schema, const char* least, const char* most,
                  const std::string& path, const Report& report) {
  if (!schema.contains(least) || !schema.contains(most)) return Unit{};
  const auto from = schema[least].get<uint64_t>(), to = schema[most].get<uint64_t>();
  if (from <= to) return Unit{};
  return report.wrong(path, cat("has a '", least, "' of ", from, " above its '", most, "' of ", to,
                                ", so nothing is allowed"));
}

Result<> values(const OrderedJson& schema, const std::string& path, const Report& report) {
  if (schema.contains("enum") && schema.contains("const") && schema["enum"].is_array() &&
      std::find(schema["enum"].begin(), schema["enum"].end(), schema["const"]) ==
          schema["enum"].end())
    return report.wrong(path, "has a 'const' that is not in its 'enum', so nothing is allowed");
  const auto type = schema.find("type");
  if (type == schema.end()) return Unit{};
  const auto fits = [&](const OrderedJson& value) {
    if (type->is_string()) return is_of_type(value, type->get_ref<const std::string&>());
    return !type->is_array() || std::any_of(type->begin(), type->end(), [&](const auto& each) {
      return !each.is_string() || is_of_type(value, each.template get_ref<const std::string&>());
    });
  };
  if (const auto only = schema.find("const"); only != schema.end() && !fits(*only))
    return report.wrong(path, "has a 'const' that is not of its 'type', so nothing is allowed");
  const auto list = schema.find("enum");
  if (list == schema.end() || !list->is_array() || list->empty()) return Unit{};
  const auto fitting = std::count_if(list->begin(), list->end(), fits);
  if (fitting == 0)
    return report.wrong(path, "has an 'enum' with nothing of its 'type', so nothing is allowed");
  if (static_cast<size_t>(fitting) < list->size())
    return report.not_kept("an 'enum' with values that are not of its 'type'", path);
  return Unit{};
}

Result<> format(const OrderedJson& schema, const std::string& path, const Report& report) {
  const auto format = schema.find("format");
  if (format == schema.end()) return Unit{};
  if (!keeps_format(*format))
    return report.not_kept(
        cat("the 'format' '", utf8_repaired(format->get<std::string>().substr(0, 40)), "'"), path);
  for (const char* other : {"pattern", "minLength", "maxLength"}) {
    if (schema.contains(other))
      TRY(report.not_kept(cat("a 'format' together with '", other, "'"), path));
  }
  return Unit{};
}

Result<> tuple(const OrderedJson& schema, const std::string& path, const Report& report) {
  auto parts = schema.find("prefixItems");
  const auto items = schema.find("items");
  if (parts != schema.end() && items != schema.end() && *items != false)
    return report.not_kept("'prefixItems' beside 'items'", path);
  if (parts == schema.end() && items != schema.end() && items->is_array()) parts = items;
  if (parts == schema.end() || !parts->is_array()) return Unit{};
  for (const char* name : {"minItems", "maxItems"}) {
    if (schema.contains(name) && schema[name].get<uint64_t>() != parts->size())
      return report.not_kept(cat("a '", name, "' of another number than its parts"), path);
  }
  return Unit{};
}

namespace {

// Whether one value may meet two alternatives, as far as their types and listed values tell. Of
// objects and arrays it is not told: a property with a value of its own tells them apart.
class Overlap {
 public:
  bool with(const OrderedJson& schema) {
    if (!schema.is_object() || schema.contains("$ref")) return false;
    if (const auto one = schema.find("const"); one != schema.end()) return lists({&*one, 1});
    if (const auto list = schema.find("enum"); list != schema.end() && list->is_array())
      return lists(list->get_ref<const OrderedJson::array_t&>());
    const auto type = schema.find("type");
    const unsigned types = type == schema.end() ? 0 : types_given(*type) & kScalars;
    const bool met = (types & (types_ | types_of_values_)) != 0;
    types_ |= types;
    return met;
  }

 private:
  bool lists(std::span<const OrderedJson> values) {
    unsigned types = 0;
    std::set<std::string> own;  // twice in one list is once
    for (const OrderedJson& value : values) {
      if (value.is_structured()) continue;
      types |= types_of_value(value);
      own.insert(value.dump());
    }
    bool met = (types & types_) != 0;
    types_of_values_ |= types;
    for (const std::string& text : own) met = !values_.insert(text).second || met;
    return met;
  }

  const unsigned kScalars = kAnyType & ~(types_named("object") | types_named("array"));
  unsigned types_ = 0;            // of those before that list no values
  unsigned types_of_values_ = 0;  // of what the others list
  std::set<std::string> values_;
};

}  // namespace

Result<> one_of(const OrderedJson& schema, const std::string& path, const Report& report) {
  const auto list = schema.find("oneOf");
  if (list == schema.end() || !list->is_array()) return Unit{};
  std::set<std::string> known;
  for (size_t i = 0; i < list->size(); i++) {
    if (!known.insert(dump(Json((*list)[i]))).second)
      return report.wrong(
          cat(path, "/oneOf/", i),
          "is the same as another alternative, and of a 'oneOf' only one may be met, so "
          "neither ever is; leave one of them out");
  }
  if (report.strict == Strict::No) return Unit{};
  Overlap overlap;
  for (const OrderedJson& each : *list) {
    if (overlap.with(each))
      return report.not_kept("a 'oneOf' of which one value may meet two alternatives", path);
  }
  return Unit{};
}

Result<> required_names(const OrderedJson& schema, const std::string& path, const Report& report) {
  const auto required = schema.find("required");
  if (required == schema.end()) return Unit{};
  const bool texts =
      required->is_array() && std::all_of(required->begin(), required->end(),
                                          [](const auto& name) { return name.is_string(); });
  if (!texts) return report.wrong(path, "has a 'required' that is not a list of names");
  for (const char* none : {"", "*"}) {
    if (std::find(required->begin(), required->end(), none) != required->end())
      return report.wrong(path, cat("requires '", none, "', which no property can be named here"));
  }
  return Unit{};
}

Result<> required(const OrderedJson& schema, const std::string& path, const Report& report) {
  const auto missing = without_property(*schema.get_ptr<const Object*>());
  if (missing.empty()) return Unit{};
  const auto rest = schema.find("additionalProperties");
  if (rest != schema.end() && *rest == false)
    return report.wrong(path, cat("requires '", utf8_repaired(missing.front().substr(0, 40)),
                                  "', which is none of its 'properties', and takes no others"));
  const auto given = schema.find("properties");
  const size_t all = missing.size() + (given == schema.end() ? 0 : given->size());
  if (all > wire::kSchemaPropertiesMax)
    return report.wrong(
        path, cat("has ", all, " properties, at most ", wire::kSchemaPropertiesMax, " are taken"));
  for (const std::string& name : missing) {
    if (name.size() > wire::kSchemaNameMax)
      return report.wrong(path, cat("requires a name of ", name.size(), " bytes, at most ",
                                    wire::kSchemaNameMax, " are taken"));
  }
  return Unit{};
}

std::vector<std::string> without_property(const Object& schema) {
  std::vector<std::string> missing;
  const OrderedJson* const names = find_in(schema, "required");
  const OrderedJson* const given = find_in(schema, "properties");
  if (!names || !names->is_array() || (!given && !has_type(schema, "object"))) return missing;
  for (const char* other : {"anyOf", "oneOf", "allOf"}) {
    if (find_in(schema, other)) return missing;
  }
  if (given && !given->is_object()) return missing;  // the walk says so
  for (const auto& name : *names) {
    if (!name.is_string()) continue;
    const auto& text = name.get_ref<const std::string&>();
    const bool twice = std::find(missing.begin(), missing.end(), text) != missing.end();
    if (!twice && (!given || !given->contains(text))) missing.push_back(text);
  }
  return missing;
}

Result<> untyped(const OrderedJson& schema, const std::string& path, const Report& report) {
  for (const char* name : {"type", "properties", "additionalProperties", "items", "prefixItems",
                           "pattern", "minLength", "maxLength", "format"}) {
    const auto found = schema.find(name);
    if (found != schema.end() &&
        (name != std::string_view("additionalProperties") || *found != true))
      return Unit{};
  }
  for (const char* name : {"required", "minItems", "maxItems"}) {
    if (schema.contains(name)) TRY(report.not_kept(cat("'", name, "' without a 'type'"), path));
  }
  return Unit{};
}

Result<> unknown(const OrderedJson& schema, const std::string& path, const Report& report) {
  for (const auto name : kNotKept) {
    if (schema.contains(name)) TRY(report.not_kept(cat("'", name, "'"), path));
  }
  return Unit{};
}

}  // namespace lares::engine::schema
