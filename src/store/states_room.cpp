// How the state store keeps to its cap: what is given up, and how the space of what is dead comes
// back. A segment's space comes back as a whole: it is removed when nothing in it is live, or what
// is live is sealed again into another.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "store/states.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

// When room is made, this part of the cap more than is needed: else each put would rewrite a
// segment for the sake of one block.
constexpr uint64_t kSlackPart = 10;
constexpr uint64_t kSegmentsOfCap = 8;
// compact() gathers segments below a quarter of the usual size when there are this many.
constexpr size_t kSmallMany = 8;

}  // namespace

Bytes States::disk() const {
  Bytes sum = manifest_bytes_;
  for (const auto& [number, segment] : segments_) sum += Bytes{segment.size};
  return sum;
}

uint64_t States::segment_max() const {
  return std::min(options_.segment_max.n, options_.cap.n / kSegmentsOfCap);
}

Result<> States::set_cap(Bytes cap) {
  options_.cap = cap;
  TRY(present());
  return make_room({}, kStateStart);
}

Result<> States::make_room(Bytes need, StateId kept) {
  // a first record brings a header and a longer manifest
  const Bytes around = need.n == 0 ? Bytes{} : Bytes{kStateAlign + 2 * kLineageTextMax + KiB(1).n};
  const Bytes cap = options_.cap;
  if (disk() + need + around <= cap) return Unit{};
  const auto too_little = [&] {
    return Error{Code::NoRoom,
                 cat("it needs ", need + around, ", and conversations' states may have ", cap,
                     " on disk; raise that, or make shorter blocks")};
  };
  if (need + around > cap) return too_little();
  const Bytes until = cap - need - around;
  if (need.n > 0 && manifest_bytes_ > until) return too_little();
  const Bytes slack{cap.n / kSlackPart};
  const Bytes live = until > slack + manifest_bytes_ ? until - slack - manifest_bytes_ : Bytes{};
  while (index_.live() > live) {
    const StateId least = index_.least_worth(kept);
    if (least == kStateStart) break;
    const StateItem& item = *index_.item(least);
    const bool checkpoint = !item.is_block();
    StateId block = item.parent;
    give_up(least);
    // without its checkpoint nobody can go on from these
    while (checkpoint && block != kept && block != kStateStart) {
      const StateItem& end = *index_.item(block);
      if (!end.children.empty() || end.checkpoint != kStateStart) break;
      const StateId before = end.parent;
      give_up(block);
      block = before;
    }
  }
  TRY(reclaim(until));
  TRY(settle());
  if (disk() > until) return too_little();
  return Unit{};
}

// Brings space back, where the least has to be moved for it first.
Result<> States::reclaim(Bytes until) {
  while (disk() > until) {
    uint64_t best = 0;
    double best_share = 1;
    for (const auto& [number, segment] : segments_) {
      const double share = static_cast<double>(index_.live(number).n) /
                           static_cast<double>(std::max<uint64_t>(1, segment.size - kStateAlign));
      if (share >= best_share) continue;
      best = number;
      best_share = share;
    }
    if (best == 0) return Unit{};  // all of it is live
    TRY(rewrite(best));
  }
  return Unit{};
}

Result<> States::compact() {
  TRY(present());
  std::vector<uint64_t> dead, small;
  for (const auto& [number, segment] : segments_) {
    if (writer_ && writer_->number() == number && index_.live(number).n > 0) continue;
    if (index_.live(number).n * 2 < segment.size) {
      dead.push_back(number);
    } else if (segment.size * 4 < segment_max()) {
      small.push_back(number);
    }
  }
  if (small.size() >= kSmallMany) dead.insert(dead.end(), small.begin(), small.end());
  for (const uint64_t number : dead) TRY(rewrite(number));
  return settle();
}

// Seals what is live of a segment again, in another, and removes it.
Result<> States::rewrite(uint64_t segment) {
  if (writer_ && writer_->number() == segment) retire_writer();
  const std::vector<StateId> items = index_.of_segment(segment);
  if (!items.empty()) {
    const fs::path path = segment_path(folder_, segment);
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) {
      Error error = system_error(cat("opening '", path.string(), "'"), errno);
      if (error.code != Code::NotFound) return error;
      lose_segment(segment, 0);
      return Unit{};
    }
    const auto scratch = std::make_unique_for_overwrite<char[]>(kSealChunk);
    for (const StateId id : items) {
      if (!index_.item(id)) continue;  // went with one that was damaged
      TRY_AS(const bool whole, rewrite(id, fd, {scratch.get(), kSealChunk}));
      if (!whole) quarantine(id);
    }
    TRY(sync());  // the copies are on disk before the originals go
  }
  return drop_segment(segment);
}

