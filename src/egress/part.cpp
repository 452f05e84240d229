#include "egress/part.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace lares::egress {
namespace {

constexpr size_t kBlock = 1u << 20;
// 32 records for each chunk, of a file of 1 TiB
constexpr uint64_t kJournalMax = uint64_t{256} << 20;

Error disk_error(std::string_view doing, int reason) {
  Error error = system_error(doing, reason);
  if (error.code == Code::NoRoom) error.message += "; make room, and pull it again to go on";
  return error;
}

Result<> write_at(int fd, std::string_view bytes, uint64_t at, std::string_view doing) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return disk_error(doing, errno);
    bytes.remove_prefix(static_cast<size_t>(put));
    at += static_cast<uint64_t>(put);
  }
  return Unit{};
}

// Reads `size` bytes from `at` on, block by block. False from `use` or the end of the file ends it.
template <class Use>
Result<uint64_t> read_blocks(int fd, uint64_t at, uint64_t size, Use use) {
  std::string block(static_cast<size_t>(std::min<uint64_t>(kBlock, size)), '\0');
  uint64_t read = 0;
  while (read < size) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(block.size(), size - read));
    const ssize_t got = ::pread(fd, block.data(), wanted, static_cast<off_t>(at + read));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return disk_error("reading what was fetched", errno);
    if (got == 0) break;
    read += static_cast<uint64_t>(got);
    if (!use(std::string_view(block.data(), static_cast<size_t>(got)))) break;
  }
  return read;
}

Error stopped() { return {Code::Cancelled, "it was stopped"}; }

}  // namespace

Result<Part> Part::open(int part, int journal, uint64_t size, const std::string& identity,
                        bool check, const Tick& tick) {
  assert(size <= kFileSizeMax);
  Part opened(part, journal, size);
  struct stat info{};
  if (::fstat(journal, &info) != 0) return disk_error("reading the journal of a pull", errno);
  std::string text;
  const uint64_t there = std::min(static_cast<uint64_t>(info.st_size), kJournalMax);
  TRY(read_blocks(journal, 0, there, [&](std::string_view block) {
    text += block;
    return true;
  }));
  auto read = read_journal(text, size, identity);
  if (!read) {
    read = Journal{std::vector<ChunkState>(chunks_of(size)), 0};
    if (::ftruncate(journal, 0) != 0) return disk_error("beginning the journal of a pull", errno);
    TRY(opened.append(head_record(size, identity)));
  } else {
    if (::ftruncate(journal, static_cast<off_t>(read->good_bytes)) != 0)
      return disk_error("going on with the journal of a pull", errno);
    opened.journal_end_ = read->good_bytes;
  }
  opened.states_ = std::move(read->chunks);
  for (size_t chunk = 0; chunk < opened.states_.size(); chunk++) {
    const bool whole = opened.is_whole(chunk);
    if (opened.have(chunk) > 0 && (!whole || check))
      TRY(opened.verify(chunk, opened.states_[chunk].digest, tick));
    opened.done_ += opened.have(chunk);
  }
  return opened;
}

Result<> Part::verify(size_t chunk, const HalfDigest& digest, const Tick& tick) {
  if (!tick()) return stopped();
  Sha256 hash;
  ChunkState& state = states_[chunk];
  TRY_AS(const uint64_t read,
         read_blocks(part_, uint64_t{chunk} * kChunkSize, state.have, [&](std::string_view block) {
           hash.add(block);
           return true;
         }));
  if (read != state.have || half(hash.so_far()) != digest) {
    state = {};
  } else if (!is_whole(chunk)) {
    hashes_.insert_or_assign(chunk, std::move(hash));
  }
  return Unit{};
}

Result<> Part::append(std::string_view records) {
  TRY(write_at(journal_, records, journal_end_, "writing the journal of a pull"));
  journal_end_ += records.size();
  return Unit{};
}

Result<> Part::write(size_t chunk, std::string_view bytes) {
  ChunkState& state = states_[chunk];
  assert(bytes.size() <= size_of_chunk(size_, chunk) - state.have);
  TRY(write_at(part_, bytes, uint64_t{chunk} * kChunkSize + state.have,
               "writing the model's file"));
  hashes_[chunk].add(bytes);
  state.have += static_cast<uint32_t>(bytes.size());
  changed_[chunk] = true;
  done_ += bytes.size();
  unrecorded_ += bytes.size();
  unsaved_ += bytes.size();
  return Unit{};
}

Result<> Part::record() {
  if (changed_.empty()) return Unit{};
  std::string records;
  for (const auto& [chunk, _] : changed_) {
    ChunkState& state = states_[chunk];
    state.digest = half(hashes_[chunk].so_far());
    records += chunk_record(chunk, state);
    if (is_whole(chunk)) hashes_.erase(chunk);
  }
  TRY(append(records));
  changed_.clear();
  unrecorded_ = 0;
  return Unit{};
}

Result<> Part::checkpoint() {
  if (unsaved_ == 0) return Unit{};
  if (::fdatasync(part_) != 0) return disk_error("writing the model's file", errno);
  TRY(record());
  if (::fdatasync(journal_) != 0) return disk_error("writing the journal of a pull", errno);
  unsaved_ = 0;
  return Unit{};
}

Result<Digest> sha256_of_file(int file, uint64_t size, const Tick& tick) {
  Sha256 hash;
  bool go_on = true;
  TRY_AS(const uint64_t read, read_blocks(file, 0, size, [&](std::string_view block) {
           hash.add(block);
           go_on = tick();
           return go_on;
         }));
  if (!go_on) return stopped();
  if (read != size)
    return Error{Code::Corrupt, cat("reading what was fetched: it has ", read, " bytes of ", size)};
  return hash.so_far();
}

}  // namespace lares::egress
