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

constexpr std::string_view kRemedy = "remove it, and the next start makes a new token";
constexpr Bytes kFileMax{256};

Result<std::string> read_token(const std::filesystem::path& file) {
  TRY_AS(const std::string content, read_secret_file(file, kFileMax, "token", kRemedy));
  std::string token(trimmed(content));
  if (!is_token(token)) {
    return Error{Code::Corrupt, cat("reading the token '", file.string(), "': it holds ",
                                    content.size(), " bytes that are no token ('", kTokenPrefix,
                                    "' and ", 2 * kTokenBytes, " hexadecimal digits); ", kRemedy)};
  }
  return token;
}

// Creates the file whole, and only if there is none: link() never replaces.
Result<> create_token(const std::filesystem::path& file) {
  const std::string doing = cat("creating the token '", file.string(), "'");
  const std::filesystem::path temporary = file.string() + ".new-" + random_hex(4);
  TRY(write_file(temporary, new_token() + "\n", 0600));
  const int linked = ::link(temporary.c_str(), file.c_str());
  const int why = errno;
  ::unlink(temporary.c_str());
  if (linked != 0 && why != EEXIST) return system_error(doing, why);
  const Fd folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return system_error(doing, errno);
  return Unit{};
}

}  // namespace

Result<std::string> read_secret_file(const std::filesystem::path& file, Bytes max,
                                     std::string_view what, std::string_view remedy) {
  const std::string doing = cat("reading the ", what, " '", file.string(), "'");
  const auto unsafe = [&](std::string_view is) {
    return Error{Code::Denied, cat(doing, ": ", is, "; ", remedy)};
  };
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ELOOP) return unsafe("it is a link");
  if (!fd) return system_error(doing, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return system_error(doing, errno);
  if (!S_ISREG(info.st_mode)) return unsafe("it is not a file");
  if (info.st_uid != ::geteuid())
    return unsafe(cat("it belongs to user ", info.st_uid, ", not to you (", ::geteuid(), ")"));
  if ((info.st_mode & 077) != 0) {
    return unsafe(cat("other users can read it, so it is no secret (or 'chmod 600' it, if nobody ",
                      "else uses this computer)"));
  }
  std::string content;
  std::array<char, 4096> block{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(doing, errno);
    if (got == 0) return content;
    content.append(block.data(), static_cast<size_t>(got));
    if (content.size() > max.n)
      return Error{Code::Corrupt, cat(doing, ": it is longer than ", max, "; ", remedy)};
  }
}

std::string new_token() { return cat(kTokenPrefix, random_hex(kTokenBytes)); }

bool is_token(std::string_view text) {
  return text.size() == kTokenLength && text.starts_with(kTokenPrefix) &&
         std::all_of(text.begin() + kTokenPrefix.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Tokens> Tokens::renew(const std::filesystem::path& folder) {
  Tokens tokens(new_token());
  TRY(write_file(file(folder), tokens.owner() + "\n", 0600));
  return tokens;
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
