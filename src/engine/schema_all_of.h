// What an 'allOf' becomes: the engine's converter makes one object of its parts, whatever they are.
// Pure.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "engine/schema_refs.h"
#include "engine/schema_report.h"

namespace lares::engine::schema {

// Invalid or Unsupported where that object would be another than all of them together.
Result<> all_of(const OrderedJson& schema, const std::string& path, const Refs& refs,
                const Report& report);

}  // namespace lares::engine::schema
