// DurableLog: the one append-only format for everything that must outlive a process. A record is
//
//   length u32 | type u32 | sequence u64 | payload | crc32c u32 | chain u64       all little-endian
//
// crc32c is over all before it; chain is the first 8 bytes of a hash over the record before and
// this one, so that a record cut out of the middle is seen. The file begins with "LARESLOG" and a
// format number. On opening, whole records are replayed; a torn one at the end is cut off; anything
// else that does not fit is set aside under a new name, never overwritten, and a fresh file begun
// with what was whole. An fsync error stops the log: every later append answers it, and reopening
// replays what is there. One thread at a time. Blocking: not for the run loop, except where fsync
// is left to sync().
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace lares::store {

inline constexpr uint32_t kLogFormat = 1;
inline constexpr uint32_t kRecordMax = 4u << 20;

class DurableLog {
 public:
  struct Record {
    uint32_t type;
    uint64_t sequence;
    std::string_view payload;  // valid during the call
  };
  using Replay = std::function<void(const Record&)>;

  struct Opened;
  // Opens or begins the file, mode 0600, and replays its records in order. Unsupported: a newer
  // format.
  static Result<Opened> open(const std::filesystem::path& file, const Replay& replay);

  // Writes one record; it is durable after the next sync(). Requires: payload no longer than
  // kRecordMax.
  Result<> append(uint32_t type, std::string_view payload);
  Result<> sync();
  uint64_t next_sequence() const { return next_sequence_; }
  Bytes size() const { return size_; }

 private:
  DurableLog() = default;
  std::filesystem::path path_;
  Fd fd_;
  uint64_t next_sequence_ = 1;
  uint64_t chain_ = 0;
  Bytes size_;
  Result<> broken_ = Unit{};  // the first write or sync that went wrong
};

struct DurableLog::Opened {
  DurableLog log;
  uint64_t cut_bytes = 0;           // of a torn last record
  std::filesystem::path set_aside;  // where the damaged file is now; empty: there was none
};

// CRC-32C (Castagnoli, RFC 3720) of `bytes`, going on from `crc`.
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

}  // namespace lares::store
