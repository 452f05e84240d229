// Url: an address of the web, taken apart by the same library that later connects to it, so that
// what was checked is what is used. Only what a download needs: no user names, no letters but
// ASCII.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::egress {

inline constexpr size_t kUrlMax = 8'192;

struct Url {
  std::string text;    // whole, as it is asked for; without a fragment
  std::string scheme;  // "https", "http"
  std::string host;    // lower case; an IPv6 address without brackets
  uint16_t port = 0;
  std::string path;  // with the slash in front, without the query
  // "https://host:port": who a credential belongs to.
  std::string origin() const;
  // For messages: without the query, which may hold a signature.
  std::string shown() const;
};

// Invalid: not a URL of http or https, or one with a user name, other letters than ASCII, or longer
// than kUrlMax. A file:, ftp: or any other scheme is refused here, redirects included.
Result<Url> url_from(std::string_view text);
// Where a `Location` leads from `base`.
Result<Url> url_from(std::string_view location, const Url& base);

// `text` as it may stand between two slashes of a path.
std::string path_part(std::string_view text);

}  // namespace lares::egress
