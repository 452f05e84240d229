// A schema written anew as the engine's converter keeps it. Pure.
#pragma once

#include "engine/schema_report.h"
#include "engine/schema_words.h"

namespace lares::engine::schema {

// Both ends of whole numbers included, and none alone that is far away; one part of 'allOf' as it
// is; each name that is required with a property. Of one that was read, and after
// what lies within it: writing moves and copies that.
void rewrite(Object& schema, const Report& report);

}  // namespace lares::engine::schema
