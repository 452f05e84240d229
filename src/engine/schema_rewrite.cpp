#include "engine/schema_rewrite.h"

#include <algorithm>
#include <utility>

#include "engine/schema_keywords.h"

namespace lares::engine::schema {
namespace {

// Alternatives that say nothing of what is written ({"required": ["a"]}), which the converter would
// keep to in place of the properties beside them.
bool says_nothing(const OrderedJson& list) {
  return list.is_array() && std::all_of(list.begin(), list.end(), [](const OrderedJson& each) {
           if (!each.is_object()) return false;
           for (const char* word : {"$ref", "type", "properties", "items", "prefixItems", "enum",
                                    "const", "anyOf", "oneOf", "allOf", "pattern", "format"}) {
             if (each.contains(word)) return false;
           }
           return true;
         });
}

}  // namespace

void rewrite(Object& schema, const Report& report) {
  if (const auto ends = bounds(schema, "", report); ends && (ends->least || ends->most)) {
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
  for (const char* list : {"anyOf", "oneOf"}) {
    const OrderedJson* const found = find_in(schema, list);
    if (found && find_in(schema, "properties") && says_nothing(*found))
      schema.erase(std::string(list));
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

}  // namespace lares::engine::schema
