// The page's session, and the credentials of apps and pages. `lares ui` asks for a code over the
// Unix socket and opens the page with it behind the '#', which no server is ever sent; the page
// gives it back once for a cookie. The cookie cannot be read by scripts and goes with requests of
// our own page only; what it is worth, door.cpp says.
#include <unistd.h>

#include "api/door.h"
#include "api/endpoint.h"
#include "api/orders.h"
#include "api/requests.h"
#include "base/text.h"

namespace lares::api {
namespace {

using consent::Right;

constexpr size_t kCodeLengthMax = 64;
constexpr size_t kIdLengthMax = 64;

std::string header(const Request& request, const char* name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? "" : found->second;
}

// "Set-Cookie" of this door's port, which stands in the Host that was checked.
std::string cookie(const Request& request, const std::string& secret) {
  const std::string host = header(request, "host");
  unsigned port = 0;
  for (const char c : host.substr(host.rfind(':') + 1))
    port = port * 10 + static_cast<unsigned>(c - '0');
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(consent::kPageLife).count();
  return cat(page_cookie(static_cast<uint16_t>(port)), "=", secret,
             "; Path=/; HttpOnly; SameSite=Strict; Max-Age=", secret.empty() ? 0 : age);
}

void pair(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  service.ask("page.pair", Json::object(), answer_with(std::move(responder)));
}

void open(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  const auto body = read_object(request.body);
  if (!body) return responder->error(body.error());
  const auto code = string_field(*body, "code", kCodeLengthMax, true);
  if (!code) return responder->error(code.error());
  // a code stands in the arguments of the browser's process, where other users can read it
  if (request.who.uid != ::geteuid())
    return responder->error({Code::Denied,
                             "pairing the page: the browser belongs to another user, or to none "
                             "that can be told; open the page as the user whose daemon this is"});
  service.ask("page.open", {{"code", *code}, {"browser", header(request, "user-agent")}},
              [responder, set = [request](const std::string& secret) {
                return cookie(request, secret);
              }](Result<Json> opened) {
                if (!opened) return responder->error(opened.error());
                const std::string secret = (*opened)["secret"].get<std::string>();
                responder->whole(200, "application/json", "{}", {{"Set-Cookie", set(secret)}});
              });
}

void session(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("status", Json::object(), [responder, who = request.who](Result<Json> status) {
    if (!status) return responder->error(status.error());
    answer_json(*responder, {{"principal", who.id},
                             {"right", consent::name(who.right)},
                             {"version", status->value("version", "")}});
  });
}

void close(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (request.who.credential.empty())
    return responder->error({Code::Invalid,
                             "ending the page's session: this request came with no page's cookie; "
                             "`lares token revoke ID` ends any"});
  service.ask("credentials.revoke", {{"id", request.who.credential}},
              [responder, gone = cookie(request, "")](const Result<Json>& done) {
                if (!done) return responder->error(done.error());
                responder->whole(200, "application/json", "{}", {{"Set-Cookie", gone}});
              });
}

void list(const Request& /*request*/, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("credentials.list", Json::object(), answer_with(std::move(responder)));
}

void add(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  const auto body = read_object(request.body);
  if (!body) return responder->error(body.error());
  const auto name = string_field(*body, "name", consent::kNameMax, true);
  if (!name) return responder->error(name.error());
  service.ask("credentials.add", {{"name", *name}}, answer_with(std::move(responder)));
}

void revoke(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("credentials.revoke",
              {{"id", request.path_parameters.at("id").substr(0, kIdLengthMax)}},
              answer_with(std::move(responder)));
}

constexpr std::string_view kOpenSchema =
    R"({"type":"object","required":["code"],"properties":{)"
    R"("code":{"type":"string","maxLength":64,"description":"What `lares ui` put behind the '#' of the page's address; good once, for ten minutes."}}})";
constexpr std::string_view kAddSchema =
    R"({"type":"object","required":["name"],"properties":{)"
    R"("name":{"type":"string","maxLength":64,"description":"Of the app; stands in receipts as 'app:NAME'."}}})";

const Endpoint kPair{.name = "POST /lares/v1/pair",
                     .right = Right::Owner,
                     .summary = "A code for one browser, and the page's address with it.",
                     .schema = R"({"type":"object"})",
                     .answer = "Pairing",
                     .run = pair};
const Endpoint kOpen{.name = "POST /lares/v1/session",
                     .right = Right::None,
                     .summary = "Gives the page its cookie for a code.",
                     .schema = kOpenSchema,
                     .answer = "Nothing",
                     .run = open};
const Endpoint kSession{.name = "GET /lares/v1/session",
                        .right = Right::Owner,
                        .summary = "Whose session the page has.",
                        .answer = "Session",
                        .run = session};
const Endpoint kClose{.name = "DELETE /lares/v1/session",
                      .right = Right::Owner,
                      .summary = "Ends the page's session.",
                      .answer = "Nothing",
                      .run = close};
const Endpoint kList{
    .name = "GET /lares/v1/credentials",
    .right = Right::Owner,
    .summary = "The apps and pages that were given access, and when each last used it.",
    .answer = "Credentials",
    .run = list};
const Endpoint kAdd{.name = "POST /lares/v1/credentials",
                    .right = Right::Owner,
                    .summary = "Gives an app a token of its own; it is shown this once.",
                    .schema = kAddSchema,
                    .answer = "CredentialGiven",
                    .run = add};
const Endpoint kRevoke{
    .name = "DELETE /lares/v1/credentials/{id}",
    .right = Right::Owner,
    .summary = "Takes an app's token, a page's session, or ('owner') the owner's token back.",
    .answer = "Nothing",
    .run = revoke};
const Registered<Endpoint> kPairRegistered{kPair};
const Registered<Endpoint> kOpenRegistered{kOpen};
const Registered<Endpoint> kSessionRegistered{kSession};
const Registered<Endpoint> kCloseRegistered{kClose};
const Registered<Endpoint> kListRegistered{kList};
const Registered<Endpoint> kAddRegistered{kAdd};
const Registered<Endpoint> kRevokeRegistered{kRevoke};

}  // namespace
}  // namespace lares::api
