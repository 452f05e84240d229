#include "api/door.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "api/answer.h"
#include "base/text.h"

namespace lares::api {
namespace {

// What only a door can say, and so has no row in base/error.cpp. Everything else that it refuses is
// an Error like any other.
struct OwnRow {
  int status;
  std::string_view type;  // OpenAI's error.type
  std::string_view code;
};
struct Reason {
  int status;
  std::string_view phrase;
};
// clang-format off
constexpr std::array kOwn = {
    OwnRow{401, "authentication_error",  "unauthenticated"},
    OwnRow{405, "invalid_request_error", "method_not_allowed"},
    OwnRow{408, "timeout_error",         "request_timeout"},
    OwnRow{413, "invalid_request_error", "body_too_large"},
    OwnRow{414, "invalid_request_error", "path_too_long"},
    OwnRow{415, "invalid_request_error", "unsupported_encoding"},
    OwnRow{417, "invalid_request_error", "unsupported_expectation"},
    OwnRow{431, "invalid_request_error", "header_too_large"},
};
constexpr std::array kReasons = {
    Reason{200, "OK"}, Reason{201, "Created"}, Reason{202, "Accepted"}, Reason{204, "No Content"},
    Reason{303, "See Other"}, Reason{304, "Not Modified"}, Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"}, Reason{403, "Forbidden"}, Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"}, Reason{408, "Request Timeout"}, Reason{409, "Conflict"},
    Reason{413, "Content Too Large"}, Reason{414, "URI Too Long"},
    Reason{415, "Unsupported Media Type"}, Reason{417, "Expectation Failed"},
    Reason{422, "Unprocessable Content"}, Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"}, Reason{499, "Client Closed Request"},
    Reason{500, "Internal Server Error"}, Reason{501, "Not Implemented"},
    Reason{502, "Bad Gateway"}, Reason{503, "Service Unavailable"}, Reason{504, "Gateway Timeout"},
    Reason{507, "Insufficient Storage"},
};
// clang-format on

// RFC 9110: the characters of methods and field names.
constexpr bool is_token_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

// What may stand in a target: printable ASCII without what no client sends unescaped and what some
// reader takes for the end of a path.
constexpr bool is_target_character(char c) {
  return c > 0x20 && c < 0x7F && std::string_view("\"#<>\\").find(c) == std::string_view::npos;
}

constexpr bool is_value_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// For messages: what a client sent, short and in one line.
std::string shown(std::string_view text) {
  constexpr size_t kShownMax = 80;
  std::string out = utf8_repaired(text.substr(0, kShownMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return text.size() > kShownMax ? out + "…" : out;
}

Refusal refuse(int status, std::string message) {
  return {.status = status, .message = std::move(message)};
}

// Fields that decide something. Two of one kind would let two readers believe different ones.
constexpr std::array<std::string_view, 11> kOnce = {
    "host",   "origin",       "sec-fetch-site", "authorization",     "x-api-key",
    "cookie", "content-type", "content-length", "transfer-encoding", "content-encoding",
    "expect"};

// Never handed on: no handler needs them, so none can log them.
constexpr std::array<std::string_view, 4> kSecret = {"authorization", "x-api-key", "cookie",
                                                     "proxy-authorization"};

bool is_browser_field(std::string_view name) {
  return name == "origin" || name.starts_with("sec-");
}

// What a proxy adds, and no program of the person sends by itself: the one who asks is behind it.
bool is_proxy_field(std::string_view name) {
  return name == "forwarded" || name.starts_with("x-forwarded-") || name == "via" ||
         name == "x-real-ip" || name.ends_with("client-ip") || name.ends_with("connecting-ip");
}

bool has_field(const Head& head, bool (*is_one)(std::string_view name)) {
  return std::any_of(head.fields.begin(), head.fields.end(),
                     [&](const auto& field) { return is_one(field.first); });
}

std::vector<std::string> hosts_of(uint16_t port) {
  return {cat("127.0.0.1:", port), cat("[::1]:", port), cat("localhost:", port)};
}

std::optional<Refusal> check_form(const Head& head) {
  for (const std::string_view name : kOnce) {
    if (head.count(name) > 1)
      return refuse(400, cat("reading the head: field '", name, "' stands there ", head.count(name),
                             " times; send it once"));
  }
  if (head.count("host") == 0)
    return refuse(400, "reading the head: no Host; send the address that you connect to");
  return std::nullopt;
}

// Where the request says it was sent to and where it comes from. A page of another site, a name
// that was pointed at this computer, a file and an extension all fail here.
std::optional<Refusal> check_origin(const Head& head, const Caller& caller) {
  const std::string* origin = head.only("origin");
  const std::string host = lower(*head.only("host"));
  if (caller.transport == Transport::Loopback) {
    const std::vector<std::string> hosts = hosts_of(caller.port);
    if (std::find(hosts.begin(), hosts.end(), host) == hosts.end())
      return refuse(403, cat("checking Host: '", shown(host),
                             "' is not an address of this program; use '", hosts[0], "'"));
  }
  if (head.method == "OPTIONS")
    return refuse(403,
                  "answering OPTIONS: pages of other origins have no access here, so no "
                  "preflight is granted");
  // a browser cannot speak to a Unix socket, so over one no origin is right
  if (origin && (caller.transport == Transport::Unix || *origin != cat("http://", host)))
    return refuse(403, cat("checking Origin: '", shown(*origin),
                           "' is not the address that the request was sent to; only pages of this "
                           "program may call it"));
  const std::string* site = head.only("sec-fetch-site");
  if (site && *site != "same-origin" && *site != "none")
    return refuse(403, cat("checking Sec-Fetch-Site: '", shown(*site),
                           "' is another site; only pages of this program may call it"));
  return std::nullopt;
}

// The token that a request carries: "" when none, nothing when two differ or it is no bearer token.
std::variant<std::string, Refusal> token_of(const Head& head) {
  std::string bearer;
  if (const std::string* field = head.only("authorization")) {
    const std::string_view value = *field;
    const size_t blank = value.find(' ');
    if (lower(value.substr(0, blank)) != "bearer") {
      return Refusal{.status = 401,
                     .message =
                         "checking Authorization: only 'Bearer TOKEN' is known here; "
                         "`lares token` shows the token",
                     .failed_token = true};
    }
    if (blank != std::string_view::npos) bearer = without_blanks(value.substr(blank));
  }
  const std::string* key = head.only("x-api-key");
  if (key && !key->empty() && !bearer.empty() && *key != bearer) {
    return Refusal{.status = 401,
                   .message =
                       "checking the token: Authorization and x-api-key hold different ones; "
                       "send one of them",
                   .failed_token = true};
  }
  return bearer.empty() && key ? *key : bearer;
}

// The secret of the page's cookie where it may count: "" when there is none, or when the request is
// not of our own page in a browser of the same person. Another port's page is the same *site*, and
// gets the cookie sent; its requests fail by Origin, and what a server there has learned is worth
// nothing to another user.
std::string page_secret(const Head& head, const Caller& caller) {
  const std::string* cookies = head.only("cookie");
  if (!cookies || caller.transport != Transport::Loopback || !caller.same_user()) return "";
  const std::string* site = head.only("sec-fetch-site");
  const bool looks = head.method == "GET" || head.method == "HEAD";
  const bool ours = site ? *site == "same-origin" || (*site == "none" && looks)
                         : head.only("origin") != nullptr;  // checked before
  if (!ours) return "";
  const std::string wanted = page_cookie(caller.port) + "=";
  std::string secret;
  for (const std::string& cookie : split(*cookies, ';')) {
    const std::string_view one = trimmed(cookie);
    if (!one.starts_with(wanted)) continue;
    if (!secret.empty()) return "";  // two of that name: somebody else set one
    secret = one.substr(wanted.size());
  }
  return secret;
}

// Who asks. The only function that gives rights.
std::variant<consent::Principal, Refusal> identify(const Head& head, const Caller& caller,
                                                   consent::Credentials& credentials) {
  if (caller.transport == Transport::Unix && !caller.same_user())
    return refuse(403, cat("checking who connects: user ",
                           caller.uid ? cat(*caller.uid) : std::string("unknown"),
                           " may not use the socket of user ", caller.own_uid));
  auto carried = token_of(head);
  if (auto* refusal = std::get_if<Refusal>(&carried)) return std::move(*refusal);
  const std::string& token = std::get<std::string>(carried);
  const bool browser = has_field(head, is_browser_field);
  const bool proxy = has_field(head, is_proxy_field);
  consent::Principal who{.uid = caller.uid.value_or(UINT32_MAX)};
  if (!token.empty()) {
    if (auto known = credentials.of_token(token)) return *std::move(known);
    // SDKs insist on a key, and people put anything there: such a one proves nothing and gives what
    // a caller without one gets. What claims to be ours must be right, and so must whatever a
    // browser sends or a proxy hands on.
    if (consent::claims_to_be_ours(token) || browser || proxy || !caller.same_user()) {
      return Refusal{.status = 401,
                     .message =
                         "checking the token: it is not one of this program's; `lares token` "
                         "shows the right one",
                     .failed_token = true};
    }
  }
  // a proxy is a program of the person; whoever it speaks for is not
  if (proxy) return who;
  if (const std::string secret = page_secret(head, caller); !secret.empty()) {
    if (auto page = credentials.of_page(secret)) return *std::move(page);
  }
  if (caller.transport == Transport::Unix) {
    who.id = "owner";
    who.right = consent::Right::Owner;
  } else if (caller.same_user() && !browser) {
    who.id = "app:local";
    who.right = consent::Right::App;
  }
  return who;
}

std::optional<Refusal> check_right(const Endpoint& endpoint, const consent::Principal& who,
                                   const Caller& caller, const Head& head) {
  if (who.right >= endpoint.right) return std::nullopt;
  if (who.right == consent::Right::None) {
    return Refusal{
        .status = 401,
        .message = cat("checking who asks for '", endpoint.name, "': no token, and ",
                       !caller.uid ? "the user of the calling program is not known"
                       : has_field(head, is_proxy_field) ? "what comes through a proxy needs one"
                       : caller.same_user()
                           ? "a browser's request needs one, or a page paired by `lares ui`"
                           : cat("the calling program belongs to user ", *caller.uid, ", not to ",
                                 caller.own_uid),
                       "; send 'Authorization: Bearer TOKEN' with what `lares token` shows"),
        .shape = endpoint.shape};
  }
  return Refusal{
      .status = 403,
      .message =
          cat("checking the right to '", endpoint.name, "': it needs '",
              consent::name(endpoint.right), "', and this caller has '", consent::name(who.right),
              "'; use the `lares` command, or send the token that `lares token` shows"),
      .shape = endpoint.shape};
}

// How long the body is. Two ways to say it, or an unknown one, is how requests are smuggled.
std::optional<Refusal> plan_body(const Head& head, const Limits& limits, Admitted& admitted) {
  const std::string* length = head.only("content-length");
  const std::string* encoding = head.only("transfer-encoding");
  if (length && encoding)
    return refuse(400,
                  "reading the head: both Content-Length and Transfer-Encoding; send one of them");
  if (encoding) {
    if (lower(*encoding) != "chunked")
      return refuse(400, cat("reading the head: Transfer-Encoding '", shown(*encoding),
                             "' is not known here; send 'chunked' or Content-Length"));
    if (head.minor == 0)
      return refuse(400, "reading the head: Transfer-Encoding in HTTP/1.0; send Content-Length");
    admitted.body = BodyKind::Chunked;
  } else if (length) {
    const auto [end, wrong] =
        std::from_chars(length->data(), length->data() + length->size(), admitted.body_length);
    const bool digits = !length->empty() && end == length->data() + length->size();
    if (wrong == std::errc::result_out_of_range)
      admitted.body_length = UINT64_MAX;
    else if (wrong != std::errc() || !digits)
      return refuse(400,
                    cat("reading the head: Content-Length '", shown(*length), "' is no number"));
    if (admitted.body_length > 0) admitted.body = BodyKind::Counted;
  }
  if (const std::string* coding = head.only("content-encoding");
      coding && !coding->empty() && lower(*coding) != "identity")
    return refuse(415, cat("reading the head: Content-Encoding '", shown(*coding),
                           "' is not read here; send the body as it is"));
  if (admitted.body_length > limits.body.n)
    return refuse(413, cat("reading the body: Content-Length '", shown(*length), "' is over ",
                           limits.body, ", the most that a request may have"));
  if (const std::string* expect = head.only("expect")) {
    if (lower(*expect) != "100-continue")
      return refuse(417, cat("reading the head: Expect '", shown(*expect), "' is not known here"));
    admitted.expects_continue = admitted.body != BodyKind::None && head.minor > 0;
  }
  return std::nullopt;
}

std::optional<std::map<std::string, std::string>> parsed_query(std::string_view query) {
  std::map<std::string, std::string> parameters;
  if (query.empty()) return parameters;
  for (const std::string& part : split(query, '&')) {
    if (part.empty()) continue;
    std::string spaced = part;
    std::replace(spaced.begin(), spaced.end(), '+', ' ');
    const size_t equals = spaced.find('=');
    auto name = percent_decoded(std::string_view(spaced).substr(0, equals));
    auto value =
        percent_decoded(equals == std::string::npos ? std::string_view()
                                                    : std::string_view(spaced).substr(equals + 1));
    if (!name || !value || parameters.size() >= kQueryParametersMax ||
        !parameters.emplace(*std::move(name), *std::move(value)).second)
      return std::nullopt;
  }
  return parameters;
}

bool wants_keep_alive(const Head& head) {
  bool keep = head.minor > 0;
  for (const auto& [name, value] : head.fields) {
    if (name != "connection") continue;
    for (const std::string& part : split(lower(value), ',')) {
      if (trimmed(part) == "close") return false;
      if (trimmed(part) == "keep-alive") keep = true;
    }
  }
  return keep;
}

bool is_dots(std::string_view segment) { return segment == "." || segment == ".."; }

std::vector<std::string> segments_of(std::string_view path) { return split(path.substr(1), '/'); }

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

}  // namespace

std::string page_cookie(uint16_t port) { return cat("lares-", port); }

std::string_view reason_phrase(int status) {
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return reason.phrase;
  }
  return "Other";
}

std::string refusal_body(const Refusal& refusal) {
  const CodeRow& known = row_of_status(refusal.status);
  const auto* own = std::find_if(kOwn.begin(), kOwn.end(),
                                 [&](const OwnRow& row) { return row.status == refusal.status; });
  assert(own != kOwn.end() || known.http_status == refusal.status);
  const Error error{known.code, refusal.message};
  if (own == kOwn.end() || refusal.shape == ErrorShape::Ollama)
    return error_body(error, refusal.shape);
  Json object = error_object(error);
  object["type"] = own->type;
  object["code"] = own->code;
  return dump(Json{{"error", std::move(object)}});
}

const std::string* Head::only(std::string_view name) const {
  const std::string* found = nullptr;
  for (const auto& [field, value] : fields) {
    if (field != name) continue;
    if (found) return nullptr;
    found = &value;
  }
  return found;
}

size_t Head::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(fields.begin(), fields.end(),
                                           [&](const auto& field) { return field.first == name; }));
}

