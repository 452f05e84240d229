#include "egress/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "base/text.h"

namespace lares::egress {
namespace {

struct FreeHandle {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeHandle>;

constexpr unsigned kStrict = CURLU_DISALLOW_USER | CURLU_NO_DEFAULT_PORT;

std::string part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK || text == nullptr) return "";
  std::string out(text);
  curl_free(text);
  return out;
}

std::string quoted(std::string_view text) {
  return cat("'", utf8_repaired(text.substr(0, text.find('?')).substr(0, 200)), "'");
}

Result<Url> read(CURLU* handle, std::string_view text) {
  Url url;
  url.scheme = part(handle, CURLUPART_SCHEME);
  if (url.scheme != "https" && url.scheme != "http")
    return Error{Code::Denied, cat("the address ", quoted(text), " is of the kind '", url.scheme,
                                   "'; only https is fetched")};
  url.host = lower(part(handle, CURLUPART_HOST));
  if (url.host.size() > 2 && url.host.front() == '[')
    url.host = url.host.substr(1, url.host.size() - 2);
  const bool plain = std::all_of(url.host.begin(), url.host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
           c == ':';
  });
  if (url.host.empty() || !plain || url.host.back() == '.')
    return Error{Code::Invalid,
                 cat("the address ", quoted(text), " names no host that can be used")};
  curl_url_set(handle, CURLUPART_FRAGMENT, nullptr, 0);
  const std::string port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (wrong != std::errc() || end != port.data() + port.size() || url.port == 0)
    return Error{Code::Invalid, cat("the address ", quoted(text), " has no port that can be used")};
  url.path = part(handle, CURLUPART_PATH);
  url.text = part(handle, CURLUPART_URL);
  if (url.text.empty() || url.text.size() > kUrlMax)
    return Error{Code::Invalid,
                 cat("the address ", quoted(text), " is longer than ", kUrlMax, " bytes")};
  return url;
}

// Blanks, control characters and letters beyond ASCII mean different things to different readers.
bool is_plain(std::string_view text) {
  return !text.empty() && text.size() <= kUrlMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

std::string Url::origin() const {
  return cat(scheme, "://", host.find(':') == std::string::npos ? host : cat("[", host, "]"), ":",
             port);
}

std::string Url::shown() const { return text.substr(0, text.find('?')); }

Result<Url> url_from(std::string_view text) {
  if (!is_plain(text))
    return Error{Code::Invalid, cat("the address ", quoted(text),
                                    " is empty, too long, or has blanks or letters beyond ASCII")};
  const Handle handle(curl_url());
  if (!handle ||
      curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), kStrict) != CURLUE_OK)
    return Error{Code::Invalid,
                 cat("the address ", quoted(text),
                     " is none; write it as https://host/path, without a user name")};
  return read(handle.get(), text);
}

Result<Url> url_from(std::string_view location, const Url& base) {
  if (!is_plain(location))
    return Error{Code::Invalid,
                 cat("'", base.host, "' leads on to ", quoted(location), ", which is no address")};
  const Handle handle(curl_url());
  if (!handle || curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), kStrict) != CURLUE_OK)
    return Error{Code::Invalid, cat("the address ", quoted(base.text), " is none")};
  const CURLUcode set =
      curl_url_set(handle.get(), CURLUPART_URL, std::string(location).c_str(), kStrict);
  if (set == CURLUE_UNSUPPORTED_SCHEME)
    return Error{Code::Denied, cat("'", base.host, "' leads on to ", quoted(location),
                                   ", and only https is fetched")};
  if (set != CURLUE_OK)
    return Error{Code::Invalid, cat("'", base.host, "' leads on to ", quoted(location),
                                    ", which is no address that can be used")};
  return read(handle.get(), location);
}

std::string path_part(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

}  // namespace lares::egress
