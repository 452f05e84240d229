#include "store/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace lares::store {
namespace {

constexpr std::string_view kMagic = "LARESLOG";
constexpr size_t kFileHeader = 16;    // magic, format u32, zero u32
constexpr size_t kRecordHeader = 16;  // length, type, sequence
constexpr size_t kRecordTrailer = 12;
constexpr Bytes kFileMax = GiB(1);

template <class Int>
void put(std::string& out, Int value) {
  for (size_t i = 0; i < sizeof(Int); i++) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

template <class Int>
Int take(std::string_view bytes, size_t at) {
  Int value = 0;
  for (size_t i = 0; i < sizeof(Int); i++)
    value = static_cast<Int>(value | (Int{static_cast<unsigned char>(bytes[at + i])} << (8 * i)));
  return value;
}

// FNV-1a over the chain so far and a record: for noticing a missing record, not for keeping an
// enemy out.
uint64_t chained(uint64_t chain, std::string_view bytes) {
  uint64_t hash = 14695981039346656037ull;
  const auto mix = [&](unsigned char byte) {
    hash ^= byte;
    hash *= 1099511628211ull;
  };
  for (int i = 0; i < 8; i++) mix(static_cast<unsigned char>(chain >> (8 * i)));
  for (const char c : bytes) mix(static_cast<unsigned char>(c));
  return hash;
}

std::string file_header() {
  std::string out(kMagic);
  put<uint32_t>(out, kLogFormat);
  put<uint32_t>(out, 0);
  return out;
}

std::string encoded(uint32_t type, uint64_t sequence, std::string_view payload, uint64_t& chain) {
  std::string out;
  put<uint32_t>(out, static_cast<uint32_t>(payload.size()));
  put<uint32_t>(out, type);
  put<uint64_t>(out, sequence);
  out += payload;
  chain = chained(chain, out);
  put<uint32_t>(out, crc32c(out));
  put<uint64_t>(out, chain);
  return out;
}

struct Scan {
  size_t good = 0;       // bytes of the file header and whole records
  bool torn = false;     // the rest is the beginning of one record
  bool damaged = false;  // the rest is something else
  uint64_t next_sequence = 1;
  uint64_t chain = 0;
};

Scan scan(std::string_view file, const DurableLog::Replay& replay) {
  Scan result;
  result.good = kFileHeader;
  while (result.good < file.size()) {
    const std::string_view rest = file.substr(result.good);
    if (rest.size() < kRecordHeader) {
      result.torn = true;
      return result;
    }
    const auto length = take<uint32_t>(rest, 0);
    const auto sequence = take<uint64_t>(rest, 8);
    const size_t whole = kRecordHeader + length + kRecordTrailer;
    if (length > kRecordMax || sequence != result.next_sequence) {
      // a page of zeros after a power cut is a torn end, not damage
      result.torn = rest.find_first_not_of('\0') == std::string_view::npos;
      result.damaged = !result.torn;
      return result;
    }
    if (rest.size() < whole) {
      result.torn = true;
      return result;
    }
    const std::string_view body = rest.substr(0, kRecordHeader + length);
    const uint64_t chain = chained(result.chain, body);
    if (take<uint32_t>(rest, body.size()) != crc32c(body) ||
        take<uint64_t>(rest, body.size() + 4) != chain) {
      result.damaged = true;
      return result;
    }
    replay({take<uint32_t>(rest, 4), sequence, body.substr(kRecordHeader)});
    result.chain = chain;
    result.next_sequence++;
    result.good += whole;
  }
  return result;
}

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t crc) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78u : 0);
      table[i] = value;
    }
    return table;
  }();
  crc = ~crc;
  for (const char c : bytes)
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

Result<DurableLog::Opened> DurableLog::open(const std::filesystem::path& file,
                                            const Replay& replay) {
  const std::string doing = cat("opening '", file.string(), "'");
  Opened opened{DurableLog(), 0, {}};
  DurableLog& log = opened.log;
  log.path_ = file;

  std::string content;
  if (auto read = read_file(file, kFileMax)) {
    content = *std::move(read);
  } else if (read.error().code != Code::NotFound) {
    return std::move(read).error();
  }
  const bool begun = content.size() >= kFileHeader;
  const bool header_torn = !begun && file_header().starts_with(content);
  if (begun && content.starts_with(kMagic)) {
    const auto format = take<uint32_t>(content, kMagic.size());
    if (format > kLogFormat)
      return Error{Code::Unsupported,
                   cat(doing, ": a newer Lares wrote it (format ", format, ", this one knows ",
                       kLogFormat, "); use that version, or move the file away")};
    const Scan found = scan(content, replay);
    log.next_sequence_ = found.next_sequence;
    log.chain_ = found.chain;
    opened.cut_bytes = found.torn ? content.size() - found.good : 0;
    if (found.damaged) {
      opened.set_aside = damaged_name(file);
      TRY(write_file(opened.set_aside, content));
    }
    content.resize(found.good);
    log.fd_ = Fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!log.fd_) return system_error(doing, errno);
    if (::ftruncate(log.fd_.get(), static_cast<off_t>(found.good)) != 0)
      return system_error(doing, errno);
  } else {
    if (!header_torn) {  // something of another kind is in our place
      opened.set_aside = damaged_name(file);
      TRY(write_file(opened.set_aside, content));
    }
    content = file_header();
    TRY(write_file(file, content));
    log.fd_ = Fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!log.fd_) return system_error(doing, errno);
  }
  if (::lseek(log.fd_.get(), 0, SEEK_END) < 0) return system_error(doing, errno);
  log.size_ = Bytes{content.size()};
  return opened;
}

Result<> DurableLog::append(uint32_t type, std::string_view payload) {
  assert(payload.size() <= kRecordMax);
  TRY(broken_);
  uint64_t chain = chain_;
  const std::string record = encoded(type, next_sequence_, payload, chain);
  std::string_view rest = record;
  while (!rest.empty()) {
    const ssize_t put = ::write(fd_.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      Error error = system_error(cat("writing '", path_.string(), "'"), errno);
      // take the half record back, so that room on the disk is all that is needed to go on
      if (error.code == Code::NoRoom && ::ftruncate(fd_.get(), static_cast<off_t>(size_.n)) == 0 &&
          ::lseek(fd_.get(), 0, SEEK_END) >= 0)
        return error;
      broken_ = error;
      return error;
    }
    rest.remove_prefix(static_cast<size_t>(put));
  }
  chain_ = chain;
  next_sequence_++;
  size_ += Bytes{record.size()};
  return Unit{};
}

Result<> DurableLog::sync() {
  TRY(broken_);
  if (::fdatasync(fd_.get()) != 0)
    broken_ = system_error(
        cat("syncing '", path_.string(), "'; nothing more is written to it until a restart"),
        errno);
  return broken_;
}

}  // namespace lares::store