std::variant<size_t, Refusal> head_end(std::string_view bytes, HeadSearch& search,
                                       const Limits& limits) {
  for (; search.looked < bytes.size(); search.looked++) {
    const size_t at = search.looked;
    const char c = bytes[at];
    if (at >= limits.head.n)
      return refuse(431, cat("reading the head: longer than ", limits.head,
                             "; send fewer or shorter fields"));
    if (at - search.line_start > limits.line.n) {
      return search.lines == 0 ? refuse(414, cat("reading the first line: longer than ",
                                                 limits.line, "; send less in the path"))
                               : refuse(431, cat("reading the head: line ", search.lines + 1,
                                                 " is longer than ", limits.line));
    }
    if (at == 0 && !is_token_character(c)) {
      return refuse(
          400,
          "reading the first byte: not the start of an HTTP request; speak plain HTTP/1.1 "
          "(no TLS) here");
    }
    if (at > 0 && bytes[at - 1] == '\r' && c != '\n')
      return refuse(400, "reading the head: a carriage return without its line feed");
    if (c == '\n') {
      if (bytes[at - 1] != '\r')
        return refuse(400, "reading the head: a line feed without its carriage return");
      const bool empty = at - 1 == search.line_start;
      search.line_start = at + 1;
      if (empty) {
        search.looked++;
        return at + 1;
      }
      // the first line is no field
      if (++search.lines > limits.lines + 1)
        return refuse(431,
                      cat("reading the head: more than ", limits.lines, " fields; send fewer"));
    } else if (c != '\r' && !is_value_character(c)) {
      return refuse(400, "reading the head: a control character");
    }
  }
  return size_t{0};
}

