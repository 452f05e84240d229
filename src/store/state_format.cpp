#include "store/state_format.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "store/log.h"

namespace lares::store {
namespace {

constexpr std::string_view kSegmentMagic = "LARESSEG";
constexpr std::string_view kManifestMagic = "LARESSTM";
constexpr std::string_view kRecordMagic = "LRST";
constexpr char kLive = 'L', kDead = 'D';
constexpr size_t kMarkAt = 4;
constexpr size_t kHeadBytesMin = 60;
constexpr size_t kManifestStart = 8 + 4 + 4;  // of every format
constexpr size_t kManifestHead = kManifestStart + 32;
constexpr size_t kNameBytesMax = 4096;  // of a principal or a model, in the manifest

template <class Int>
void put(std::string& out, Int value) {
  for (size_t i = 0; i < sizeof(Int); i++) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint32_t>(text.size()));
  out += text;
}

// Takes from the front; after the first thing that is not there all answers are zeros.
class Reader {
 public:
  explicit Reader(std::string_view rest) : rest_(rest) {}
  std::string_view bytes(size_t count) {
    if (rest_.size() < count) ok_ = false;
    if (!ok_) return {};
    const std::string_view out = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return out;
  }
  template <class Int>
  Int number() {
    Int value = 0;
    const std::string_view taken = bytes(sizeof(Int));
    for (size_t i = 0; i < taken.size(); i++)
      value = static_cast<Int>(value | (Int{static_cast<unsigned char>(taken[i])} << (8 * i)));
    return value;
  }
  template <class Array>
  Array array() {
    Array out{};
    const std::string_view taken = bytes(out.size());
    if (ok_) std::memcpy(out.data(), taken.data(), taken.size());
    return out;
  }
  std::string text() {
    const auto size = number<uint32_t>();
    if (size > kNameBytesMax) ok_ = false;
    return std::string(bytes(ok_ ? size : 0));
  }
  void zeros(size_t count) {
    if (bytes(count).find_first_not_of('\0') != std::string_view::npos) ok_ = false;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

std::string segment_header(uint64_t number) {
  std::string tail;
  put(tail, number);
  tail.resize(kStateAlign - 16, '\0');
  std::string out(kSegmentMagic);
  put(out, kStatesFormat);
  put(out, crc32c(tail, crc32c(out)));
  return out + tail;
}

std::string encoded(const RecordHeader& header) {
  std::string out(kRecordMagic);
  out += header.live ? kLive : kDead;
  out.append(3, '\0');
  put(out, header.counter);
  out += view_of(header.lineage);
  put(out, header.head_bytes);
  out.append(4, '\0');
  put(out, header.state_bytes);
  out.append(12, '\0');
  put(out, crc32c(out));
  return out;
}

std::optional<RecordHeader> record_header(std::string_view bytes) {
  if (bytes.size() < kStateAlign || !bytes.starts_with(kRecordMagic)) return std::nullopt;
  Reader in(bytes.substr(kMarkAt, kStateAlign - kMarkAt));
  RecordHeader header;
  const char mark = in.bytes(1)[0];
  in.zeros(3);
  header.live = mark == kLive;
  header.counter = in.number<uint64_t>();
  header.lineage = in.array<LineageNumber>();
  header.head_bytes = in.number<uint32_t>();
  in.zeros(4);
  header.state_bytes = in.number<uint64_t>();
  in.zeros(12);
  const auto crc = in.number<uint32_t>();
  constexpr size_t kHeadMax = kHeadBytesMin + 4 * size_t{kBlockTokensMax} + kSealTagBytes;
  if (!in.done() || (mark != kLive && mark != kDead) ||
      crc != crc32c(bytes.substr(0, kStateAlign - 4)) ||
      header.head_bytes < kHeadBytesMin + kSealTagBytes || header.head_bytes > kHeadMax ||
      header.state_bytes < kSealTagBytes || header.state_bytes > kStateBytesMax.n + kSealTagBytes)
    return std::nullopt;
  return header;
}

std::string encoded(const RecordHead& head) {
  std::string out(1, static_cast<char>(head.kind));
  out.append(3, '\0');
  put(out, uint32_t{head.before});
  put(out, static_cast<uint32_t>(head.ids.size()));
  put(out, head.last_use_s);
  put(out, std::bit_cast<uint64_t>(head.saves_ms));
  out += view_of(head.previous);
  for (const int32_t id : head.ids) put(out, static_cast<uint32_t>(id));
  return out;
}

std::optional<RecordHead> record_head(std::string_view plain) {
  Reader in(plain);
  RecordHead head;
  const auto kind = in.number<uint8_t>();
  in.zeros(3);
  head.before = in.number<uint32_t>();
  const auto count = in.number<uint32_t>();
  head.last_use_s = in.number<uint64_t>();
  head.saves_ms = std::bit_cast<double>(in.number<uint64_t>());
  head.previous = in.array<Digest>();
  if (!in.ok() || kind > 1 || count > kBlockTokensMax || (count == 0) != (kind == 1) ||
      !std::isfinite(head.saves_ms) || head.saves_ms < 0 || head.before > UINT32_MAX - count)
    return std::nullopt;
  head.kind = static_cast<RecordHead::Kind>(kind);
  head.ids.reserve(count);
  for (uint32_t i = 0; i < count; i++)
    head.ids.push_back(static_cast<int32_t>(in.number<uint32_t>()));
  if (!in.done()) return std::nullopt;
  return head;
}

std::string record_bound(uint32_t part, uint64_t segment, uint64_t offset, const Digest& lineage,
                         const RecordHeader& header, const Digest& name) {
  RecordHeader marked = header;
  marked.live = true;  // the mark may change; all else may not
  std::string out = "lares states record";
  put(out, kStatesFormat);
  put(out, part);
  put(out, segment);
  put(out, offset);
  out += view_of(lineage);
  out += encoded(marked);
  if (part != 0) out += view_of(name);
  return out;
}

std::string encoded(const Manifest& manifest) {
  std::string out;
  put(out, static_cast<uint32_t>(manifest.lineages.size()));
  for (const auto& lineage : manifest.lineages) {
    out += view_of(lineage.number);
    out += view_of(lineage.digest);
    out += lineage.key.view();
    put_text(out, lineage.principal);
    put_text(out, lineage.model);
  }
  put(out, static_cast<uint32_t>(manifest.segments.size()));
  for (const auto& segment : manifest.segments) {
    put(out, segment.number);
    out += view_of(segment.salt);
  }
  return out;
}

std::optional<Manifest> manifest_in(std::string_view plain) {
  Reader in(plain);
  Manifest manifest;
  const auto lineages = in.number<uint32_t>();
  if (lineages > kLineagesMax) return std::nullopt;
  for (uint32_t i = 0; i < lineages && in.ok(); i++) {
    const auto number = in.array<LineageNumber>();
    const auto digest = in.array<Digest>();
    const std::string_view key = in.bytes(kSealKeyBytes);
    if (!in.ok()) return std::nullopt;
    manifest.lineages.push_back({number, digest, SealKey(key), in.text(), in.text()});
  }
  const auto segments = in.number<uint32_t>();
  if (segments > kSegmentsMax) return std::nullopt;
  for (uint32_t i = 0; i < segments && in.ok(); i++) {
    const auto number = in.number<uint64_t>();
    manifest.segments.push_back({number, in.array<Digest>()});
  }
  if (!in.done()) return std::nullopt;
  return manifest;
}

namespace {

SealKey manifest_key(const SealKey& key, std::string_view salt) {
  return key.derived("lares states manifest", salt);
}

}  // namespace

std::string sealed_manifest(const Manifest& manifest, const SealKey& key) {
  std::string out(kManifestMagic);
  put(out, kStatesFormat);
  put(out, crc32c(out));
  const auto salt = random_bytes<Digest>();
  out += view_of(salt);
  return out + sealed(manifest_key(key, view_of(salt)), 0, 0, out, encoded(manifest));
}

ManifestFile opened_manifest(std::string_view file, const SealKey& key) {
  if (file.size() < kManifestStart || !file.starts_with(kManifestMagic)) return {};
  Reader in(file.substr(kManifestMagic.size()));
  const auto format = in.number<uint32_t>();
  // the checksum tells a newer format from a damaged number
  if (in.number<uint32_t>() != crc32c(file.substr(0, kManifestMagic.size() + 4))) return {};
  if (format > kStatesFormat) return {true, std::nullopt};
  if (file.size() < kManifestHead) return {};
  const std::string_view salt = in.bytes(sizeof(Digest));
  const auto plain = opened(manifest_key(key, salt), 0, 0, file.substr(0, kManifestHead),
                            file.substr(kManifestHead));
  if (!plain) return {};
  return {false, manifest_in(*plain)};
}

}  // namespace lares::store
