#include "engine/schema_rewrite.h"

#include <utility>

#include "engine/schema_keywords.h"

namespace lares::engine::schema {

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
