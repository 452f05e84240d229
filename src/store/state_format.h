// What stands in the files of the state store, byte by byte, and nothing of how they are read or
// written. All numbers little-endian. Pure.
//
//   segment   "LARESSEG" | format u32 | crc32c u32 | number u64 | zeros to 64
//             then records, each at a multiple of 64 bytes:
//   record    header (64, in clear) | sealed head | sealed state | zeros to a multiple of 64
//   header    "LRST" | mark u8 | zeros 3 | counter u64 | lineage 16 | head bytes u32 | zeros 4 |
//             state bytes u64 | zeros 12 | crc32c u32
//   head      kind u8 | zeros 3 | tokens before u32 | tokens u32 | last use s u64 | saves ms f64 |
//             previous name 32 | token ids i32 each
//   manifest  "LARESSTM" | format u32 | crc32c u32 | salt 32 | sealed: lineages with their keys,
//   segments with
//             their salts
//
// In clear are lengths (so how many tokens a block has), which records are of one lineage (its
// number is random), and that a record is dead. Tokens, names, principals and models are sealed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "store/state_sealing.h"

namespace lares::store {

inline constexpr uint32_t kStatesFormat = 1;
inline constexpr size_t kStateAlign = 64;  // of records; also the length of both headers
inline constexpr Tokens kBlockTokensMax = 512;
inline constexpr Bytes kStateBytesMax = GiB(1);  // of one record
inline constexpr size_t kLineagesMax = 4096;
inline constexpr size_t kSegmentsMax = 65536;

using LineageNumber = std::array<uint8_t, 16>;

struct RecordHeader {
  bool live = true;
  uint64_t counter = 0;  // in its segment; half of the nonce
  LineageNumber lineage{};
  uint32_t head_bytes = 0;   // with the tag
  uint64_t state_bytes = 0;  // with the tag

  uint64_t head_at() const { return kStateAlign; }
  uint64_t state_at() const { return kStateAlign + head_bytes; }
  // With the zeros behind it.
  uint64_t size() const {
    return (state_at() + state_bytes + kStateAlign - 1) / kStateAlign * kStateAlign;
  }
};

struct RecordHead {
  enum class Kind : uint8_t { Block, Checkpoint };
  Kind kind = Kind::Block;
  Tokens before = 0;        // of a checkpoint: all that it stands for
  uint64_t last_use_s = 0;  // since 1970
  double saves_ms = 0;      // finite, not negative
  Digest previous{};        // name of the block before; of a checkpoint: of the block that it is at
  std::vector<int32_t> ids;  // of a checkpoint: none
};

struct Manifest {
  struct Lineage {
    LineageNumber number{};
    Digest digest{};
    SealKey key;
    std::string principal, model;
  };
  struct Segment {
    uint64_t number = 0;
    Digest salt{};
  };
  std::vector<Lineage> lineages;
  std::vector<Segment> segments;
};

std::string segment_header(uint64_t number);

std::string encoded(const RecordHeader& header);
// Nothing: this is no header, or a damaged one, or one over our limits.
std::optional<RecordHeader> record_header(std::string_view bytes);

std::string encoded(const RecordHead& head);
std::optional<RecordHead> record_head(std::string_view plain);

// What a sealed part of a record is tied to. part 0: the head; part 1: the state, and `name`.
std::string record_bound(uint32_t part, uint64_t segment, uint64_t offset, const Digest& lineage,
                         const RecordHeader& header, const Digest& name);

// The manifest in clear, as it is before sealing.
std::string encoded(const Manifest& manifest);
std::optional<Manifest> manifest_in(std::string_view plain);

// The whole file, under a key that is derived from `key` and a salt drawn for this one writing.
std::string sealed_manifest(const Manifest& manifest, const SealKey& key);
struct ManifestFile {
  bool newer = false;  // of a format that we do not know
  std::optional<Manifest> manifest;
};
ManifestFile opened_manifest(std::string_view file, const SealKey& key);

}  // namespace lares::store
