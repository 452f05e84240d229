// What a schema's keywords say by themselves, whatever lies within it: whether they allow anything,
// and what of them the engine's converter would leave out. Each returns what is wrong with one
// schema: Invalid where it allows nothing or is none, Unsupported where one is strict. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/schema_report.h"
#include "engine/schema_words.h"

namespace lares::engine::schema {

struct Ends {  // of whole numbers, both included
  std::optional<int64_t> least, most;
};
Result<Ends> bounds(const Object& schema, const std::string& path, const Report& report);

// A least that is above its most. Both are whole numbers.
Result<> in_order(const OrderedJson& schema, const char* least, const char* most,
                  const std::string& path, const Report& report);
// Those of 'enum' and 'const' that are of another type than its 'type' are none.
Result<> values(const OrderedJson& schema, const std::string& path, const Report& report);
Result<> format(const OrderedJson& schema, const std::string& path, const Report& report);
// A list of parts is always as long as it is.
Result<> tuple(const OrderedJson& schema, const std::string& path, const Report& report);
// Each alternative that is there twice is met twice or not at all.
Result<> one_of(const OrderedJson& schema, const std::string& path, const Report& report);

Result<> required_names(const OrderedJson& schema, const std::string& path, const Report& report);
Result<> required(const OrderedJson& schema, const std::string& path, const Report& report);
// Names that are required and have no property: the converter would leave them out.
std::vector<std::string> without_property(const Object& schema);

// Without a type and what tells it, the converter takes anything.
Result<> untyped(const OrderedJson& schema, const std::string& path, const Report& report);
// What it does not know.
Result<> unknown(const OrderedJson& schema, const std::string& path, const Report& report);

}  // namespace lares::engine::schema
