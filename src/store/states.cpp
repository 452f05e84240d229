#include "store/states.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/text.h"

namespace lares::store {
namespace {

// Below this a second thread costs more than it saves.
constexpr Bytes kReadTogetherMin = MiB(4);

void add_text(std::string& out, std::string_view text) {
  const uint64_t size = text.size();
  for (size_t i = 0; i < 8; i++) out += static_cast<char>((size >> (8 * i)) & 0xFF);
  out += text;
}

Digest digest_of(const Lineage& lineage) {
  std::string all = "lares states lineage";
  add_text(all, lineage.principal);
  add_text(all, lineage.model_digest);
  add_text(all, std::to_string(lineage.adapters.size()));
  for (const auto& adapter : lineage.adapters) {
    add_text(all, adapter.id);
    add_text(all, std::to_string(std::bit_cast<uint32_t>(adapter.scale)));
  }
  add_text(all, lineage.cache_type);
  add_text(all, lineage.engine);
  add_text(all, lineage.needs_checkpoint ? "checkpoint" : "blocks");
  return sha256(all);
}

Result<> check(const Lineage& lineage) {
  for (const auto& [what, text] :
       {std::pair<std::string_view, std::string_view>{"principal", lineage.principal},
        {"model's digest", lineage.model_digest}}) {
    if (text.size() > kLineageTextMax)
      return Error{Code::Invalid, cat("keeping a state: the ", what, " has ", text.size(),
                                      " bytes; at most ", kLineageTextMax, " are taken")};
  }
  return Unit{};
}

Result<> check(std::span<const std::byte> state, double saves_ms) {
  if (state.size() > kStateBytesMax.n)
    return Error{Code::Invalid, cat("keeping a state: it has ", Bytes{state.size()}, "; at most ",
                                    kStateBytesMax, " are taken: make shorter blocks")};
  if (!std::isfinite(saves_ms) || saves_ms < 0)
    return Error{Code::Invalid,
                 cat("keeping a state: it cannot save ", saves_ms, " ms; give 0 or more")};
  return Unit{};
}

Error not_there(std::string_view doing) {
  return {Code::NotFound, cat(doing,
                              ": what it names was given up meanwhile; find() says how much "
                              "of the conversation is kept")};
}

}  // namespace

std::vector<Tokens> block_ends(Tokens from, Tokens until, Tokens block) {
  assert(block > 0);
  assert(from <= until);
  std::vector<Tokens> ends;
  while (from < until) {
    from += std::min(block, until - from);
    ends.push_back(from);
  }
  return ends;
}

States::States(std::filesystem::path folder, SealKey key, const Clock& clock, StatesOptions options)
    : folder_(std::move(folder)), key_(std::move(key)), clock_(&clock), options_(options) {}

Result<StateId> States::put(const Lineage& lineage, StateId after, const NewBlock& block) {
  TRY(check(lineage));
  TRY(check(block.state, block.saves_ms));
  if (block.ids.empty() || block.ids.size() > kBlockTokensMax)
    return Error{Code::Invalid, cat("keeping a state: a block has 1 to ", kBlockTokensMax,
                                    " tokens, this one has ", block.ids.size())};
  TRY(present());
  const Digest digest = digest_of(lineage);
  TRY_AS(const Manifest::Lineage owner, lineage_to_write(lineage, digest));
  StateItem item;
  item.head.previous = digest;
  if (after != kStateStart) {
    const StateItem* const before = index_.item(after);
    if (!before || !before->is_block() || before->lineage != owner.number)
      return not_there("keeping a state");
    item.head.before = before->until();
    item.head.previous = before->name;
  }
  const uint64_t now = now_s();
  if (after != kStateStart) index_.touch(after, now);
  if (const StateId there = index_.child(owner.number, after, block.ids); there != kStateStart) {
    index_.touch(there, now);
    return there;
  }
  item.head.last_use_s = now;
  item.head.saves_ms = block.saves_ms;
  item.head.ids.assign(block.ids.begin(), block.ids.end());
  item.name = options_.name_of(item.head.previous, block.ids);
  item.lineage = owner.number;
  item.parent = after;
  return write(std::move(item), block.state);
}

Result<StateId> States::put_checkpoint(const Lineage& lineage, StateId at,
                                       std::span<const std::byte> state, double saves_ms) {
  TRY(check(lineage));
  TRY(check(state, saves_ms));
  TRY(present());
  const auto number = numbers_.find(digest_of(lineage));
  const StateItem* const block = index_.item(at);
  if (!block || !block->is_block() || number == numbers_.end() || block->lineage != number->second)
    return not_there("keeping a checkpoint");
  index_.touch(at, now_s());
  if (block->checkpoint != kStateStart) {
    index_.touch(block->checkpoint, now_s());
    return block->checkpoint;
  }
  StateItem item;
  item.head.kind = RecordHead::Kind::Checkpoint;
  item.head.before = block->until();
  item.head.last_use_s = now_s();
  item.head.saves_ms = saves_ms;
  item.head.previous = block->name;
  item.name = block->name;
  item.lineage = block->lineage;
  item.parent = at;
  return write(std::move(item), state);
}

Result<StateId> States::write(StateItem item, std::span<const std::byte> state) {
  const std::string doing = cat("keeping a state of ", Bytes{state.size()});
  RecordHeader header;
  header.head_bytes = static_cast<uint32_t>(encoded(item.head).size() + kSealTagBytes);
  header.state_bytes = state.size() + kSealTagBytes;
  if (auto room = make_room(Bytes{header.size()}, item.parent); !room)
    return std::move(room).error().within(doing);
  // what makes room reads what it moves, and may have come across damage
  if (item.parent != kStateStart && !index_.item(item.parent)) return not_there(doing);
  if (auto ready = open_writer(header.size()); !ready)
    return std::move(ready).error().within(doing);
  auto place = writer_->append(lineages_.at(item.lineage), item.head, item.name, state.size(),
                               [&](std::span<std::byte> out) -> Result<> {
                                 if (!out.empty())
                                   std::memcpy(out.data(), state.data(), out.size());
                                 state = state.subspan(out.size());
                                 return Unit{};
                               });
  segments_.at(writer_->number()).size = writer_->size();
  if (!place) return std::move(place).error().within(doing);
  written_ += Bytes{place->header.size()};
  item.place = *place;
  return index_.add(std::move(item));
}

Result<Manifest::Lineage> States::lineage_to_write(const Lineage& lineage, const Digest& digest) {
  if (const auto number = numbers_.find(digest); number != numbers_.end())
    return lineages_.at(number->second);
  if (lineages_.size() >= kLineagesMax) {
    std::erase_if(lineages_, [&](const auto& each) {
      if (!index_.of_lineage(each.first).empty()) return false;
      numbers_.erase(each.second.digest);
      return true;
    });
  }
  if (lineages_.size() >= kLineagesMax)
    return Error{Code::NoRoom,
                 cat("keeping a state: ", lineages_.size(),
                     " combinations of principal, model and "
                     "engine have states; forget those of models that are not used any more")};
  Manifest::Lineage made{random_bytes<LineageNumber>(), digest, SealKey::random(),
                         lineage.principal, lineage.model_digest};
  numbers_.emplace(digest, made.number);
  lineages_.emplace(made.number, made);
  manifest_stale_ = true;  // written before the first record of it is
  return made;
}

Result<> States::sync() {
  TRY(present());
  Result<> all = Unit{};
  const auto each = [&](SegmentWriter& writer) {
    if (auto synced = sync(writer); !synced && all) all = std::move(synced);
  };
  for (SegmentWriter& writer : retired_) each(writer);
  retired_.clear();
  if (writer_) {
    each(*writer_);
    if (!all) writer_.reset();
  }
  TRY(all);
  if (folder_unsynced_) TRY(sync_folder());
  folder_unsynced_ = false;
  return Unit{};
}

Result<> States::sync(SegmentWriter& writer) {
  const uint64_t number = writer.number();
  if (writer.removed()) {
    lose_segment(number, 0);
    return Error{Code::NotFound,
                 cat("syncing '", segment_path(folder_, number).string(),
                     "': it was removed while Lares ran; its states are computed again")};
  }
  const uint64_t synced = writer.synced_size();
  auto done = writer.sync();
  if (!done) lose_segment(number, synced);
  return done;
}

States::Found States::find(const Lineage& lineage, std::span<const int32_t> ids) {
  Found found;
  const auto number = numbers_.find(digest_of(lineage));
  if (number == numbers_.end()) return found;
  const uint64_t now = now_s();
  const auto held = [&](StateId id) {
    index_.touch(id, now);
    const StateItem& item = *index_.item(id);
    found.size += item.state_bytes();
    return Held{id, item.head.before, item.until(), item.state_bytes()};
  };
  for (const StateId id : index_.longest(number->second, ids, lineage.needs_checkpoint)) {
    found.blocks.push_back(held(id));
    found.tokens = found.blocks.back().until;
  }
  if (lineage.needs_checkpoint && !found.blocks.empty())
    found.checkpoint = held(index_.item(found.blocks.back().id)->checkpoint);
  return found;
}

// One state to read: by whichever thread comes to it.
struct States::Job {
  const StateItem* item;
  const Digest* salt;
  const Manifest::Lineage* lineage;
  std::shared_ptr<const Fd> fd;
  std::span<std::byte> into;
  Result<> done = Unit{};
};

Result<std::vector<States::Job>> States::jobs(std::span<const StateId> ids,
                                              std::span<std::byte> into) {
  uint64_t total = 0;
  for (const StateId id : ids) {
    const StateItem* const item = index_.item(id);
    if (!item) return not_there("reading a state");
    total += item->state_bytes().n;
  }
  if (total != into.size())
    return Error{Code::Invalid, cat("reading ", ids.size(), " states: they have ", total,
                                    " bytes, and there is a place of ", into.size())};
  std::vector<Job> all;
  std::map<uint64_t, std::shared_ptr<const Fd>> files;
  for (const StateId id : ids) {
    const StateItem& item = *index_.item(id);
    std::shared_ptr<const Fd>& fd = files[item.place.segment];
    if (!fd) {
      const auto path = segment_path(folder_, item.place.segment);
      Fd opened_file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
      if (!opened_file) {
        Error error = system_error(cat("opening '", path.string(), "'"), errno);
        if (error.code == Code::NotFound) lose_segment(item.place.segment, 0);
        return error;
      }
      fd = std::make_shared<const Fd>(std::move(opened_file));
    }
    const uint64_t size = item.state_bytes().n;
    all.push_back({&item, &segments_.at(item.place.segment).salt, &lineages_.at(item.lineage), fd,
                   into.first(size)});
    into = into.subspan(size);
  }
  return all;
}

Result<> States::read(std::span<const StateId> ids, std::span<std::byte> into) {
  const auto zeros = [&] { std::ranges::fill(into, std::byte{0}); };
  auto made = jobs(ids, into);
  if (!made) {
    zeros();
    return std::move(made).error();
  }
  std::vector<Job>& all = *made;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    const auto scratch = std::make_unique_for_overwrite<char[]>(kSealChunk);
    for (size_t i = next++; i < all.size(); i = next++) {
      Job& job = all[i];
      StateReader reader(*job.fd, {scratch.get(), kSealChunk}, job.item->place, *job.salt,
                         *job.lineage, job.item->name);
      job.done = reader.next(job.into);
    }
  };
  {
    std::vector<std::jthread> others;
    const size_t threads =
        into.size() < kReadTogetherMin.n ? 1 : std::min<size_t>(options_.read_threads, all.size());
    for (size_t i = 1; i < threads; i++) others.emplace_back(work);
    work();
  }
  Result<> whole = Unit{};
  for (size_t i = 0; i < all.size(); i++) {
    if (all[i].done) continue;
    if (whole) whole = std::move(all[i].done).error().within("reading a state");
    // one that goes on from another that was damaged went with it
    if (index_.item(ids[i])) quarantine(ids[i]);
  }
  if (!whole) zeros();
  return whole;
}

