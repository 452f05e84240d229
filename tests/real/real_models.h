// For tests with real models: where they lie, and how one is loaded into the test's own process.
// Models are looked for in LARES_TEST_MODELS, else in the person's own folder; what is absent is
// skipped, and says so.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "engine/model.h"

namespace lares::engine::testing {

namespace fs = std::filesystem;

inline fs::path models_folder() {
  if (const char* folder = std::getenv("LARES_TEST_MODELS")) return folder;
  if (const char* home = std::getenv("LARES_HOME")) return fs::path(home) / "models";
  if (const char* data = std::getenv("XDG_DATA_HOME")) return fs::path(data) / "lares" / "models";
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "/") / ".local/share/lares/models";
}

// The first file there whose name, in lower case, has all these words; NotFound says where it
// looked.
inline Result<fs::path> model_file(const std::vector<std::string>& with) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(models_folder(), none)) {
    const std::string name = lower(entry.path().filename().string());
    if (!name.ends_with(".gguf")) continue;
    bool all = true;
    for (const auto& word : with) all = all && name.find(word) != std::string::npos;
    if (all) return entry.path();
  }
  return Error{Code::NotFound,
               cat("no model file with '", with[0], "' in ", models_folder().string(),
                   " (LARES_TEST_MODELS names another folder)")};
}

// The first CPU backend of this build that this CPU takes.
inline Result<fs::path> variant_file() {
  std::error_code none;
  for (const char* name :
       {"zen4", "sapphirerapids", "icelake", "skylakex", "alderlake", "haswell", "x64"}) {
    const fs::path file = fs::path(LARES_ENGINE_FOLDER) / cat("libggml-cpu-", name, ".so");
    if (!fs::exists(file, none)) continue;
    Options options{{"variant", file.string()}};
    if (Registered<Backend>::find("llama")->prepare(options)) return file;
  }
  return Error{Code::NotFound, "no CPU backend in " LARES_ENGINE_FOLDER " runs here"};
}
inline const Result<fs::path>& variant() {
  static const Result<fs::path> found = variant_file();
  return found;
}

inline Result<std::unique_ptr<Model>> load_file(const fs::path& file, const wire::Load& shape,
                                                Pulse& pulse, bool inspect_only = false,
                                                const Model* drafts_for = nullptr) {
  if (!variant()) return variant().error();
  LoadOrder order;
  order.drafts_for = drafts_for;
  order.load = shape;
  const Fd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  order.file = opened.get();
  order.inspect_only = inspect_only;
  return Registered<Backend>::find("llama")->load(order, pulse);
}

inline Result<std::unique_ptr<Model>> load(const std::vector<std::string>& with,
                                           const wire::Load& shape, Pulse& pulse,
                                           bool inspect_only = false) {
  TRY_AS(const fs::path file, model_file(with));
  return load_file(file, shape, pulse, inspect_only);
}

inline const std::vector<std::string> kSmolLm = {"smollm2", "135m"};
inline const std::vector<std::string> kGemma = {"gemma", "270m"};
inline const std::vector<std::string> kMiniLm = {"minilm"};

#define LOAD_OR_SKIP(name, with, shape)                               \
  Pulse pulse;                                                        \
  auto name##_loaded = load(with, shape, pulse);                      \
  if (!name##_loaded && name##_loaded.error().code == Code::NotFound) \
    GTEST_SKIP() << name##_loaded.error().message;                    \
  ASSERT_TRUE(name##_loaded) << name##_loaded.error().message;        \
  Model& name = **name##_loaded

struct TempFile {
  explicit TempFile(std::string_view bytes) {
    path = fs::temp_directory_path() / cat("lares-", random_hex(8), ".gguf");
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~TempFile() { fs::remove(path); }
  fs::path path;
};

}  // namespace lares::engine::testing
