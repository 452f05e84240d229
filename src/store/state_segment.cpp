#include "store/state_segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/text.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

constexpr size_t kScanChunk = 4096;  // a header with its head

SealKey record_key(const Manifest::Lineage& lineage, uint64_t segment, const Digest& salt) {
  std::string of_segment(view_of(salt));
  for (size_t i = 0; i < 8; i++) of_segment += static_cast<char>((segment >> (8 * i)) & 0xFF);
  return lineage.key.derived("lares states record", of_segment);
}

// As many bytes as there are, up to `count`.
Result<size_t> read_at(int fd, void* out, size_t count, uint64_t at) {
  size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(fd, static_cast<char*>(out) + done, count - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading a segment", errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

class Scan {
 public:
  Scan(int fd, uint64_t file_size, const Manifest::Segment& segment, const LineageOf& lineage_of)
      : fd_(fd), file_size_(file_size), segment_(segment), lineage_of_(lineage_of) {}

  Result<ScannedSegment> all() {
    uint64_t at = kStateAlign;
    while (at + kStateAlign <= file_size_) {
      TRY_AS(const size_t got, read_at(fd_, bytes_.data(), bytes_.size(), at));
      const std::string_view read(bytes_.data(), got);
      const auto header = record_header(read);
      if (!header) {
        // a length that cannot be trusted: the next record is where one opens
        TRY_AS(const auto next, next_record(at + kStateAlign));
        const bool begun = read.substr(0, kStateAlign).find_first_not_of('\0') != read.npos;
        if (next || begun) found_.damaged++;
        if (!next) break;
        at = *next;
        continue;
      }
      if (at + header->size() > file_size_) break;
      take(read, {segment_.number, at, *header});
      at += header->size();
    }
    found_.size = std::min(at, file_size_);
    found_.torn = file_size_ - found_.size;
    return std::move(found_);
  }

 private:
  std::optional<ScannedSegment::Record> record(std::string_view read, const RecordPlace& place) {
    const auto* lineage = lineage_of_(place.header.lineage);
    if (!lineage || read.size() < place.header.state_at()) return std::nullopt;
    const auto plain =
        opened(record_key(*lineage, segment_.number, segment_.salt), 0, place.header.counter,
               record_bound(0, segment_.number, place.offset, lineage->digest, place.header, {}),
               read.substr(place.header.head_at(), place.header.head_bytes));
    if (!plain) return std::nullopt;
    auto head = record_head(*plain);
    if (!head) return std::nullopt;
    return ScannedSegment::Record{place, lineage, *std::move(head)};
  }

  void take(std::string_view read, const RecordPlace& place) {
    if (!place.header.live) return;
    if (!lineage_of_(place.header.lineage)) return;  // forgotten
    if (auto whole = record(read, place)) {
      found_.records.push_back(*std::move(whole));
    } else {
      found_.damaged++;
    }
  }

  // The first place from `from` on where a record of ours begins.
  Result<std::optional<uint64_t>> next_record(uint64_t from) {
    std::string block(kSealChunk, '\0');
    for (uint64_t at = from; at + kStateAlign <= file_size_; at += kSealChunk) {
      TRY_AS(const size_t got, read_at(fd_, block.data(), block.size(), at));
      for (size_t i = 0; i + kStateAlign <= got; i += kStateAlign) {
        const auto header = record_header(std::string_view(block).substr(i, kStateAlign));
        if (!header || at + i + header->size() > file_size_) continue;
        TRY_AS(const size_t size, read_at(fd_, bytes_.data(), bytes_.size(), at + i));
        if (record({bytes_.data(), size}, {segment_.number, at + i, *header}))
          return std::optional(at + i);
      }
    }
    return std::optional<uint64_t>();
  }

  const int fd_;
  const uint64_t file_size_;
  const Manifest::Segment& segment_;
  const LineageOf& lineage_of_;
  ScannedSegment found_;
  std::array<char, kScanChunk> bytes_{};
};

}  // namespace

fs::path segment_path(const fs::path& folder, uint64_t number) {
  std::string digits = std::to_string(number);
  digits.insert(0, digits.size() < 8 ? 8 - digits.size() : 0, '0');
  return folder / (digits + ".seg");
}

Digest block_name(const Digest& previous, std::span<const int32_t> ids) {
  std::string text = "lares states block";
  text += view_of(previous);
  for (const int32_t id : ids) {
    for (size_t i = 0; i < 4; i++)
      text += static_cast<char>((static_cast<uint32_t>(id) >> (8 * i)) & 0xFF);
  }
  return sha256(text);
}

Result<ScannedSegment> scan_segment(const fs::path& file, const Manifest::Segment& segment,
                                    const LineageOf& lineage_of) {
  const std::string doing = cat("opening '", file.string(), "'");
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return system_error(doing, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return system_error(doing, errno);
  std::array<char, kStateAlign> header{};
  TRY_AS(const size_t got, read_at(fd.get(), header.data(), header.size(), 0));
  // whoever began it was stopped before there was anything in it
  if (S_ISREG(info.st_mode) && got < header.size() &&
      segment_header(segment.number).starts_with(std::string_view(header.data(), got)))
    return Error{Code::NotFound, cat(doing, ": nothing was written to it yet")};
  if (!S_ISREG(info.st_mode) ||
      std::string_view(header.data(), got) != segment_header(segment.number))
    return Error{Code::Corrupt,
                 cat(doing, ": it does not begin as segment ", segment.number, " does")};
  return Scan(fd.get(), static_cast<uint64_t>(info.st_size), segment, lineage_of).all();
}

StateReader::StateReader(const Fd& fd, std::span<char> scratch, const RecordPlace& place,
                         const Digest& salt, const Manifest::Lineage& lineage, const Digest& name)
    : fd_(fd.get()),
      scratch_(scratch),
      at_(place.offset + place.header.state_at()),
      left_(place.header.state_bytes - kSealTagBytes),
      stream_(SealStream::Way::Open, record_key(lineage, place.segment, salt), 1,
              place.header.counter,
              record_bound(1, place.segment, place.offset, lineage.digest, place.header, name)) {
  assert(scratch_.size() == kSealChunk);
}

Result<> StateReader::next(std::span<std::byte> out) {
  assert(out.size() <= left_);
  while (!out.empty()) {
    const size_t count = std::min(out.size(), kSealChunk);
    TRY_AS(const size_t got, read_at(fd_, scratch_.data(), count, at_));
    if (got < count)
      return Error{Code::Corrupt, cat("a segment ends ", count - got, " bytes too soon")};
    stream_.add(scratch_.data(), count, out.data());
    out = out.subspan(count);
    at_ += count;
    left_ -= count;
  }
  if (left_ > 0) return Unit{};
  SealTag tag{};
  TRY_AS(const size_t got, read_at(fd_, tag.data(), tag.size(), at_));
  if (got < tag.size() || !stream_.matches(tag))
    return Error{Code::Corrupt, "the state's seal does not match its bytes"};
  return Unit{};
}

SegmentWriter::SegmentWriter(fs::path file, Manifest::Segment segment, Fd fd)
    : file_(std::move(file)),
      segment_(segment),
      fd_(std::move(fd)),
      chunk_(std::make_unique_for_overwrite<char[]>(kSealChunk + kSealTagBytes + kStateAlign)) {}

Result<SegmentWriter> SegmentWriter::begin(const fs::path& folder,
                                           const Manifest::Segment& segment) {
  fs::path file = segment_path(folder, segment.number);
  Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_error(cat("making '", file.string(), "'"), errno);
  SegmentWriter writer(std::move(file), segment, std::move(fd));
  uint64_t at = 0;
  if (auto written = writer.write(segment_header(segment.number), at); !written) {
    ::unlink(writer.file_.c_str());
    return std::move(written).error();
  }
  writer.size_ = at;
  return writer;
}

Result<> SegmentWriter::write(std::string_view bytes, uint64_t& at) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(cat("writing '", file_.string(), "'"), errno);
    bytes.remove_prefix(static_cast<size_t>(put));
    at += static_cast<uint64_t>(put);
  }
  return Unit{};
}

