// lares install, lares uninstall: hands over to the script of that name, which lies in tools/ of
// the source tree and of an installation.
#include <filesystem>
#include <vector>

#include "app/cli/verb.h"
#include "app/home.h"
#include "base/text.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;
constexpr int kLevelsUp = 5;  // from build/PRESET/bin to the source tree, and some to spare

Result<fs::path> script(const std::string& name) {
  const fs::path beside = programs().daemon.parent_path();
  std::error_code failed;
  std::vector<fs::path> places;
  fs::path folder = beside;  // an installation has tools/ beside its programs
  for (int i = 0; i < kLevelsUp; i++) {
    places.push_back(folder / "tools" / name);
    folder = folder.parent_path();
  }
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place, failed)) return place.lexically_normal();
  }
  return Error{
      Code::NotFound,
      cat("looking for the script '", name, "': there is none in a tools/ folder at or above '",
          beside.string(), "'; run it from the source tree: tools/", name)};
}

// This process becomes the script.
Result<int> hand_over(const std::string& name, const std::vector<std::string>& options) {
  TRY_AS(const fs::path path, script(name));
  std::vector<std::string> words{path.string()};
  words.insert(words.end(), options.begin(), options.end());
  return become(std::move(words));
}

constexpr Option kInstallOptions[] = {
    {"--prefix", '\0', "DIR", "where to, instead of ~/.local", "file"},
    {"--units", '\0', "",
     "units for your systemd too, so that the first connection starts the daemon; not enabled"},
};
constexpr Example kInstallExamples[] = {
    {"lares install",
     "Copies the programs into ~/.local, so that `lares` is found from everywhere."},
    {"lares install --units",
     "The same with lares.socket and lares.service, and says how they are enabled."},
};
Result<int> run_install(Context& /*context*/, const Arguments& arguments) {
  std::vector<std::string> options;
  if (arguments.has("--prefix")) options = {"--prefix", arguments.value("--prefix")};
  if (arguments.has("--units")) options.emplace_back("--units");
  return hand_over("install", options);
}
constexpr Verb kInstall{
    .name = "install",
    .summary = "install Lares for you, into ~/.local",
    .more = "",
    .options = kInstallOptions,
    .words = {},
    .examples = kInstallExamples,
    .run = run_install,
};
const Registered<Verb> kInstallRegistered{kInstall};

constexpr Option kUninstallOptions[] = {
    {"--prefix", '\0', "DIR", "where from, instead of ~/.local", "file"},
    {"--yes", '\0', "", "with --purge: remove without asking"},
    {"--purge", '\0', "", "remove the models, settings and everything else that Lares keeps, too"},
};
constexpr Example kUninstallExamples[] = {
    {"lares uninstall", "Removes the programs; models and settings stay."},
    {"lares uninstall --purge", "Removes everything."},
};
Result<int> run_uninstall(Context& /*context*/, const Arguments& arguments) {
  std::vector<std::string> options;
  if (arguments.has("--prefix")) options = {"--prefix", arguments.value("--prefix")};
  for (const char* flag : {"--purge", "--yes"}) {
    if (arguments.has(flag)) options.emplace_back(flag);
  }
  return hand_over("uninstall", options);
}
constexpr Verb kUninstall{
    .name = "uninstall",
    .summary = "remove an installation; --purge removes what it keeps, too",
    .more = "",
    .options = kUninstallOptions,
    .words = {},
    .examples = kUninstallExamples,
    .run = run_uninstall,
};
const Registered<Verb> kUninstallRegistered{kUninstall};

}  // namespace
}  // namespace lares::app