std::variant<Head, Refusal> parse_head(std::string_view bytes) {
  Head head;
  const size_t line_end = bytes.find("\r\n");
  if (line_end == std::string_view::npos || !bytes.ends_with("\r\n\r\n"))
    return refuse(400, "reading the head: no empty line at its end");
  const std::string_view line = bytes.substr(0, line_end);
  const size_t after_method = line.find(' ');
  const size_t after_target =
      line.find(' ', after_method == std::string_view::npos ? 0 : after_method + 1);
  if (after_target == std::string_view::npos || after_target == after_method)
    return refuse(
        400, cat("reading the first line: '", shown(line), "' is not 'METHOD /path HTTP/1.1'"));
  head.method = line.substr(0, after_method);
  head.target = line.substr(after_method + 1, after_target - after_method - 1);
  const std::string_view version = line.substr(after_target + 1);
  if (!is_word(head.method))
    return refuse(400, cat("reading the first line: '", shown(head.method), "' is no method"));
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return refuse(400, cat("reading the first line: '", shown(version),
                           "' is not spoken here; use HTTP/1.1"));
  head.minor = version.back() == '1' ? 1 : 0;
  const bool asterisk = head.method == "OPTIONS" && head.target == "*";
  if (!asterisk && (!head.target.starts_with('/') ||
                    !std::all_of(head.target.begin(), head.target.end(), is_target_character)))
    return refuse(400,
                  cat("reading the first line: '", shown(head.target),
                      "' is no path; send one that starts with '/', escaped, without the host"));

  std::string_view rest = bytes.substr(line_end + 2);
  for (;;) {
    const size_t end = rest.find("\r\n");
    if (end == std::string_view::npos)
      return refuse(400, "reading the head: a line without its end");
    const std::string_view field = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (field.empty()) break;
    const size_t colon = field.find(':');
    if (field.front() == ' ' || field.front() == '\t')
      return refuse(400, "reading the head: a field folded over two lines; send it in one");
    if (colon == std::string_view::npos || !is_word(field.substr(0, colon)))
      return refuse(400, cat("reading the head: '", shown(field.substr(0, colon)),
                             "' is no name of a field"));
    const std::string_view value = without_blanks(field.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), is_value_character))
      return refuse(400, cat("reading the head: a control character in field '",
                             shown(field.substr(0, colon)), "'"));
    head.fields.emplace_back(lower(field.substr(0, colon)), value);
  }
  if (!rest.empty()) return refuse(400, "reading the head: bytes behind its end");
  return head;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (c == '%') {
      unsigned value = 0;
      if (i + 2 >= text.size()) return std::nullopt;
      const auto [end, wrong] =
          std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
      if (wrong != std::errc() || end != text.data() + i + 3) return std::nullopt;
      c = static_cast<char>(value);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return std::nullopt;
    out += c;
  }
  if (!is_utf8(out)) return std::nullopt;
  return out;
}

