// The key that seals what the person's stores hold: where it lies, and the orders about it. They
// carry passphrases and the key itself, so they are the owner's, and only over the Unix socket: a
// token, a page or a proxy on the network port is not asked for them.
#include "api/endpoint.h"
#include "api/orders.h"
#include "base/text.h"
#include "consent/secret_bytes.h"

namespace lares::api {
namespace {

using consent::Right;

void show(const Request& /*request*/, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("key.show", Json::object(), answer_with(std::move(responder)));
}

// The string fields of an order that may be asked for here, none of them repeated in an error.
Result<Json> fields_of(const Request& request, std::initializer_list<const char*> names) {
  auto body = parse_json(request.body.empty() ? "{}" : request.body);
  if (!body || !body->is_object())
    return Error{Code::Invalid, "reading the request: the body must be a JSON object in UTF-8"};
  Json fields = Json::object();
  for (const char* name : names) {
    const auto found = body->find(name);
    if (found == body->end() || found->is_null()) continue;
    if (!found->is_string())
      return Error{Code::Invalid, cat("reading the request: '", name, "' must be a string"), name};
    fields[name] = std::move(*found);  // not copied
  }
  return fields;
}

void order(const char* question, std::initializer_list<const char*> names, const Request& request,
           std::shared_ptr<Responder> responder, Service& service) {
  auto fields = fields_of(request, names);
  // the connection's own copy, which nobody reads any more
  consent::wipe(const_cast<std::string&>(request.body));
  if (request.port != 0)
    return responder->error({Code::Denied,
                             "orders about the key come over the Unix socket alone, not over the "
                             "network port; use the command: lares key"});
  if (!says_json(request, *responder)) return;
  if (!fields) return responder->error(fields.error());
  service.ask(question, *std::move(fields), answer_with(std::move(responder)));
}

void unlock(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  order("key.unlock", {"passphrase"}, request, std::move(responder), service);
}
void lock(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  order("key.lock", {}, request, std::move(responder), service);
}
void move(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  order("key.move", {"to", "passphrase", "next"}, request, std::move(responder), service);
}
void export_copy(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  order("key.export", {"passphrase"}, request, std::move(responder), service);
}
void import_copy(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  order("key.import", {"copy"}, request, std::move(responder), service);
}

constexpr std::string_view kPassphraseSchema =
    R"({"type":"object","properties":{)"
    R"("passphrase":{"type":"string","maxLength":1024,"description":"The present passphrase, where the key has one."}}})";
constexpr std::string_view kMoveSchema =
    R"({"type":"object","required":["to"],"properties":{)"
    R"("to":{"type":"string","enum":["secret-service","passphrase","file"]},)"
    R"("passphrase":{"type":"string","maxLength":1024,"description":"The present passphrase, where the key has one."},)"
    R"("next":{"type":"string","maxLength":1024,"description":"The new passphrase, to passphrase only."}}})";
constexpr std::string_view kImportSchema =
    R"({"type":"object","required":["copy"],"properties":{)"
    R"("copy":{"type":"string","description":"The recovery copy, as it was exported."}}})";

// clang-format off
const Endpoint kEndpoints[] = {
    {"GET /lares/v1/key", Right::Owner, "Where the key lies that seals what is kept, and from whom that protects.", "", "", "Key", "", ErrorShape::OpenAi, show},
    {"POST /lares/v1/key/unlock", Right::Owner, "Opens the key; over the Unix socket only, as all orders about it.", kPassphraseSchema, "", "Nothing", "", ErrorShape::OpenAi, unlock},
    {"POST /lares/v1/key/lock", Right::Owner, "Forgets the key until it is unlocked; Busy while answers are being kept.", R"({"type":"object"})", "", "Nothing", "", ErrorShape::OpenAi, lock},
    {"POST /lares/v1/key/move", Right::Owner, "Moves the key, or changes its passphrase.", kMoveSchema, "", "KeyMoved", "", ErrorShape::OpenAi, move},
    {"POST /lares/v1/key/export", Right::Owner, "A copy of the key for the person to keep.", kPassphraseSchema, "", "KeyCopy", "", ErrorShape::OpenAi, export_copy},
    {"POST /lares/v1/key/import", Right::Owner, "Brings the key back from a copy.", kImportSchema, "", "KeyImported", "", ErrorShape::OpenAi, import_copy},
};
// clang-format on

const RegisteredTable kRegistered(kEndpoints);

}  // namespace
}  // namespace lares::api
