#include "egress/sources.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "egress/journal.h"
#include "wire/pull.h"

namespace lares::egress {
namespace {

constexpr JsonLimits kLimits{.depth_max = 16, .values_max = 400'000};
constexpr std::string_view kLayerPrefix = "application/vnd.ollama.image.";
constexpr size_t kListedMax = 12;  // names in an error
constexpr size_t kLayersMax = 64;

// Which quantization a person wants who names none: small enough to be fast, large enough to be
// good.
constexpr std::array<std::string_view, 12> kPreferred = {"Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0",
                                                         "IQ4_XS", "Q5_K_S", "Q6_K",   "Q8_0",
                                                         "Q3_K_M", "MXFP4",  "BF16",   "F16"};

std::string text_in(const Json& object, const char* name) {
  if (!object.is_object()) return "";
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<uint64_t> size_in(const Json& object, const char* name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto size = found->get<uint64_t>();
  if (size > kFileSizeMax) return std::nullopt;
  return size;
}

// "sha256:..." or the digits alone.
std::string digest_from(std::string text) {
  if (text.starts_with("sha256:")) text.erase(0, 7);
  return wire::is_sha256(text) ? text : "";
}

bool is_plain_path(std::string_view name) {
  if (name.empty() || name.size() > kFileNameMax || name.front() == '/' || !is_utf8(name))
    return false;
  const std::vector<std::string> parts = split(name, '/');
  return std::none_of(parts.begin(), parts.end(), [](const std::string& part) {
    return part.empty() || part == "." || part == ".." ||
           std::any_of(part.begin(), part.end(),
                       [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; });
  });
}

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "model-00001-of-00003.gguf"
bool is_part(std::string_view name) {
  constexpr size_t kEnd = 19;  // -00001-of-00003.gguf without the dash
  if (name.size() <= kEnd + 1) return false;
  const std::string_view end = name.substr(name.size() - kEnd);
  return name[name.size() - kEnd - 1] == '-' && is_digits(end.substr(0, 5)) &&
         end.substr(5, 4) == "-of-" && is_digits(end.substr(9, 5)) && end.substr(9, 5) != "00001";
}

// True when `word` stands in `name` with no letter, digit or '_' beside it.
bool has_word(std::string_view name, std::string_view word) {
  const auto joins = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
    const bool left = at == 0 || !joins(name[at - 1]);
    const size_t end = at + word.size();
    if (left && (end == name.size() || !joins(name[end]))) return true;
  }
  return false;
}

std::string listed(const std::vector<const HubFile*>& files) {
  std::string list;
  for (size_t i = 0; i < std::min(files.size(), kListedMax); i++)
    list += cat(i > 0 ? ", " : "", files[i]->name);
  if (files.size() > kListedMax) list += cat(" and ", files.size() - kListedMax, " more");
  return list;
}

Result<HubFile> as_one_file(const HubFile& file, std::string_view repo) {
  if (is_part(lower(file.name))) {
    return Error{Code::Unsupported,
                 cat("'", file.name, "' of ", repo,
                     " is one part of a model in several files, and these are not supported; "
                     "choose a smaller quantization")};
  }
  return file;
}

}  // namespace

Result<HubModel> read_hub_model(std::string_view json) {
  const auto corrupt = [](std::string_view what) {
    return Error{Code::Corrupt, cat("reading what the registry says of the model: ", what)};
  };
  auto parsed = parse_json(json, kLimits);
  if (!parsed) return corrupt(parsed.error().message);
  if (!parsed->is_object()) return corrupt("it is no object");
  HubModel model;
  model.revision = text_in(*parsed, "sha");
  const bool plain = model.revision.size() == 40 &&
                     std::all_of(model.revision.begin(), model.revision.end(), [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  if (!plain) return corrupt("its 'sha' is no commit");
  if (const auto gated = parsed->find("gated"); gated != parsed->end())
    model.gated = gated->is_string() || *gated == Json(true);
  if (const auto card = parsed->find("cardData"); card != parsed->end())
    model.licence = text_in(*card, "license");
  if (const auto tags = parsed->find("tags");
      model.licence.empty() && tags != parsed->end() && tags->is_array()) {
    for (const Json& tag : *tags) {
      if (tag.is_string() && tag.get_ref<const std::string&>().starts_with("license:"))
        model.licence = tag.get<std::string>().substr(8);
    }
  }
  model.licence = model.licence.substr(0, 64);
  const auto files = parsed->find("siblings");
  if (files == parsed->end() || !files->is_array()) return corrupt("it lists no files");
  for (const Json& entry : *files) {
    HubFile file{.name = text_in(entry, "rfilename")};
    if (!is_plain_path(file.name)) continue;
    const auto large = entry.find("lfs");
    if (large != entry.end() && large->is_object()) {
      file.sha256 = digest_from(text_in(*large, "sha256"));
      if (file.sha256.empty()) file.sha256 = digest_from(text_in(*large, "oid"));
    }
    auto size = size_in(entry, "size");
    if (!size && large != entry.end()) size = size_in(*large, "size");
    if (!size) continue;
    file.size = *size;
    if (model.files.size() >= kFilesMax)
      return corrupt(cat("it lists more than ", kFilesMax, " files"));
    model.files.push_back(std::move(file));
  }
  return model;
}

Result<HubFile> choose_file(const HubModel& model, std::string_view wanted, std::string_view repo) {
  std::vector<const HubFile*> models;
  for (const HubFile& file : model.files) {
    const std::string name = lower(file.name);
    if (name.ends_with(".gguf") && name.find("mmproj") == std::string::npos)
      models.push_back(&file);
  }
  if (models.empty())
    return Error{Code::NotFound,
                 cat(repo, " has no GGUF file; look for the same model with GGUF in its name")};
  for (const HubFile* file : models) {
    if (file->name == wanted) return as_one_file(*file, repo);
  }
  // of those that match, the one with the shortest name: "Q8_0" before "UD-Q8_0"
  const auto best_with = [&](std::string_view word) -> const HubFile* {
    const HubFile* best = nullptr;
    for (const HubFile* file : models) {
      if (has_word(lower(file->name), lower(word)) &&
          (!best || std::pair(is_part(lower(file->name)), file->name.size()) <
                        std::pair(is_part(lower(best->name)), best->name.size())))
        best = file;
    }
    return best;
  };
  if (!wanted.empty()) {
    const HubFile* found = best_with(wanted);
    if (!found)
      return Error{Code::NotFound, cat(repo, " has no '", utf8_repaired(wanted.substr(0, 80)),
                                       "'; it has: ", listed(models))};
    return as_one_file(*found, repo);
  }
  if (models.size() == 1) return as_one_file(*models.front(), repo);
  for (const std::string_view word : kPreferred) {
    const HubFile* found = best_with(word);
    if (found && !is_part(lower(found->name))) return *found;
  }
  const auto whole = std::find_if(models.begin(), models.end(),
                                  [](const HubFile* file) { return !is_part(lower(file->name)); });
  if (whole == models.end()) return as_one_file(*models.front(), repo);
  return Error{Code::Invalid, cat(repo, " has several models; say which, as hf:", repo,
                                  ":NAME: ", listed(models))};
}

std::optional<HubFile> licence_file(const HubModel& model) {
  for (const HubFile& file : model.files) {
    const std::string name = lower(file.name);
    const bool named = name == "license" || name == "licence" || name == "license.txt" ||
                       name == "license.md" || name == "licence.txt" || name == "licence.md" ||
                       name == "copying";
    if (named && file.size > 0 && file.size <= kTextMax) return file;
  }
  return std::nullopt;
}

Result<std::vector<Layer>> read_manifest(std::string_view json) {
  const auto corrupt = [](std::string_view what) {
    return Error{Code::Corrupt, cat("reading the registry's manifest: ", what)};
  };
  auto parsed = parse_json(json, kLimits);
  if (!parsed) return corrupt(parsed.error().message);
  if (!parsed->is_object()) return corrupt("it is no object");
  const auto layers = parsed->find("layers");
  if (layers == parsed->end() || !layers->is_array() || layers->size() > kLayersMax)
    return corrupt(cat("it has no list of at most ", kLayersMax, " layers"));
  std::vector<Layer> all;
  size_t models = 0;
  for (const Json& entry : *layers) {
    const std::string type = text_in(entry, "mediaType");
    if (!type.starts_with(kLayerPrefix)) continue;
    Layer layer{.kind = type.substr(kLayerPrefix.size())};
    layer.digest = digest_from(text_in(entry, "digest"));
    const auto size = size_in(entry, "size");
    if (layer.digest.empty() || !size)
      return corrupt("a layer has no SHA-256 digest or no size that makes sense");
    layer.size = *size;
    if (layer.kind == "adapter")
      return Error{Code::Unsupported,
                   "this model is an adapter on another one, which is not supported"};
    models += layer.kind == "model";
    all.push_back(std::move(layer));
  }
  if (models == 0)
    return Error{Code::Unsupported,
                 "the registry has no model file for this name (it may run in their cloud only)"};
  if (models > 1)
    return Error{Code::Unsupported, "this model is in several files, which is not supported"};
  return all;
}

Result<std::string> read_token(std::string_view json) {
  auto parsed = parse_json(json, kLimits);
  std::string token;
  if (parsed && parsed->is_object()) {
    token = text_in(*parsed, "token");
    if (token.empty()) token = text_in(*parsed, "access_token");
  }
  const bool plain =
      !token.empty() && token.size() <= 8'192 &&
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!plain) return Error{Code::Corrupt, "the registry gives no token that can be used"};
  return token;
}

}  // namespace lares::egress
