#include "consent/tokens.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace lares::consent {
namespace {

Error unsafe(Code code, const std::filesystem::path& file, std::string_view what) {
  return {code, cat("reading the token '", file.string(), "': ", what)};
}

// Reads the file as it is: never through a link, never one that somebody else could have written or
// read.
Result<std::string> read_token(const std::filesystem::path& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ELOOP)
    return unsafe(Code::Denied, file,
                  "it is a link; remove it, and the next start makes a new token");
  if (!fd) return system_error(cat("reading the token '", file.string(), "'"), errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0)
    return system_error(cat("reading the token '", file.string(), "'"), errno);
  if (!S_ISREG(info.st_mode)) return unsafe(Code::Denied, file, "it is not a file; remove it");
  if (info.st_uid != ::geteuid())
    return unsafe(Code::Denied, file,
                  cat("it belongs to user ", info.st_uid, ", not to you (", ::geteuid(),
                      "); remove it, and the next start makes a new token"));
  if ((info.st_mode & 077) != 0) {
    return unsafe(
        Code::Denied, file,
        "other users can read it, so it is no secret; remove it, and the next start makes a "
        "new token (or 'chmod 600' it, if nobody else uses this computer)");
  }
  std::array<char, 256> block{};
  const ssize_t got = ::read(fd.get(), block.data(), block.size());
  if (got < 0) return system_error(cat("reading the token '", file.string(), "'"), errno);
  std::string token(trimmed(std::string_view(block.data(), static_cast<size_t>(got))));
  if (!is_token(token)) {
    return unsafe(Code::Corrupt, file,
                  cat("it holds ", got, " bytes that are no token ('", kTokenPrefix, "' and ",
                      2 * kTokenBytes,
                      " hexadecimal digits); remove it, and the next start makes a new one"));
  }
  return token;
}

// Creates the file whole, and only if there is none: link() never replaces.
Result<> create_token(const std::filesystem::path& file) {
  const std::string doing = cat("creating the token '", file.string(), "'");
  const std::filesystem::path temporary = file.string() + ".new-" + random_hex(4);
  TRY(write_file(temporary, cat(kTokenPrefix, random_hex(kTokenBytes), "\n"), 0600));
  const int linked = ::link(temporary.c_str(), file.c_str());
  const int why = errno;
  ::unlink(temporary.c_str());
  if (linked != 0 && why != EEXIST) return system_error(doing, why);
  const Fd folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return system_error(doing, errno);
  return Unit{};
}

}  // namespace

bool is_token(std::string_view text) {
  return text.size() == kTokenLength && text.starts_with(kTokenPrefix) &&
         std::all_of(text.begin() + kTokenPrefix.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Tokens> Tokens::open(const std::filesystem::path& folder) {
  const std::filesystem::path path = file(folder);
  auto token = read_token(path);
  if (!token && token.error().code == Code::NotFound) {
    TRY(make_private_folder(folder));
    TRY(create_token(path));
    token = read_token(path);
  }
  if (!token) return std::move(token).error();
  return Tokens(*std::move(token));
}

std::optional<Principal> Tokens::principal(std::string_view token) const {
  // an empty owner_ would equal an empty token
  if (owner_.empty() || !equal_in_constant_time(token, owner_)) return std::nullopt;
  return Principal{.id = "owner", .right = Right::Owner, .uid = ::geteuid()};
}

}  // namespace lares::consent
