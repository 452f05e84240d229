// Schema text: a JSON Schema from outside, held against what the engine's converter survives and
// written anew where that would take it wrong (patterns, counts). The converter follows references
// and nests as deep as the schema says, and drops what it does not know without a word. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::engine {

inline constexpr size_t kSchemaDepthMax = 64;
inline constexpr size_t kSchemaNodesMax = 5'000;
inline constexpr size_t kSchemaPropertiesMax = 500;  // of one object
inline constexpr size_t kSchemaOptionalMax = 100;    // of them, those that are not required
inline constexpr size_t kSchemaNameMax = 128;        // bytes of a property's name
inline constexpr size_t kSchemaRefsMax = 200;        // places that are referred to
inline constexpr size_t kSchemaCountMax = 1'000;     // of maxItems, maxLength, ...
inline constexpr size_t kSchemaCountsMax = 20'000;   // of these together

enum class Strict : uint8_t {
  No,   // what cannot be kept to is only told to the model, by whoever writes the prompt
  Yes,  // it is Unsupported
};

// `schema` is JSON; `param` the field that errors name. The order of properties stays. `patterns`
// takes each pattern as it is written anew: a schema's grammar hides what one of them would cost.
Result<std::string> schema_for_grammar(std::string_view schema, Strict strict,
                                       std::string_view param,
                                       std::set<std::string>* patterns = nullptr);

}  // namespace lares::engine
