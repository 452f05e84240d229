// Tokens: the secrets by which a caller over loopback proves who it is. Today there is one, the
// person's own ("owner"); it lies in a file in the configuration folder that only the person can
// read.
//
// Not a policy: what a principal may do is its Right; where a token is asked for is the front
// door's. A token is never in a URL, a log line or an error message. Read-only after open(), so any
// thread may ask.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "consent/principal.h"

namespace lares::consent {

// "lares-" and 256 bits in hexadecimal. The prefix lets a search for leaked secrets find it, and
// tells a token of ours from the placeholder that an SDK insists on ("none", "sk-...").
inline constexpr std::string_view kTokenPrefix = "lares-";
inline constexpr size_t kTokenBytes = 32;
inline constexpr size_t kTokenLength = kTokenPrefix.size() + 2 * kTokenBytes;

class Tokens {
 public:
  // Reads the owner's token from `folder`/token, or makes one at the first start: a file 0600,
  // whole or not there. Two programs that start at once get the same one. Denied when the file is
  // not the person's own or others may read it, Corrupt when it holds no token, each with what to
  // do; never repaired silently, since somebody may have put it there.
  static Result<Tokens> open(const std::filesystem::path& folder);

  // Replaces the file by one with a new token; whoever has the old one is nobody from then on.
  static Result<Tokens> renew(const std::filesystem::path& folder);

  // Of a token that is known already; for tests.
  explicit Tokens(std::string owner) : owner_(std::move(owner)) {}

  // Whose token that is; nothing when it is nobody's. Takes the same time for every wrong token.
  std::optional<Principal> principal(std::string_view token) const;

  // For `lares token`, which shows it to the person.
  const std::string& owner() const { return owner_; }

  static std::filesystem::path file(const std::filesystem::path& folder) {
    return folder / "token";
  }

 private:
  std::string owner_;
};

// A new one, from the kernel's generator.
std::string new_token();

// Whether it claims to be a token of ours: such a one is right or refused, never taken for a
// placeholder.
constexpr bool claims_to_be_ours(std::string_view token) { return token.starts_with(kTokenPrefix); }

// Whether it is spelled as open() would have written it.
bool is_token(std::string_view text);

}  // namespace lares::consent
