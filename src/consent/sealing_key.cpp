#include "consent/sealing_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/file.h"
#include "base/text.h"

namespace lares::consent {
namespace {

constexpr std::string_view kRemedy =
    "put the right one back (without it the conversations cannot be read), or move it away, and "
    "the next start makes a new one";

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

std::optional<std::string> key_of(std::string_view digits) {
  if (digits.size() != 2 * kSealingKeyBytes) return std::nullopt;
  std::string key;
  for (size_t i = 0; i < digits.size(); i += 2) {
    const auto high = digit(digits[i]);
    const auto low = digit(digits[i + 1]);
    if (!high || !low) return std::nullopt;
    key += static_cast<char>(*high << 4 | *low);
  }
  return key;
}

// Never through a link, never one that somebody else could have written or read.
Result<std::string> read_key(const std::filesystem::path& file) {
  const std::string doing = cat("reading the key '", file.string(), "'");
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ELOOP) return Error{Code::Denied, cat(doing, ": it is a link; ", kRemedy)};
  if (!fd) return system_error(doing, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return system_error(doing, errno);
  if (!S_ISREG(info.st_mode)) return Error{Code::Denied, cat(doing, ": it is no file; ", kRemedy)};
  if (info.st_uid != ::geteuid())
    return Error{Code::Denied, cat(doing, ": it belongs to user ", info.st_uid, ", not to you (",
                                   ::geteuid(), "); ", kRemedy)};
  if ((info.st_mode & 077) != 0)
    return Error{Code::Denied,
                 cat(doing,
                     ": other users can read it; 'chmod 600' it if nobody else uses this "
                     "computer")};
  std::array<char, 256> block{};
  const ssize_t got = ::read(fd.get(), block.data(), block.size());
  if (got < 0) return system_error(doing, errno);
  if (auto key = key_of(trimmed({block.data(), static_cast<size_t>(got)}))) return *std::move(key);
  return Error{Code::Corrupt, cat(doing, ": it holds ", got, " bytes that are no key (",
                                  2 * kSealingKeyBytes, " hexadecimal digits); ", kRemedy)};
}

}  // namespace

Result<std::string> sealing_key(const std::filesystem::path& folder) {
  const std::filesystem::path file = sealing_key_file(folder);
  auto key = read_key(file);
  if (key || key.error().code != Code::NotFound) return key;
  const std::filesystem::path fresh = file.string() + ".new-" + random_hex(4);
  TRY(write_file(fresh, random_hex(kSealingKeyBytes) + "\n", 0600));
  // of two that start at once the first wins
  const int linked = ::link(fresh.c_str(), file.c_str());
  const int why = errno;
  ::unlink(fresh.c_str());
  if (linked != 0 && why != EEXIST)
    return system_error(cat("making the key '", file.string(), "'"), why);
  return read_key(file);
}

}  // namespace lares::consent
