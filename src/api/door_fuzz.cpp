// The door's pure decisions, on anything: heads, paths, tables of sockets, events.
#include <cassert>

#include "api/client.h"
#include "api/door.h"
#include "api/peer.h"
#include "base/fuzz.h"
#include "base/text.h"

namespace lares::api {
namespace {

void answers_nothing(const Request&, std::shared_ptr<Responder>, Service&) {}

const Endpoint kFuzzed[] = {
    {.name = "GET /v1/models/{id}", .right = consent::Right::App, .run = answers_nothing},
    {.name = "POST /v1/chat/completions", .right = consent::Right::App, .run = answers_nothing},
    {.name = "POST /lares/v1/stop", .right = consent::Right::Owner, .run = answers_nothing},
};

const Routes& routes() {
  static const Routes all({&kFuzzed[0], &kFuzzed[1], &kFuzzed[2]});
  return all;
}

// A head is served only when an independent look at it finds nothing against it.
void check_served(const Head& head, const Admitted& admitted, const Caller& caller) {
  assert(admitted.endpoint);
  assert(admitted.request.who.right >= admitted.endpoint->right);
  assert(head.count("host") == 1);
  assert(is_utf8(admitted.request.path));
  assert(admitted.request.path.find('\0') == std::string::npos);
  assert(!(head.count("content-length") > 0 && head.count("transfer-encoding") > 0));
  assert(!admitted.request.headers.contains("authorization"));
  if (caller.transport == Transport::Loopback) {
    const std::string host = lower(*head.only("host"));
    assert(host == "127.0.0.1:5273" || host == "[::1]:5273" || host == "localhost:5273");
    if (const std::string* origin = head.only("origin")) assert(*origin == "http://" + host);
  } else {
    assert(head.count("origin") == 0);
  }
  for (const auto& [name, value] : admitted.request.path_parameters) {
    for (const std::string& segment : split(value, '/')) assert(segment != "..");
  }
}

}  // namespace

FUZZ(door_head) {
  const Limits limits;
  HeadSearch at_once;
  const auto whole = head_end(bytes, at_once, limits);
  // how the bytes were cut on their way makes no difference
  HeadSearch pieces;
  std::variant<size_t, Refusal> cut = size_t{0};
  for (size_t have = 1; have <= bytes.size(); have++) {
    cut = head_end(bytes.substr(0, have), pieces, limits);
    if (cut.index() == 1 || std::get<size_t>(cut) > 0) break;
  }
  assert(whole.index() == cut.index());
  if (whole.index() == 1 || std::get<size_t>(whole) == 0) return;
  assert(std::get<size_t>(whole) == std::get<size_t>(cut));
  auto parsed = parse_head(bytes.substr(0, std::get<size_t>(whole)));
  const Head* head = std::get_if<Head>(&parsed);
  if (!head) return;
  consent::Credentials credentials{
      consent::Tokens(std::string(consent::kTokenPrefix) + std::string(64, 'a'))};
  for (const Caller& caller :
       {Caller{.transport = Transport::Loopback, .uid = 7, .own_uid = 7, .port = 5273},
        Caller{.transport = Transport::Loopback, .uid = 8, .own_uid = 7, .port = 5273},
        Caller{.transport = Transport::Unix, .uid = 7, .own_uid = 7}}) {
    const auto decided = admit(*head, caller, routes(), credentials, limits);
    if (const auto* admitted = std::get_if<Admitted>(&decided)) {
      check_served(*head, *admitted, caller);
    } else {
      const auto& refusal = std::get<Refusal>(decided);
      assert(refusal.status >= 400 && refusal.status < 500);
      assert(parse_json(refusal_body(refusal)));
    }
  }
}

FUZZ(door_path) {
  const auto found = routes().find("GET", bytes);
  if (found.endpoint) assert(!found.methods.empty());
  (void)routes().meant("GET", bytes);
  if (const auto decoded = percent_decoded(bytes)) assert(is_utf8(*decoded));
}

FUZZ(socket_table) {
  (void)uid_in_table(bytes, {.address = 0x7F000001, .port = 1}, {.address = 0x7F000001, .port = 2});
}

FUZZ(event_lines) {
  EventLines lines;
  for (size_t at = 0; at < bytes.size(); at += 7)
    (void)lines.feed(bytes.substr(at, 7),
                     [](std::string_view data) { return data.size() % 5 != 4; });
}

}  // namespace lares::api
