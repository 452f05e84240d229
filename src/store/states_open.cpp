// How the state store finds itself on disk: the manifest, which segments are its own, and the tree
// of blocks from their heads alone.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <set>
#include <tuple>

#include "base/file.h"
#include "base/text.h"
#include "store/states.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kManifestName = "manifest";
constexpr Bytes kManifestBytesMax = MiB(64);  // of kLineagesMax with the longest names

fs::path manifest_path(const fs::path& folder) { return folder / kManifestName; }

bool ours(const std::string& name) {
  return name.ends_with(".seg") || name.starts_with(cat(kManifestName, ".new-"));
}

// Overwrites what an open file holds, whose name is gone. Where the disk keeps old blocks it keeps
// these too.
void wipe(const Fd& fd) {
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return;
  const std::string zeros(static_cast<size_t>(info.st_size), '\0');
  if (::pwrite(fd.get(), zeros.data(), zeros.size(), 0) > 0) ::fdatasync(fd.get());
}

}  // namespace

Result<States::Opened> States::open(const fs::path& folder, std::string_view key,
                                    const Clock& clock, const StatesOptions& options) {
  TRY(make_private_folder(folder));
  Opened opened{States(folder, SealKey(key).derived("lares states", std::to_string(kStatesFormat)),
                       clock, options),
                false,
                {}};
  States& states = opened.states;
  TRY_AS(const bool readable, states.load_manifest());
  opened.fresh = !readable;
  states.remove_strays();
  TRY_AS(const uint64_t torn, states.load_segments());
  opened.torn = Bytes{torn};
  // what was lowered meanwhile holds from now on; what cannot be done now is done before the next
  // state is kept
  static_cast<void>(states.make_room({}, kStateStart));
  return opened;
}

// False: there is one that this key does not open.
Result<bool> States::load_manifest() {
  const fs::path path = manifest_path(folder_);
  auto content = read_file(path, kManifestBytesMax);
  if (!content && content.error().code == Code::NotFound) return true;
  std::string bytes;
  if (content) {
    bytes = *std::move(content);
  } else if (content.error().code != Code::Invalid) {  // that is one too large to be ours
    return std::move(content).error();
  }
  auto found = opened_manifest(bytes, key_);
  if (found.newer) {
    return Error{
        Code::Unsupported,
        cat("opening '", path.string(), "': a newer Lares wrote it (this one knows format ",
            kStatesFormat, "); use that version, or remove the folder")};
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0)
    return system_error(cat("opening '", path.string(), "'"), errno);
  manifest_ = {info.st_dev, info.st_ino};
  manifest_bytes_ = Bytes{static_cast<uint64_t>(info.st_size)};
  if (!found.manifest) {
    manifest_stale_ = keys_to_destroy_ = true;
    return false;
  }
  for (auto& lineage : found.manifest->lineages) {
    numbers_.emplace(lineage.digest, lineage.number);
    lineages_.emplace(lineage.number, std::move(lineage));
  }
  for (const auto& segment : found.manifest->segments) {
    segments_.emplace(segment.number, Segment{segment.salt, 0});
    next_segment_ = std::max(next_segment_, segment.number + 1);
  }
  return true;
}

// Segments that the manifest does not have: of another key, or an old copy that was put back. And
// what a writing that was interrupted left.
void States::remove_strays() {
  std::set<fs::path> known;
  for (const auto& [number, segment] : segments_) known.insert(segment_path(folder_, number));
  std::error_code failed;
  for (fs::directory_iterator each(folder_, failed), end; !failed && each != end;
       each.increment(failed)) {
    if (ours(each->path().filename().string()) && !known.contains(each->path()))
      ::unlink(each->path().c_str());
  }
}

// The bytes of torn ends.
Result<uint64_t> States::load_segments() {
  uint64_t torn = 0;
  std::vector<ScannedSegment::Record> records;
  const LineageOf lineage_of = [&](const LineageNumber& number) -> const Manifest::Lineage* {
    const auto found = lineages_.find(number);
    return found == lineages_.end() ? nullptr : &found->second;
  };
  for (auto each = segments_.begin(); each != segments_.end();) {
    const fs::path path = segment_path(folder_, each->first);
    auto scanned = scan_segment(path, {each->first, each->second.salt}, lineage_of);
    if (!scanned) {
      const Code code = scanned.error().code;
      if (code != Code::NotFound && code != Code::Corrupt && code != Code::Io)
        return std::move(scanned).error();
      if (code != Code::NotFound) quarantined_++;
      ::unlink(path.c_str());
      manifest_stale_ = true;
      each = segments_.erase(each);
      continue;
    }
    each->second.size = scanned->size;
    // where it cannot be cut it is as long as it is
    if (scanned->torn > 0 && ::truncate(path.c_str(), static_cast<off_t>(scanned->size)) != 0)
      each->second.size += scanned->torn;
    torn += scanned->torn;
    quarantined_ += scanned->damaged;
    std::ranges::move(scanned->records, std::back_inserter(records));
    ++each;
  }
  link(std::move(records));
  return torn;
}

