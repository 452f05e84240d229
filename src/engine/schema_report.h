// What is wrong with a schema, told with the field of the request that has it and the place in it.
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/schema_text.h"

namespace lares::engine::schema {

struct Report {
  Strict strict;
  std::string_view param;  // the field

  // "'PARAM' has a schema that at PATH WHAT".
  Error wrong(const std::string& path, std::string_view what, Code code = Code::Invalid) const;
  // Of what the converter would leave out: nothing, unless one is strict.
  Result<> not_kept(std::string_view what, const std::string& path) const;
};

}  // namespace lares::engine::schema
