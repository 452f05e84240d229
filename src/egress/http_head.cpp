// What a server writes into the head of an answer, read as the hostile text that it is.
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "egress/http.h"

namespace lares::egress {
namespace {

constexpr size_t kShownMax = 200;

template <class Int>
bool read_number(std::string_view text, Int& out) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), out);
  return wrong == std::errc() && end == text.data() + text.size();
}

std::string shown(std::string_view text) {
  std::string out = utf8_repaired(text.substr(0, kShownMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = '?';
  }
  return out;
}

}  // namespace

std::string Head::field(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

std::optional<ContentRange> content_range_from(std::string_view text) {
  if (!lower(text.substr(0, 6)).starts_with("bytes ")) return std::nullopt;
  text = trimmed(text.substr(6));
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash)
    return std::nullopt;
  ContentRange range;
  if (!read_number(text.substr(0, dash), range.first) ||
      !read_number(text.substr(dash + 1, slash - dash - 1), range.last) ||
      !read_number(text.substr(slash + 1), range.size) || range.first > range.last ||
      range.last >= range.size)
    return std::nullopt;
  return range;
}

std::optional<std::chrono::seconds> retry_after_from(std::string_view text) {
  uint32_t seconds = 0;
  if (!read_number(trimmed(text), seconds)) return std::nullopt;
  return std::min(std::chrono::seconds(seconds), kRetryAfterMax);
}

std::map<std::string, std::string> bearer_challenge_from(std::string_view text) {
  constexpr size_t kParametersMax = 16;
  std::map<std::string, std::string> parameters;
  if (!lower(text.substr(0, 7)).starts_with("bearer ")) return parameters;
  text.remove_prefix(7);
  while (parameters.size() < kParametersMax) {
    text = trimmed(text);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals + 1 >= text.size() || text[equals + 1] != '"')
      break;
    const size_t end = text.find('"', equals + 2);
    if (end == std::string_view::npos) break;
    parameters.emplace(lower(trimmed(text.substr(0, equals))),
                       text.substr(equals + 2, end - equals - 2));
    text.remove_prefix(end + 1);
    text = trimmed(text);
    if (!text.starts_with(',')) break;
    text.remove_prefix(1);
  }
  return parameters;
}

Result<> add_head_line(Head& head, std::string_view line, size_t& bytes_so_far) {
  bytes_so_far += line.size();
  if (bytes_so_far > kHeadMax)
    return Error{Code::Corrupt, cat("the answer's head has more than ", Bytes{kHeadMax})};
  line = trimmed(line);
  if (line.starts_with("HTTP/")) {  // a new answer: 100 Continue came before it
    head = {};
    const size_t blank = line.find(' ');
    if (blank == std::string_view::npos || !read_number(line.substr(blank + 1, 3), head.status))
      return Error{Code::Corrupt, "the answer's first line makes no sense"};
    return Unit{};
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Unit{};
  const std::string name = lower(trimmed(line.substr(0, colon)));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "content-encoding" && !value.empty() && lower(value) != "identity")
    return Error{Code::Corrupt, cat("the answer comes compressed (", shown(value),
                                    "), which was not asked for and is not taken")};
  head.fields[name] = std::string(value);
  return Unit{};
}

Error status_error(const Head& head, const Url& url, std::string_view what) {
  const std::string doing = cat("fetching ", what, " from '", url.host, "': ");
  const auto error = [&](Code code, std::string_view says) {
    return Error{code, cat(doing, says, " (status ", head.status, ")")};
  };
  switch (head.status) {
    case 401:
    case 403: return error(Code::Denied, "it is not given to everybody");
    case 404:
    case 410: return error(Code::NotFound, "it is not there");
    case 408:
    case 429: return error(Code::Busy, "the server wants fewer requests; try again later");
    default: break;
  }
  if (head.status >= 500) return error(Code::Busy, "the server has trouble; try again later");
  return error(Code::Corrupt, "the server answers something that makes no sense here");
}

}  // namespace lares::egress
