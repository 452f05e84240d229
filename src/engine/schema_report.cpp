#include "engine/schema_report.h"

#include "base/text.h"

namespace lares::engine::schema {
namespace {

constexpr size_t kPathShownMax = 160;

}  // namespace

Error Report::wrong(const std::string& path, std::string_view what, Code code) const {
  std::string shown = utf8_repaired(path.substr(0, kPathShownMax));
  return {code, cat("'", param, "' has a schema that at ", shown, " ", what), std::string(param)};
}

Result<> Report::not_kept(std::string_view what, const std::string& path) const {
  if (strict == Strict::No) return Unit{};
  return wrong(
      path, cat("has ", what, ", which cannot be enforced; leave it out, or set 'strict' to false"),
      Code::Unsupported);
}

}  // namespace lares::engine::schema