Routes::Routes(const std::vector<const Endpoint*>& endpoints) {
  std::set<std::string_view> seen;
  for (const Endpoint* endpoint : endpoints) {
    const bool first_of_its_name = seen.insert(endpoint->name).second;
    assert(first_of_its_name);
    const size_t blank = endpoint->name.find(" /");
    assert(blank != std::string_view::npos);
    assert(endpoint->run);
    routes_.push_back({endpoint, std::string(endpoint->name.substr(0, blank)),
                       segments_of(endpoint->name.substr(blank + 1))});
    assert(is_word(routes_.back().method));
    names_.emplace_back(endpoint->name);
  }
  // by segment: a literal is tried before a parameter, a longer route before the parameter that
  // would swallow it
  std::stable_sort(routes_.begin(), routes_.end(), [](const Route& a, const Route& b) {
    for (size_t i = 0; i < std::min(a.segments.size(), b.segments.size()); i++) {
      const bool first = is_parameter(a.segments[i]);
      const bool second = is_parameter(b.segments[i]);
      if (first != second) return second;
    }
    return a.segments.size() > b.segments.size();
  });
}

Routes::Found Routes::find(std::string_view method, std::string_view path) const {
  Found found;
  if (!path.starts_with('/')) return found;
  const std::vector<std::string> segments = segments_of(path);
  const auto matches = [&](const Route& route, std::map<std::string, std::string>& parameters) {
    const size_t count = route.segments.size();
    const bool swallows = is_parameter(route.segments.back());
    if (segments.size() < count || (segments.size() > count && !swallows)) return false;
    for (size_t i = 0; i < count; i++) {
      const std::string& pattern = route.segments[i];
      if (!is_parameter(pattern)) {
        if (percent_decoded(segments[i]) != pattern) return false;
        continue;
      }
      std::string raw = segments[i];
      if (i + 1 == count) {
        for (size_t more = count; more < segments.size(); more++) raw += '/' + segments[more];
      }
      auto value = percent_decoded(raw);
      if (!value || value->empty()) return false;
      parameters.emplace(pattern.substr(1, pattern.size() - 2), *std::move(value));
    }
    return true;
  };
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes_) {
    std::map<std::string, std::string> parameters;
    if (!matches(route, parameters)) continue;
    if (std::find(found.methods.begin(), found.methods.end(), route.method) == found.methods.end())
      found.methods.push_back(route.method);
    if (route.method == wanted && !found.endpoint) {
      found.endpoint = route.endpoint;
      found.parameters = std::move(parameters);
    }
  }
  return found;
}

