#include "consent/tokens.h"

#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "consent/secret_file.h"

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

}  // namespace

std::string new_token() { return cat(kTokenPrefix, random_hex(kTokenBytes)); }

bool is_token(std::string_view text) {
  return text.starts_with(kTokenPrefix) &&
         is_lower_hex(text.substr(kTokenPrefix.size()), 2 * kTokenBytes);
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
    TRY(create_secret_file(path, new_token() + "\n", "token"));
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
