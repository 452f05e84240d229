// PullFiles: what pulls do with the disk. Blocking: on a background thread. Nothing follows a link
// that somebody else may have put there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::app {

// Below the folder of models: one folder for each pull, with these.
inline constexpr std::string_view kPullsFolder = ".pulls";
inline constexpr std::string_view kPullDigests = "digests.json";  // PullDigests, beside them
inline constexpr std::string_view kPullOrder = "pull.json";
inline constexpr std::string_view kPullPart = "part";
inline constexpr std::string_view kPullJournal = "journal";

inline constexpr Bytes kDiskSpare = MiB(64);  // left free beside a model

// Another one after each start of the machine: then a disk may have lost what it had promised.
std::string boot_id();

// The folders of the pulls that were begun and are not over.
std::vector<std::filesystem::path> kept_pulls(const std::filesystem::path& models);
// What was ordered in such a folder, an object whose "source" can be read. NotFound, Corrupt.
Result<Json> read_order(const std::filesystem::path& folder);
// What is known of a model that was pulled: source, sha256, size_bytes, pulled_ms, licence (as the
// registry has it), known_in_advance; null where nothing is. `file`: Pulls::besides().
Json read_besides(const std::filesystem::path& file);
// Why a pull that was stopped does not go on by itself.
inline constexpr std::string_view kStopped = "it was stopped; the same pull goes on from there";

// Makes the folder, opens part and journal, and reads what a pull needs besides.
struct PullOpened {
  Fd part, journal;
  std::string authorities, token;
};
Result<PullOpened> open_pull(const std::filesystem::path& folder,
                             const std::string& authorities_file, const std::string& token_file,
                             const std::string& hub_url);

// True for the address whose tokens HF_TOKEN has: https://huggingface.co on its own port.
bool is_hugging_face(std::string_view hub_url);

Result<Fd> open_part(const std::filesystem::path& file, int flags);
// Takes all the room that the file needs before a byte of it is fetched. NoRoom has both numbers.
Result<Unit> reserve(const std::filesystem::path& file, uint64_t size, const std::string& what);
// What was fetched, when it begins as a model does; else Invalid, with what it is.
Result<Fd> open_pulled(const std::filesystem::path& file);
// Writes the texts, each with its path, and then moves the part to its name, which must be free.
using Texts = std::vector<std::pair<std::filesystem::path, std::string>>;
Result<Unit> move_pulled(const std::filesystem::path& from, const std::filesystem::path& file,
                         const Texts& texts);
// The way back.
void move_pulled_back(const std::filesystem::path& from, const std::filesystem::path& file,
                      const Texts& texts);
void remove_folder(const std::filesystem::path& folder);

// A file, or the one model that a folder holds. NotFound, Invalid.
Result<std::filesystem::path> model_on_disk(const std::filesystem::path& path);

}  // namespace lares::app
