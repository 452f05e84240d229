// ToolFragments: holds what a worker says of calls of tools against what the request offered. A
// worker is not trusted: a client acts on a call. Pure; one for each answer.
#pragma once

#include <set>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace lares::app {

inline constexpr size_t kCallsMax = 128;      // of one answer
inline constexpr size_t kCallIdMax = 256;     // bytes
inline constexpr size_t kFragmentsMax = 256;  // of one piece

class ToolFragments {
 public:
  // What wire::Delta::tool_calls says next. Corrupt for an index that does not follow, a tool that
  // is not in `offered`, or a field that is missing or of another type. What passes has the fields
  // index, id, name and arguments, whole UTF-8, and no others.
  Result<> check(Json& fragments, const std::set<std::string>& offered);
  size_t calls() const { return calls_; }

 private:
  size_t calls_ = 0;
};

}  // namespace lares::app
