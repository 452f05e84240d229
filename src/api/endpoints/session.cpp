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

std::string cookie(const Request& request, const std::string& secret) {
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(consent::kPageLife).count();
  return cat(page_cookie(request.port), "=", secret,
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
  service.ask("page.open", {{"code", *code}, {"browser", request.header("user-agent")}},
              [responder, set = [request](const std::string& secret) {
                return cookie(request, secret);
              }](Result<Json> opened) {
                if (!opened) return responder->error(opened.error());
                const std::string secret = (*opened)["secret"].get<std::string>();
                responder->whole(200, "application/json", "{}", {{"Set-Cookie", set(secret)}});
              });
}

void session(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("page.session", Json::object(), [responder, who = request.who](Result<Json> known) {
    if (!known) return responder->error(known.error());
    (*known)["principal"] = who.id;
    (*known)["right"] = consent::name(who.right);
    (*known)["credential"] = who.credential.empty() ? Json() : Json(who.credential);
    answer_json(*responder, *known);
  });
}

void close(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (request.who.credential.empty() || request.who.credential == consent::kOwnerId)
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

// clang-format off
const Endpoint kEndpoints[] = {
    {"POST /lares/v1/pair", Right::Owner, "A code for one browser, and the page's address with it.", R"({"type":"object"})", "", "Pairing", "", ErrorShape::OpenAi, pair},
    {"POST /lares/v1/session", Right::None, "Gives the page its cookie for a code.", kOpenSchema, "", "Nothing", "", ErrorShape::OpenAi, open},
    {"GET /lares/v1/session", Right::Owner, "Whose session the page has.", "", "", "Session", "", ErrorShape::OpenAi, session},
    {"DELETE /lares/v1/session", Right::Owner, "Ends the page's session.", "", "", "Nothing", "", ErrorShape::OpenAi, close},
    {"GET /lares/v1/credentials", Right::Owner, "The apps and pages that were given access, and when each last used it.", "", "", "Credentials", "", ErrorShape::OpenAi, list},
    {"POST /lares/v1/credentials", Right::Owner, "Gives an app a token of its own; it is shown this once.", kAddSchema, "", "CredentialGiven", "", ErrorShape::OpenAi, add},
    {"DELETE /lares/v1/credentials/{id}", Right::Owner, "Takes an app's token, a page's session, or ('owner') the owner's token back.", "", "", "Nothing", "", ErrorShape::OpenAi, revoke},
};
// clang-format on

const RegisteredTable kRegistered(kEndpoints);

}  // namespace
}  // namespace lares::api
