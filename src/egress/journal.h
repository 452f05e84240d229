// Journal: how far each chunk of a file has come, as records that survive a crash. A record is
// written after the bytes that it speaks of, so what it says is there as long as the machine runs;
// after a reboot each chunk is held against its digest (Part::open). A record that was cut off, or
// that the disk damaged, ends the journal, and what it said is fetched again. Pure.
//
//   a record, 48 bytes, little-endian:
//     0 magic u32  4 kind u32 (1: the file, 2: a chunk)   8 chunk u32  12 have u32  16 size u64
//     24 digest 16 bytes   40 check 8 bytes: the first of the SHA-256 of bytes 0..39
//   The first record is the file's: chunk: bytes of a chunk; size: bytes of the file; digest: of
//   its identity (a SHA-256 that a registry named, or URL, ETag and date), so that another file's
//   journal is never taken for this one's. Then any number of chunks', the later ones counting:
//   have: how many of its bytes, from its beginning, are there; digest: the first half of their
//   SHA-256.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "egress/sha256.h"

namespace lares::egress {

inline constexpr size_t kRecordSize = 48;
inline constexpr uint32_t kChunkSize = 8u << 20;
inline constexpr uint64_t kFileSizeMax = uint64_t{1} << 42;  // 4 TiB

using HalfDigest = std::array<uint8_t, 16>;
HalfDigest half(const Digest& digest);

struct ChunkState {
  uint32_t have = 0;
  HalfDigest digest{};
  bool operator==(const ChunkState&) const = default;
};

// Requires: size at most kFileSizeMax.
size_t chunks_of(uint64_t size);
uint32_t size_of_chunk(uint64_t size, size_t chunk);

std::string head_record(uint64_t size, std::string_view identity);
std::string chunk_record(size_t chunk, const ChunkState& state);

struct Journal {
  std::vector<ChunkState> chunks;
  size_t good_bytes = 0;  // of the text: what follows is damaged or cut off
};
// nullopt: it is the journal of another file, or none.
std::optional<Journal> read_journal(std::string_view bytes, uint64_t size,
                                    std::string_view identity);

}  // namespace lares::egress
