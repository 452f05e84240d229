// Replays the corpora of all fuzz targets and, from each file, some seeded mutations: what ctest
// runs under gcc. `fuzz-replay CORPUS_FOLDER [TARGET]`; CORPUS_FOLDER/TARGET/* are the inputs. A
// target without a corpus gets seeded noise. Coverage-guided fuzzing is `./dev fuzz` (clang).
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/fuzz.h"

namespace {

constexpr int kMutationsEach = 200;

std::string mutated(std::string bytes, std::mt19937& random) {
  const auto any = [&](size_t below) { return below == 0 ? 0 : random() % below; };
  for (size_t times = 1 + any(8); times > 0; times--) {
    switch (any(4)) {
      case 0:
        if (!bytes.empty()) bytes[any(bytes.size())] ^= static_cast<char>(1u << any(8));
        break;
      case 1: bytes.insert(any(bytes.size() + 1), 1, static_cast<char>(any(256))); break;
      case 2:
        if (!bytes.empty()) bytes.erase(any(bytes.size()), 1 + any(16));
        break;
      default:
        if (!bytes.empty())
          bytes.insert(any(bytes.size()), bytes.substr(any(bytes.size()), any(64)));
        break;
    }
  }
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  const std::filesystem::path corpora = count > 1 ? arguments[1] : "tests/corpus";
  const std::string only = count > 2 ? arguments[2] : "";
  size_t runs = 0;
  for (const lares::FuzzTarget* target : lares::Registered<lares::FuzzTarget>::all()) {
    if (only.empty() ? target->name == "canary" : target->name != only) continue;
    std::vector<std::string> inputs{""};
    const auto folder = corpora / std::string(target->name);
    if (std::filesystem::is_directory(folder)) {
      for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (auto content = lares::read_file(entry.path())) inputs.push_back(*std::move(content));
      }
    }
    std::mt19937 random(20'240'601);  // NOLINT: the same inputs every time, on purpose
    for (const std::string& input : inputs) {
      target->body(input);
      for (int i = 0; i < kMutationsEach; i++) target->body(mutated(input, random));
      runs += 1 + kMutationsEach;
    }
    std::printf("%-28s %zu inputs\n", std::string(target->name).c_str(), inputs.size());
  }
  std::printf("%zu runs, no crash\n", runs);
  return 0;
}
