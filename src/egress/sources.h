// Sources: what a registry says about a model, read from its JSON, and the choice of a file from
// it. Pure; the JSON is hostile: names that are no names, digests that are none and sizes out of
// range are refused here. Shapes as the registries' public interfaces have them:
//   Hugging Face  GET /api/models/OWNER/REPO?blobs=true  (huggingface_hub, `model_info`)
//   Ollama        GET /v2/NAMESPACE/NAME/manifests/TAG   (OCI image manifest v1, Docker v2 schema
//   2)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lares::egress {

inline constexpr size_t kDescriptionMax = 8u << 20;  // bytes of a registry's JSON
inline constexpr size_t kManifestMax = 1u << 20;
inline constexpr size_t kTextMax = 512u << 10;  // of a licence, a template, parameters
inline constexpr size_t kFilesMax = 20'000;
inline constexpr size_t kFileNameMax = 512;

struct HubFile {
  std::string name;  // path in the repository
  uint64_t size = 0;
  std::string sha256;  // "" for a small file that is not in large-file storage
};
struct HubModel {
  std::string revision;  // commit, 40 hexadecimal digits
  std::string licence;   // "apache-2.0", "" when it says none
  bool gated = false;
  std::vector<HubFile> files;
};
Result<HubModel> read_hub_model(std::string_view json);

// The file that a quantization or a file's name means; "" chooses the best known one. NotFound
// lists what there is; Unsupported: the model is in several files.
Result<HubFile> choose_file(const HubModel& model, std::string_view wanted, std::string_view repo);
// The licence's text among the files, if there is one of a size that can be taken.
std::optional<HubFile> licence_file(const HubModel& model);

struct Layer {
  std::string kind;    // "model", "template", "license", "params", "system", "projector", "adapter"
  std::string digest;  // 64 hexadecimal digits
  uint64_t size = 0;
};
// Of an Ollama manifest. Corrupt; Unsupported for what is no model in one file.
Result<std::vector<Layer>> read_manifest(std::string_view json);

// "token" or "access_token" of a registry's answer to a challenge.
Result<std::string> read_token(std::string_view json);

}  // namespace lares::egress
