// Words of JSON Schema: what the engine's converter (llama-common's json-schema-to-grammar) keeps
// of them, and what types, formats and values are. Facts alone: nothing here walks a schema. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"

namespace lares::engine::schema {

using Object = OrderedJson::object_t;
using Names = std::span<const std::string_view>;

inline constexpr std::array<std::string_view, 4> kCounts = {"minItems", "maxItems", "minLength",
                                                            "maxLength"};
// What the converter does not know.
inline constexpr std::array<std::string_view, 21> kNotKept = {"not",
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
inline constexpr std::array<std::string_view, 4> kBounds = {"minimum", "maximum",
                                                            "exclusiveMinimum", "exclusiveMaximum"};
// What it overlooks beside a '$ref', alternatives, an 'allOf' or values, as it does kCounts and
// kBounds.
inline constexpr std::array<std::string_view, 12> kOverlooked = {
    "anyOf",   "oneOf", "properties",  "required", "additionalProperties",
    "allOf",   "items", "prefixItems", "enum",     "const",
    "pattern", "format"};
// The first of these that is there is the one that it keeps to.
inline constexpr std::array<std::string_view, 5> kInstead = {"oneOf", "anyOf", "const", "enum",
                                                             "allOf"};
inline constexpr std::array<std::string_view, 7> kTypes = {"null",   "boolean", "integer", "number",
                                                           "string", "array",   "object"};
inline constexpr unsigned kAnyType = (1U << kTypes.size()) - 1;

bool is_of_type(const OrderedJson& value, std::string_view type);

// Sets of types, one bit for each of kTypes.
unsigned types_named(std::string_view name);
unsigned types_of_value(const OrderedJson& value);
unsigned types_given(const OrderedJson& type);

// nullptr where it has none.
const OrderedJson* find_in(const Object& object, std::string_view name);
bool has_type(const Object& schema, std::string_view type);
bool keeps_format(const OrderedJson& format);

// Alternatives that say nothing of what is written, as {"required": ["a"]}.
bool say_nothing(const OrderedJson& alternatives);

// How often the converter writes such a schema: once for each of its types.
size_t times_written(const OrderedJson& schema);

// As the converter writes a name into those of its rules: a run of what is no ASCII letter, digit
// or '-' becomes one '-'.
std::string rule_of(std::string_view name);

}  // namespace lares::engine::schema
