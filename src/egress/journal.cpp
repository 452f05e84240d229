#include "egress/journal.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace lares::egress {
namespace {

constexpr uint32_t kMagic = 0x314A524C;  // "LRJ1"
constexpr size_t kDigestAt = 24;
constexpr size_t kCheckAt = 40;
constexpr size_t kCheckSize = 8;

enum class Kind : uint32_t { File = 1, Chunk = 2 };

template <class Int>
void put(std::string& out, Int value) {
  for (size_t i = 0; i < sizeof(Int); i++) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

template <class Int>
Int number_at(std::string_view bytes, size_t at) {
  Int value = 0;
  for (size_t i = 0; i < sizeof(Int); i++)
    value |= static_cast<Int>(static_cast<Int>(static_cast<uint8_t>(bytes[at + i])) << (8 * i));
  return value;
}

std::string record(Kind kind, uint32_t chunk, uint32_t have, uint64_t size,
                   const HalfDigest& digest) {
  std::string out;
  put(out, kMagic);
  put(out, static_cast<uint32_t>(kind));
  put(out, chunk);
  put(out, have);
  put(out, size);
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  const Digest check = sha256(out);
  out.append(reinterpret_cast<const char*>(check.data()), kCheckSize);
  assert(out.size() == kRecordSize);
  return out;
}

bool is_whole(std::string_view bytes) {
  const Digest check = sha256(bytes.substr(0, kCheckAt));
  return number_at<uint32_t>(bytes, 0) == kMagic &&
         std::memcmp(bytes.data() + kCheckAt, check.data(), kCheckSize) == 0;
}

}  // namespace

HalfDigest half(const Digest& digest) {
  HalfDigest first{};
  std::copy_n(digest.begin(), first.size(), first.begin());
  return first;
}

size_t chunks_of(uint64_t size) {
  assert(size <= kFileSizeMax);
  return static_cast<size_t>((size + kChunkSize - 1) / kChunkSize);
}

uint32_t size_of_chunk(uint64_t size, size_t chunk) {
  const uint64_t begin = uint64_t{chunk} * kChunkSize;
  assert(begin < size);
  return static_cast<uint32_t>(std::min<uint64_t>(kChunkSize, size - begin));
}

std::string head_record(uint64_t size, std::string_view identity) {
  return record(Kind::File, kChunkSize, 0, size, half(sha256(identity)));
}

std::string chunk_record(size_t chunk, const ChunkState& state) {
  return record(Kind::Chunk, static_cast<uint32_t>(chunk), state.have, 0, state.digest);
}

std::optional<Journal> read_journal(std::string_view bytes, uint64_t size,
                                    std::string_view identity) {
  const std::string head = head_record(size, identity);
  if (!bytes.starts_with(head)) return std::nullopt;
  Journal journal{std::vector<ChunkState>(chunks_of(size)), kRecordSize};
  for (;;) {
    const std::string_view next = bytes.substr(journal.good_bytes);
    if (next.size() < kRecordSize || !is_whole(next)) return journal;
    const auto chunk = number_at<uint32_t>(next, 8);
    const auto have = number_at<uint32_t>(next, 12);
    if (number_at<uint32_t>(next, 4) != static_cast<uint32_t>(Kind::Chunk) ||
        chunk >= journal.chunks.size() || have > size_of_chunk(size, chunk))
      return journal;
    ChunkState& state = journal.chunks[chunk];
    state.have = have;
    std::memcpy(state.digest.data(), next.data() + kDigestAt, state.digest.size());
    journal.good_bytes += kRecordSize;
  }
}

}  // namespace lares::egress
