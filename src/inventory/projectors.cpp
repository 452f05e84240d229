#include "inventory/projectors.h"

#include <algorithm>

#include "base/text.h"
#include "inventory/models.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "mmproj-";
constexpr Bytes kBuffers = MiB(192);  // for its graph, and pictures while they are read

bool flag_in(const Json& info, const char* name) {
  const auto about = info.find("projector");
  return about != info.end() && about->is_object() && about->value(name, Json()) == true;
}

// The name without what says that it is a projector, and how it is packed.
std::string model_part(std::string_view file_name) {
  std::string name = id_from(file_name);
  name = name.substr(std::min(name.size(), kPrefix.size()));
  for (const std::string_view packing : {"f16", "f32", "bf16", "q8_0"}) {
    if (name == packing) return "";
    for (const char between : {'-', '.', '_'}) {
      const std::string end = cat(between, packing);
      if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
    }
  }
  return name;
}

}  // namespace

bool is_projector_name(std::string_view file_name) {
  const std::string name = lower(file_name);
  return name.starts_with(kPrefix) && name.ends_with(".gguf");
}

std::string projector_named_for(std::string_view id, const std::vector<std::string>& file_names) {
  std::string best;
  size_t longest = 0;
  bool several = false;
  for (const std::string& name : file_names) {
    if (!is_projector_name(name)) continue;
    const std::string part = model_part(name);
    const bool whole = id.size() == part.size();
    if (part.empty() || !id.starts_with(part)) continue;
    if (!whole && id[part.size()] != '-' && id[part.size()] != '.' && id[part.size()] != '_')
      continue;
    several = part.size() == longest;
    if (part.size() <= longest) continue;
    longest = part.size();
    best = name;
  }
  return several ? "" : best;
}

std::optional<fs::path> projector_beside(const fs::path& file) {
  std::optional<fs::path> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(file.parent_path(), failed)) {
    if (!is_projector_name(entry.path().filename().string()) || !entry.is_regular_file(failed))
      continue;
    if (found) return std::nullopt;
    found = entry.path();
  }
  return found;
}

std::vector<std::string> inputs_of(const Model& model) {
  std::vector<std::string> inputs = {"text"};
  if (!model.projector) return inputs;
  if (flag_in(model.projector->info, "sees")) inputs.emplace_back("image");
  if (flag_in(model.projector->info, "hears")) inputs.emplace_back("audio");
  return inputs;
}

Bytes needs_of(const Projector& projector) { return projector.size + kBuffers; }

Result<> check_projector(const fs::path& file, const Json& info) {
  if (info.is_object() && info.value("type", "") == "projector") return Unit{};
  const std::string architecture = info.is_object() ? info.value("architecture", "") : "";
  return Error{Code::Invalid,
               cat("adding '", file.string(), "' as a projector: it is ",
                   architecture.empty() ? "none" : cat("a '", architecture, "' file and none"),
                   "; its name is usually mmproj-*.gguf"),
               "projector"};
}

}  // namespace lares::inventory