// Builds the tree from the roots on. What cannot be reached is dead, and so is what goes on from
// one of two blocks that have the same name: nobody knows from which.
void States::link(std::vector<ScannedSegment::Record> records) {
  using Name = std::pair<LineageNumber, Digest>;
  std::map<Name, std::vector<ScannedSegment::Record*>> following;
  std::map<Name, std::pair<Digest, std::vector<int32_t>>> made_of;
  std::set<Name> ambiguous;
  for (auto& record : records) {
    const LineageNumber number = record.lineage->number;
    following[{number, record.head.previous}].push_back(&record);
    if (record.head.kind != RecordHead::Kind::Block) continue;
    const Name name{number, options_.name_of(record.head.previous, record.head.ids)};
    const std::pair content{record.head.previous, record.head.ids};
    if (const auto [there, added] = made_of.emplace(name, content);
        !added && there->second != content)
      ambiguous.insert(name);
  }
  struct End {
    Name name;
    StateId id;
    Tokens until;
  };
  std::deque<End> ends;
  for (const auto& [number, lineage] : lineages_)
    ends.push_back({{number, lineage.digest}, kStateStart, 0});
  for (; !ends.empty(); ends.pop_front()) {
    const End& end = ends.front();
    const auto next = following.find(end.name);
    if (next == following.end() || ambiguous.contains(end.name)) continue;
    for (auto* record : next->second) {
      const bool block = record->head.kind == RecordHead::Kind::Block;
      const StateItem* const parent = index_.item(end.id);
      // copies are there when a segment was being rewritten; a checkpoint needs its block
      if (record->head.before != end.until || (!block && (!parent || parent->checkpoint != 0)) ||
          (block && index_.child(end.name.first, end.id, record->head.ids) != kStateStart))
        continue;
      StateItem item;
      item.head = std::move(record->head);
      item.name = block ? options_.name_of(item.head.previous, item.head.ids) : item.head.previous;
      item.lineage = end.name.first;
      item.parent = end.id;
      item.place = record->place;
      const End after{{item.lineage, item.name}, kStateStart, item.until()};
      const StateId id = index_.add(std::move(item));
      if (block) ends.push_back({after.name, id, after.until});
    }
  }
}

// Whether the folder is still the one that we know. When it is not, all is forgotten, so that the
// next state that is kept begins it afresh.
Result<> States::present() {
  if (!manifest_) return Unit{};
  struct stat info{};
  const fs::path path = manifest_path(folder_);
  const bool there = ::stat(path.c_str(), &info) == 0;
  if (there && *manifest_ == FileIdentity(info.st_dev, info.st_ino)) return Unit{};
  if (!there && errno != ENOENT && errno != ENOTDIR)
    return system_error(cat("looking at '", path.string(), "'"), errno);
  lose_all();
  return Error{Code::NotFound, cat("'", path.string(),
                                   "' was removed or replaced while Lares ran: the states that "
                                   "were kept are gone, and new ones are kept from now on")};
}

Result<> States::save_manifest() {
  const fs::path path = manifest_path(folder_);
  Manifest manifest;
  for (const auto& [number, lineage] : lineages_) manifest.lineages.push_back(lineage);
  for (const auto& [number, segment] : segments_)
    manifest.segments.push_back({number, segment.salt});
  const std::string bytes = sealed_manifest(manifest, key_);
  Fd before;
  if (keys_to_destroy_) before = Fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!manifest_) TRY(make_private_folder(folder_));
  TRY(write_file(path, bytes));
  wipe(before);
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0)
    return system_error(cat("looking at '", path.string(), "'"), errno);
  manifest_ = {info.st_dev, info.st_ino};
  manifest_bytes_ = Bytes{bytes.size()};
  written_ += manifest_bytes_;
  manifest_stale_ = keys_to_destroy_ = false;
  return Unit{};
}

Result<> States::sync_folder() const {
  const std::string doing = cat("syncing '", folder_.string(), "'");
  const Fd fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error(doing, errno);
  if (::fsync(fd.get()) != 0) return system_error(doing, errno);
  return Unit{};
}

}  // namespace lares::store