// False: it was damaged, and was not copied.
Result<bool> States::rewrite(StateId id, const Fd& fd, std::span<char> scratch) {
  const StateItem& item = *index_.item(id);
  TRY(open_writer(item.place.header.size()));
  const Manifest::Lineage& lineage = lineages_.at(item.lineage);
  StateReader reader(fd, scratch, item.place, segments_.at(item.place.segment).salt, lineage,
                     item.name);
  bool readable = true;
  auto place = writer_->append(lineage, item.head, item.name, item.state_bytes().n,
                               [&](std::span<std::byte> out) -> Result<> {
                                 auto read = reader.next(out);
                                 readable = bool(read);
                                 return read;
                               });
  segments_.at(writer_->number()).size = writer_->size();
  if (!readable) return false;
  if (!place) return std::move(place).error();
  written_ += Bytes{place->header.size()};
  index_.move(id, *place);
  return true;
}

Result<> States::drop_segment(uint64_t segment) {
  const fs::path path = segment_path(folder_, segment);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return system_error(cat("removing '", path.string(), "'"), errno);
  segments_.erase(segment);
  std::erase_if(retired_, [&](const SegmentWriter& each) { return each.number() == segment; });
  manifest_stale_ = true;
  return Unit{};
}

// After segments were removed: an old copy that is put back is not taken for ours. Where the disk
// is too full for that now, it is written before the next record.
Result<> States::settle() {
  if (!manifest_stale_ || !manifest_) return Unit{};
  if (auto saved = save_manifest(); !saved && saved.error().code != Code::NoRoom) return saved;
  return Unit{};
}

void States::retire_writer() {
  retired_.push_back(*std::move(writer_));
  writer_.reset();
}

// A segment to append to that has room for the record, and a manifest that has all it needs.
Result<> States::open_writer(uint64_t record_bytes) {
  if (writer_ && !segments_.contains(writer_->number())) writer_.reset();
  if (writer_ && (writer_->broken() || (writer_->size() > kStateAlign &&
                                        writer_->size() + record_bytes > segment_max())))
    retire_writer();
  if (writer_) return manifest_stale_ ? save_manifest() : Unit{};
  std::error_code ignored;
  while (fs::exists(segment_path(folder_, next_segment_), ignored)) next_segment_++;
  const uint64_t number = next_segment_++;
  if (segments_.size() >= kSegmentsMax)
    return Error{Code::NoRoom, cat("there are ", segments_.size(), " segments in '",
                                   folder_.string(), "', the most that are kept")};
  const Manifest::Segment segment{number, random_bytes<Digest>()};
  segments_.emplace(number, Segment{segment.salt, kStateAlign});
  manifest_stale_ = true;
  auto begin = [&]() -> Result<> {
    TRY(save_manifest());
    TRY_AS(writer_, SegmentWriter::begin(folder_, segment));
    folder_unsynced_ = true;
    return Unit{};
  };
  auto begun = begin();
  if (!begun) {
    segments_.erase(number);
    manifest_stale_ = true;
  }
  return begun;
}

Result<> States::forget_principal(std::string_view principal) {
  return forget([&](const Manifest::Lineage& each) { return each.principal == principal; });
}

Result<> States::forget_model(std::string_view model_digest) {
  return forget([&](const Manifest::Lineage& each) { return each.model == model_digest; });
}

Result<> States::forget(const std::function<bool(const Manifest::Lineage&)>& which) {
  TRY(present());
  std::erase_if(lineages_, [&](const auto& each) {
    if (!which(each.second)) return false;
    for (const StateId id : index_.of_lineage(each.first)) {
      if (index_.item(id)) give_up(id);
    }
    numbers_.erase(each.second.digest);
    manifest_stale_ = keys_to_destroy_ = true;
    return true;
  });
  if (!keys_to_destroy_ || !manifest_) return Unit{};
  if (writer_ && index_.live(writer_->number()).n == 0) retire_writer();
  std::vector<uint64_t> dead;
  for (const auto& [number, segment] : segments_) {
    if (index_.live(number).n == 0) dead.push_back(number);
  }
  for (const uint64_t number : dead) TRY(drop_segment(number));
  return manifest_stale_ ? save_manifest() : Unit{};
}

}  // namespace lares::store
