// One segment of the state store: a file of sealed records that only grows. Writing records at its
// end, finding them again, reading their state. What is live and what is worth keeping others know
// (state_index.h, states.h).
//
// A record's key comes from its lineage's key and its segment's salt, which stands in the manifest
// alone; its nonce is a counter that goes on even when a write went wrong. A segment is only
// written to by the process that began it, so that no pair of key and nonce is ever used twice,
// whatever is done to the files meanwhile. One thread at a time for each object. Blocking.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "store/state_format.h"

namespace lares::store {

// Where a record lies.
struct RecordPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;
  RecordHeader header;
};

std::filesystem::path segment_path(const std::filesystem::path& folder, uint64_t number);

// The lineage of that number; nullptr: there is none (any more).
using LineageOf = std::function<const Manifest::Lineage*(const LineageNumber&)>;
// What a block is called: a hash of the name before and its tokens.
using NameOf = Digest (*)(const Digest& previous, std::span<const int32_t> ids);
Digest block_name(const Digest& previous, std::span<const int32_t> ids);

struct ScannedSegment {
  struct Record {
    RecordPlace place;
    const Manifest::Lineage* lineage;
    RecordHead head;
  };
  std::vector<Record> records;  // that are live and whose heads open
  uint64_t size = 0;            // of the file, without a torn end
  uint64_t torn = 0;            // bytes of that
  size_t damaged = 0;           // records that are not what was written
};
// Reads headers and heads alone. Corrupt: this is no segment of that number.
Result<ScannedSegment> scan_segment(const std::filesystem::path& file,
                                    const Manifest::Segment& segment, const LineageOf& lineage_of);

// What is sealed or opened at once: it should stay in the processor's own memory between the copy
// from the page cache and the cipher.
inline constexpr size_t kSealChunk = 256 << 10;

// The state of one record, from its first byte to its last. `fd` and `scratch`, which has
// kSealChunk bytes, must outlive it.
class StateReader {
 public:
  StateReader(const Fd& fd, std::span<char> scratch, const RecordPlace& place, const Digest& salt,
              const Manifest::Lineage& lineage, const Digest& name);

  // The next `out.size()` bytes; call it once at least. With the last of them all are verified:
  // Corrupt, and what came before is worth nothing.
  Result<> next(std::span<std::byte> out);

 private:
  const int fd_;
  const std::span<char> scratch_;
  uint64_t at_;
  uint64_t left_;
  SealStream stream_;
};

class SegmentWriter {
 public:
  // Makes the file, 0600, which must not be there yet.
  static Result<SegmentWriter> begin(const std::filesystem::path& folder,
                                     const Manifest::Segment& segment);

  // Gives the next bytes of a state. An error of it ends the record, as if it had not been begun.
  using Source = std::function<Result<>(std::span<std::byte>)>;
  // Writes one record; it is durable after the next sync(). After an error the file is as long as
  // before, or the segment is broken() and takes no more.
  Result<RecordPlace> append(const Manifest::Lineage& lineage, const RecordHead& head,
                             const Digest& name, uint64_t state_bytes, const Source& source);
  Result<> sync();

  uint64_t number() const { return segment_.number; }
  uint64_t size() const { return size_; }
  uint64_t synced_size() const { return synced_size_; }  // what the last sync() made durable
  bool broken() const { return broken_; }
  // The file has no name any more.
  bool removed() const;

 private:
  SegmentWriter(std::filesystem::path file, Manifest::Segment segment, Fd fd);
  Result<> write(std::string_view bytes, uint64_t& at);
  Result<> write_state(const RecordPlace& place, SealStream stream, uint64_t state_bytes,
                       const Source& source, uint64_t& at);

  std::filesystem::path file_;
  Manifest::Segment segment_;
  Fd fd_;
  uint64_t size_ = 0;
  uint64_t counter_ = 0;
  bool broken_ = false;
  uint64_t synced_size_ = 0;
  std::unique_ptr<char[]> chunk_;
};

// Marks a record so that no scan finds it again. Without effect where that cannot be written.
void mark_dead(const std::filesystem::path& folder, const RecordPlace& place);

}  // namespace lares::store