Result<> SegmentWriter::write_state(const RecordPlace& place, SealStream stream,
                                    uint64_t state_bytes, const Source& source, uint64_t& at) {
  uint64_t left = state_bytes;
  for (bool last = false; !last;) {
    size_t count = std::min<uint64_t>(left, kSealChunk);
    left -= count;
    last = left == 0;
    TRY(source({reinterpret_cast<std::byte*>(chunk_.get()), count}));
    stream.add(chunk_.get(), count, chunk_.get());
    if (last) {
      const SealTag tag = stream.tag();
      std::memcpy(chunk_.get() + count, tag.data(), tag.size());
      count += tag.size();
      const uint64_t end = place.offset + place.header.size();
      std::memset(chunk_.get() + count, 0, end - at - count);
      count = end - at;
    }
    TRY(write({chunk_.get(), count}, at));
  }
  return Unit{};
}

Result<RecordPlace> SegmentWriter::append(const Manifest::Lineage& lineage, const RecordHead& head,
                                          const Digest& name, uint64_t state_bytes,
                                          const Source& source) {
  assert(!broken_);
  const std::string plain = encoded(head);
  RecordPlace place{segment_.number, size_, {}};
  place.header.counter = counter_++;
  place.header.lineage = lineage.number;
  place.header.head_bytes = static_cast<uint32_t>(plain.size() + kSealTagBytes);
  place.header.state_bytes = state_bytes + kSealTagBytes;
  const auto bound = [&](uint32_t part) {
    return record_bound(part, place.segment, place.offset, lineage.digest, place.header, name);
  };
  const SealKey key = record_key(lineage, segment_.number, segment_.salt);
  const uint64_t counter = place.header.counter;
  uint64_t at = size_;
  auto written = write(encoded(place.header) + sealed(key, 0, counter, bound(0), plain), at);
  if (written) {
    written = write_state(place, SealStream(SealStream::Way::Seal, key, 1, counter, bound(1)),
                          state_bytes, source, at);
  }
  if (!written) {
    // take the half record back, so that room on the disk is all that is needed to go on
    broken_ = ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0;
    return std::move(written).error();
  }
  size_ = at;
  return place;
}

Result<> SegmentWriter::sync() {
  if (synced_size_ == size_) return Unit{};
  if (::fdatasync(fd_.get()) != 0) {
    broken_ = true;
    return system_error(cat("syncing '", file_.string(), "'"), errno);
  }
  synced_size_ = size_;
  return Unit{};
}

bool SegmentWriter::removed() const {
  struct stat info{};
  return ::fstat(fd_.get(), &info) != 0 || info.st_nlink == 0;
}

void mark_dead(const fs::path& folder, const RecordPlace& place) {
  const fs::path file = segment_path(folder, place.segment);
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info{};
  // never longer than it is: a file that was cut has no such record any more
  if (!fd || ::fstat(fd.get(), &info) != 0 ||
      static_cast<uint64_t>(info.st_size) < place.offset + kStateAlign)
    return;
  RecordHeader header = place.header;
  header.live = false;
  const std::string bytes = encoded(header);
  // one sector: whole or not at all; a mark that is not written costs a later look at the record
  const ssize_t put =
      ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(place.offset));
  static_cast<void>(put);
}

}  // namespace lares::store