std::string Routes::meant(std::string_view method, std::string_view path) const {
  constexpr size_t kMeantMax = 100;  // comparing costs the product of the lengths
  if (method.size() + path.size() > kMeantMax) return "";
  return did_you_mean(cat(method, ' ', path), names_);
}

std::variant<Admitted, Refusal> admit(Head head, const Caller& caller, const Routes& routes,
                                      consent::Credentials& credentials, const Limits& limits) {
  if (auto refusal = check_form(head)) return *std::move(refusal);
  if (auto refusal = check_origin(head, caller)) return *std::move(refusal);
  auto identified = identify(head, caller, credentials);
  if (auto* refusal = std::get_if<Refusal>(&identified)) return std::move(*refusal);
  auto& who = std::get<consent::Principal>(identified);

  Admitted admitted;
  Request& request = admitted.request;
  const size_t question = head.target.find('?');
  const std::string_view raw_path = std::string_view(head.target).substr(0, question);
  auto path = percent_decoded(raw_path);
  auto query = parsed_query(question == std::string::npos
                                ? std::string_view()
                                : std::string_view(head.target).substr(question + 1));
  if (!path || !query)
    return refuse(400, cat("reading the path: '", shown(head.target),
                           "' is not well escaped UTF-8 with at most ", kQueryParametersMax,
                           " different parameters"));
  const std::vector<std::string> decoded = segments_of(*path);
  if (std::any_of(decoded.begin(), decoded.end(), is_dots))
    return refuse(400, cat("reading the path: '", shown(head.target),
                           "' holds '.' or '..'; send the path itself"));

  Routes::Found found = routes.find(head.method, raw_path);
  if (found.methods.empty())
    return refuse(404, cat("looking for '", shown(head.method), " ", shown(*path),
                           "': there is no such route", routes.meant(head.method, *path),
                           "; /openapi.json lists them"));
  if (!found.endpoint) {
    std::string allow;
    for (const std::string& method : found.methods) allow += allow.empty() ? method : ", " + method;
    return Refusal{.status = 405,
                   .message = cat("looking for '", shown(head.method), " ", shown(*path),
                                  "': the path is there, but for ", allow),
                   .allow = allow};
  }
  admitted.endpoint = found.endpoint;
  const auto in_shape = [&](Refusal refusal) {
    refusal.shape = found.endpoint->shape;
    return refusal;
  };
  if (auto refusal = check_right(*found.endpoint, who, caller, head)) return *std::move(refusal);
  if (auto refusal = plan_body(head, limits, admitted)) return in_shape(*std::move(refusal));
  // what a page can send without asking first is never taken for JSON
  const std::string* type = head.only("content-type");
  if (has_field(head, is_browser_field) && admitted.body != BodyKind::None &&
      (!type || lower(trimmed(type->substr(0, type->find(';')))) != "application/json"))
    return in_shape(
        refuse(415, "checking Content-Type: a browser's request must be 'application/json'"));

  admitted.keep_alive = wants_keep_alive(head);
  admitted.chunks = head.minor > 0;
  admitted.head_only = head.method == "HEAD";
  request.method = std::move(head.method);
  request.path = *std::move(path);
  request.path_parameters = std::move(found.parameters);
  request.query = *std::move(query);
  request.who = std::move(who);
  request.port = caller.port;
  for (auto& [name, value] : head.fields) {
    if (std::find(kSecret.begin(), kSecret.end(), name) != kSecret.end()) continue;
    auto [place, added] = request.headers.emplace(name, value);
    if (!added) place->second += ", " + value;
  }
  return admitted;
}

}  // namespace lares::api