void States::give_up(StateId id) {
  for (const StateItem& item : index_.remove(id)) mark_dead(folder_, item.place);
}

void States::quarantine(StateId id) {
  quarantined_++;
  give_up(id);
}

void States::lose_segment(uint64_t segment, uint64_t from) {
  for (const StateId id : index_.of_segment(segment)) {
    const StateItem* const item = index_.item(id);
    if (item && item->place.offset >= from) give_up(id);
  }
  if (from > 0) return;
  segments_.erase(segment);
  manifest_stale_ = true;
}

void States::lose_all() {
  index_.clear();
  lineages_.clear();
  numbers_.clear();
  segments_.clear();
  writer_.reset();
  retired_.clear();
  manifest_.reset();
  manifest_bytes_ = {};
  manifest_stale_ = keys_to_destroy_ = folder_unsynced_ = false;
}

uint64_t States::now_s() const {
  return static_cast<uint64_t>(std::max<int64_t>(0, unix_ms(clock_->wall()) / 1000));
}

States::Figures States::figures() const {
  Figures figures;
  figures.cap = options_.cap;
  figures.disk = disk();
  figures.live = index_.live();
  figures.written = written_;
  figures.blocks = index_.blocks();
  figures.checkpoints = index_.checkpoints();
  figures.lineages = index_.lineages();
  figures.segments = segments_.size();
  figures.quarantined = quarantined_;
  return figures;
}

}  // namespace lares::store
