// Door: what the front door decides about a request from its head alone, before a byte of its body
// is read. Pure functions over bytes and tables: no socket, no clock, so a test can ask every
// combination.
//
// One function, admit(), stands before every route; a handler cannot be reached around it. Its
// order is the order of distrust: form, Host, Origin and fetch site, credentials, route, right,
// body.
//
// Not the server (http.h), which reads, waits and writes. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/endpoint.h"
#include "base/clock.h"
#include "base/units.h"
#include "consent/credentials.h"
#include "consent/principal.h"

namespace lares::api {

// The same for every transport and every encoding of a body. Tests shorten the times.
struct Limits {
  Bytes head = KiB(16);       // over it 431
  Bytes line = KiB(8);        // of a head: over it 431, and 414 for the first
  size_t lines = 64;          // header fields: over it 431
  Bytes body = MiB(8);        // over it 413, whether counted or chunked
  Bytes bodies = MiB(64);     // of all requests being read at once: over it 429
  Bytes pipelined = KiB(64);  // read ahead while an answer is on its way, then no more is read
  Bytes stream_buffer =
      MiB(1);  // bytes of an answer that a client has not taken: over it the client is gone
  milliseconds head_time{
      5'000};  // from a head's first byte (or the connection) to its end: over it 408
  milliseconds body_idle{10'000};     // between two pieces of a body
  milliseconds body_time{30'000};     // for a whole body
  milliseconds keep_alive{60'000};    // idle between two requests
  milliseconds write_idle{30'000};    // a client takes nothing of an answer for that long: gone
  milliseconds linger{2'000};         // reading on after a refusal, so that the client sees it
  unsigned connections_per_uid = 64;  // by transport: programs over loopback never shut out the
                                      // person's own commands on the Unix socket
  unsigned unauthenticated = 16;      // connections in total of other users and without a token
  unsigned turned_away = 1'024;       // connections over these that are being told so; more are cut
  unsigned auth_failures_per_minute = 10;  // over it every refusal of a token takes `auth_delay`
  milliseconds auth_delay{1'000};
};
inline constexpr size_t kQueryParametersMax = 64;

enum class Transport : uint8_t { Unix, Loopback };

// Who is at the other end, found from the connection alone.
struct Caller {
  Transport transport = Transport::Loopback;
  std::optional<uint32_t> uid;  // of the peer's process, where it is known
  uint32_t own_uid = 0;
  uint16_t port = 0;  // ours, the one that it connected to
  bool same_user() const { return uid == own_uid; }
};

// An answer that the door gives by itself. Always 4xx; 429 when the door is full.
struct Refusal {
  int status = 400;
  std::string message;        // "doing: what was wrong; what to do"
  std::string allow;          // 405: the methods that there are
  bool failed_token = false;  // a wrong token: counts against guessing
  ErrorShape shape = ErrorShape::OpenAi;
};
// The JSON of a refusal in its shape.
std::string refusal_body(const Refusal& refusal);
std::string_view reason_phrase(int status);

// The head of a request as it stands on the wire, taken apart and not yet believed.
struct Head {
  std::string method;
  std::string target;
  unsigned minor = 1;                                       // HTTP/1.minor
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case, values trimmed
  // The value of a field that stands there once; nullptr otherwise.
  const std::string* only(std::string_view name) const;
  size_t count(std::string_view name) const;
};

// Finds the end of a head in bytes that arrive piece by piece, looking at each byte once.
struct HeadSearch {
  size_t looked = 0;
  size_t line_start = 0;
  size_t lines = 0;
};
// 0: not there yet. Otherwise the length of the head with its empty line. Refuses as soon as no
// continuation can be right: control characters, a line feed alone, too long, too many lines.
std::variant<size_t, Refusal> head_end(std::string_view bytes, HeadSearch& search,
                                       const Limits& limits);

// Takes a whole head apart: RFC 9112 without its obsolete and lenient parts (folded lines, spaces
// before colons, bare line feeds, absolute and authority targets).
std::variant<Head, Refusal> parse_head(std::string_view bytes);

// The routes, compiled for matching. "{name}" stands for one segment; as the last segment of a
// route it stands for all the rest, because names of models hold slashes. A literal goes before a
// "{name}".
class Routes {
 public:
  // Endpoints live as long as the program; an ill-spelled or double one is a bug.
  explicit Routes(const std::vector<const Endpoint*>& endpoints);

  struct Found {
    const Endpoint* endpoint = nullptr;  // nullptr: none of that method
    std::map<std::string, std::string> parameters;
    std::vector<std::string> methods;  // that the path has; empty: no such path
  };
  // `path` as it stands on the wire. Parameters are decoded; HEAD finds GET's.
  Found find(std::string_view method, std::string_view path) const;
  // "; did you mean 'GET /v1/models'?" or "".
  std::string meant(std::string_view method, std::string_view path) const;

 private:
  struct Route {
    const Endpoint* endpoint;
    std::string method;
    std::vector<std::string> segments;
  };
  std::vector<Route> routes_;       // literals before parameters
  std::vector<std::string> names_;  // for the nearest
};

enum class BodyKind : uint8_t { None, Counted, Chunked };

struct Admitted {
  const Endpoint* endpoint = nullptr;
  Request request;  // all but the body
  BodyKind body = BodyKind::None;
  uint64_t body_length = 0;  // of a counted one
  bool keep_alive = true;
  bool chunks = true;             // the client understands chunked answers (HTTP/1.1)
  bool head_only = false;         // HEAD: the answer's body is not sent
  bool expects_continue = false;  // waits for "100 Continue" before it sends the body
};

// The one decision. Serves exactly the declared: everything else is refused.
std::variant<Admitted, Refusal> admit(Head head, const Caller& caller, const Routes& routes,
                                      consent::Credentials& credentials, const Limits& limits);

// The name of the page's cookie: cookies are shared by all ports of a host, and daemons are not.
std::string page_cookie(uint16_t port);

// "a%20b" as "a b"; nothing when it is ill-formed, not UTF-8 or holds a control character.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace lares::api
