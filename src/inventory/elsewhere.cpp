// find_elsewhere: the GGUF files that other programs have put on this disk (inventory/models.h).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/text.h"
#include "inventory/models.h"

namespace lares::inventory {
namespace {

namespace fs = std::filesystem;

constexpr int kDepthMax = 6;
constexpr size_t kFilesMax =
    20'000;  // looked at in one folder; a home folder linked in by mistake ends there
constexpr Bytes kManifestMax = KiB(256);
constexpr Bytes kSmallest = MiB(1);  // vocabularies and test files are no models

bool begins_as_gguf(const fs::path& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char first[4] = {};
  return fd && ::read(fd.get(), first, sizeof first) == sizeof first &&
         std::string_view(first, 4) == "GGUF";
}

fs::path from_environment(const char* name, const fs::path& otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? fs::path(value) : otherwise;
}

class Finder {
 public:
  void take(std::string_view program, std::string name, const fs::path& file) {
    std::error_code failed;
    const fs::path real = fs::canonical(file, failed);
    if (failed || !fs::is_regular_file(real, failed)) return;
    const uintmax_t size = fs::file_size(real, failed);
    if (failed || size < kSmallest.n || !begins_as_gguf(real) || !seen_.insert(real).second) return;
    found_.push_back({std::string(program), std::move(name), real, Bytes{size}});
  }

  // Every *.gguf below `folder`, named `repository`/ and its path from there. Links inside are
  // followed only where `within` holds their end: Hugging Face's snapshots are links into its
  // blobs.
  void scan(std::string_view program, const fs::path& folder, const fs::path& within,
            const fs::path& repository = {}) {
    std::error_code failed;
    const fs::path boundary = fs::canonical(within, failed);
    if (failed) return;
    size_t looked_at = 0;
    auto it = fs::recursive_directory_iterator(
        folder, fs::directory_options::skip_permission_denied, failed);
    for (; !failed && it != fs::recursive_directory_iterator(); it.increment(failed)) {
      if (++looked_at > kFilesMax) return;
      if (it.depth() >= kDepthMax) it.disable_recursion_pending();
      const fs::path& path = it->path();
      if (lower(path.extension().string()) != ".gguf") continue;
      const std::string file_name = lower(path.filename().string());
      if (file_name.find("mmproj") != std::string::npos) continue;  // projectors are no models
      if (part_of(file_name)) continue;
      std::error_code unreadable;
      const fs::path real = fs::canonical(path, unreadable);
      if (unreadable) continue;
      const std::string inside = real.lexically_relative(boundary).string();
      if (inside.starts_with("..")) continue;
      const fs::path name = repository / path.lexically_relative(folder).replace_extension();
      take(program, name.string(), path);
    }
  }

  // Hugging Face: models--ORG--REPO/snapshots/COMMIT/..., and older models without an ORG. The
  // commit is no part of a name that a person knows.
  void scan_hub(const fs::path& hub) {
    constexpr std::string_view kModels = "models--";
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(hub, failed)) {
      std::string repository = entry.path().filename().string();
      if (!repository.starts_with(kModels)) continue;
      repository.erase(0, kModels.size());
      if (const size_t at = repository.find("--"); at != std::string::npos)
        repository.replace(at, 2, "/");
      std::error_code none;
      for (const auto& commit : fs::directory_iterator(entry.path() / "snapshots", none))
        scan("Hugging Face", commit.path(), hub, repository);
    }
  }

  // Ollama: manifests/HOST/NAMESPACE/NAME/TAG is JSON that names the model's blob by digest.
  void scan_ollama(const fs::path& models) {
    std::error_code failed;
    const fs::path manifests = models / "manifests";
    size_t looked_at = 0;
    auto it = fs::recursive_directory_iterator(
        manifests, fs::directory_options::skip_permission_denied, failed);
    for (; !failed && it != fs::recursive_directory_iterator(); it.increment(failed)) {
      if (++looked_at > kFilesMax) return;
      if (it.depth() >= kDepthMax) it.disable_recursion_pending();
      std::error_code not_a_file;
      if (!it->is_regular_file(not_a_file)) continue;
      auto text = read_file(it->path(), kManifestMax);
      if (!text) continue;
      auto manifest = parse_json(*text);
      if (!manifest || !manifest->is_object()) continue;
      const auto layers = manifest->find("layers");
      if (layers == manifest->end() || !layers->is_array()) continue;
      for (const Json& layer : *layers) {
        if (!layer.is_object() ||
            layer.value("mediaType", Json()) != "application/vnd.ollama.image.model")
          continue;
        const Json digest = layer.value("digest", Json());
        if (!digest.is_string()) continue;
        std::string blob = digest.get<std::string>();
        if (!blob.starts_with("sha256:") || blob.size() != 71 ||
            blob.find_first_not_of("0123456789abcdef", 7) != std::string::npos)
          continue;  // the only digests that Ollama writes; anything else is no path for us
        blob[6] = '-';
        const fs::path tag = it->path();
        std::string name = cat(tag.parent_path().filename().string(), ":", tag.filename().string());
        const std::string space = tag.parent_path().parent_path().filename().string();
        if (space != "library") name = cat(space, "/", name);
        take("Ollama", std::move(name), models / "blobs" / blob);
      }
    }
  }

  std::vector<Found> sorted() && {
    std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
      return std::tie(a.program, a.name) < std::tie(b.program, b.name);
    });
    return std::move(found_);
  }

 private:
  std::vector<Found> found_;
  std::set<fs::path> seen_;
};

}  // namespace

std::vector<Found> find_elsewhere(const fs::path& home) {
  Finder finder;
  finder.scan_ollama(from_environment("OLLAMA_MODELS", home / ".ollama/models"));
  finder.scan_ollama("/usr/share/ollama/.ollama/models");
  for (const char* folder :
       {".lmstudio/models", ".lmstudio/.internal/bundled-models", ".cache/lm-studio/models"})
    finder.scan("LM Studio", home / folder, home / folder);
  const fs::path data = from_environment("XDG_DATA_HOME", home / ".local/share");
  for (const fs::path& gpt4all : {data / "nomic.ai/GPT4All", home / ".cache/gpt4all"})
    finder.scan("GPT4All", gpt4all, gpt4all);
  const fs::path config = from_environment("XDG_CONFIG_HOME", home / ".config");
  for (const fs::path& jan : {home / "jan/models", config / "Jan/data", data / "Jan/data"})
    finder.scan("Jan", jan, jan);
  finder.scan_hub(from_environment(
      "HF_HUB_CACHE", from_environment("HF_HOME", home / ".cache/huggingface") / "hub"));
  return std::move(finder).sorted();
}

}  // namespace lares::inventory
