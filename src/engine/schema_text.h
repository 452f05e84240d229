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

enum class Strict : uint8_t {
  No,   // what cannot be kept to is only told to the model, by whoever writes the prompt
  Yes,  // it is Unsupported
};

// `schema` is JSON; `param` the field that errors name. The order of properties stays. `patterns`
// takes each pattern as it is written anew: a schema's grammar hides what one of them would cost.
// Of several schemas that come into one grammar each is `called` by digits of its own, so that no
// '$ref' of one is taken for another's.
Result<std::string> schema_for_grammar(std::string_view schema, Strict strict,
                                       std::string_view param,
                                       std::set<std::string>* patterns = nullptr,
                                       std::string_view called = "");

// `schema`, of schema_for_grammar(), as the converter takes it right where it is the whole grammar:
// a property named as one of the converter's own rules is kept from being one (schema_names.h).
std::string schema_alone(std::string schema);

}  // namespace lares::engine
