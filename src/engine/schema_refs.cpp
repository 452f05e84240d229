#include "engine/schema_refs.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "base/text.h"
#include "engine/schema_words.h"

namespace lares::engine::schema {
namespace {

// So deep, and at so many parts in all, is looked to see what types are allowed; beyond that it is
// any.
constexpr int kTypesDeep = 64;
constexpr size_t kTypesLookedAt = 20'000;
// So many '$ref' are followed to see what is part of an 'allOf'.
constexpr int kRefsFollowed = 32;

}  // namespace

OrderedJson* Refs::find(const std::string& reference) const {
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

const OrderedJson* Refs::followed(const OrderedJson* schema) const {
  for (int step = 0;
       step < kRefsFollowed && schema && schema->is_object() && schema->contains("$ref"); step++) {
    const auto& to = (*schema)["$ref"];
    if (!to.is_string() || !to.get_ref<const std::string&>().starts_with("#/")) return nullptr;
    schema = find(to.get<std::string>());  // the walk says what is wrong with it
  }
  return schema;
}

unsigned Refs::types_beside(const OrderedJson& schema, int depth) const {
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

unsigned Refs::types_of(const OrderedJson* schema, int depth) const {
  if (depth > kTypesDeep || ++looked_at_ > kTypesLookedAt || !schema || !schema->is_object())
    return kAnyType;
  const bool instead =
      schema->contains("$ref") || std::any_of(kInstead.begin(), kInstead.end(),
                                              [&](auto name) { return schema->contains(name); });
  if (instead) return types_beside(*schema, depth);
  if (const auto type = schema->find("type"); type != schema->end()) return types_given(*type);
  return schema->contains("properties") ? types_named("object") : kAnyType;
}

}  // namespace lares::engine::schema
