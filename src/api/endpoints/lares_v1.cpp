// /lares/v1: our own questions and orders, each one of Service::ask's, answered with its JSON as it
// is. An app may see which models there are; what concerns other programs' requests, the machine or
// the daemon itself is the owner's.
#include <utility>

#include "api/endpoint.h"
#include "api/orders.h"
#include "api/requests.h"

namespace lares::api {
namespace {

constexpr unsigned kReceiptsShown = 20;
constexpr unsigned kReceiptsShownMax = 1'000;
constexpr size_t kFileNameMax = 4'096;
constexpr size_t kRungNameMax = 16;

using consent::Right;

// Without what only the owner sees: where a file lies, and came from.
Json visible(Json model, const consent::Principal& who) {
  if (who.right >= Right::Owner || !model.is_object()) return model;
  for (const char* own : {"file", "pulled"}) model.erase(own);
  if (model.contains("projector") && model["projector"].is_object())
    model["projector"].erase("file");
  return model;
}

void models(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("models.list", Json::object(), [responder, who = request.who](Result<Json> list) {
    if (!list) return responder->error(list.error());
    for (Json& model : *list) model = visible(std::move(model), who);
    answer_json(*responder, *list);
  });
}

void model(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("models.show", {{"name", request.path_parameters.at("id")}},
              [responder, who = request.who](Result<Json> found) {
                if (!found) return responder->error(found.error());
                answer_json(*responder, visible(*std::move(found), who));
              });
}

void add(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  const auto body = read_object(request.body);
  if (!body) return responder->error(body.error());
  const auto file = string_field(*body, "file", kFileNameMax, true);
  if (!file) return responder->error(file.error());
  const auto name = string_field(*body, "name", kModelNameMax, false);
  if (!name) return responder->error(name.error());
  const auto projector = string_field(*body, "projector", kFileNameMax, false);
  if (!projector) return responder->error(projector.error());
  Json arguments = {{"file", *file}};
  if (!projector->empty()) arguments["projector"] = *projector;
  if (!name->empty()) arguments["name"] = *name;
  service.ask("models.add", std::move(arguments), answer_with(std::move(responder)));
}

void remove(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("models.rm", {{"name", request.path_parameters.at("id")}},
              answer_with(std::move(responder)));
}

template <bool kPinned>
void pin(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  service.ask("models.pin", {{"name", request.path_parameters.at("id")}, {"pinned", kPinned}},
              answer_with(std::move(responder)));
}

void evict(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  Json arguments = {{"name", request.path_parameters.at("id")}};
  if (!request.body.empty()) {
    const auto body = read_object(request.body);
    if (!body) return responder->error(body.error());
    const auto rung = string_field(*body, "rung", kRungNameMax, false);
    if (!rung) return responder->error(rung.error());
    if (!rung->empty()) arguments["rung"] = *rung;
  }
  service.ask("models.evict", std::move(arguments), answer_with(std::move(responder)));
}

void receipts(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  const auto limit = number_query(request, "limit", 1, kReceiptsShownMax);
  if (!limit) return responder->error(limit.error());
  service.ask("receipts", {{"limit", static_cast<unsigned>(limit->value_or(kReceiptsShown))}},
              answer_with(std::move(responder)));
}

void why(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  Json arguments = Json::object();
  if (const auto id = request.path_parameters.find("id"); id != request.path_parameters.end())
    arguments["id"] = id->second;
  service.ask("why", std::move(arguments), answer_with(std::move(responder)));
}

// A question without arguments.
template <const char* const& kQuestion>
void question(const Request& /*request*/, std::shared_ptr<Responder> responder, Service& service) {
  service.ask(kQuestion, Json::object(), answer_with(std::move(responder)));
}

void stop(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  service.ask("stop", Json::object(), answer_with(std::move(responder)));
}

constexpr const char* kFind = "models.find";
constexpr const char* kPs = "ps";
constexpr const char* kDoctor = "doctor";
constexpr const char* kStatus = "status";
constexpr const char* kConfig = "config";

constexpr std::string_view kAddSchema =
    R"({"type":"object","required":["file"],"properties":{)"
    R"("file":{"type":"string","maxLength":4096,"description":"The absolute path of a GGUF file; it is used where it lies."},)"
    R"("name":{"type":"string","maxLength":256,"description":"The model's id; made from the file's name when left out."},)"
    R"("projector":{"type":"string","maxLength":4096,"description":"The absolute path of its projector, which lets it see or hear; when left out, the only mmproj-*.gguf beside the file."}}})";

constexpr std::string_view kEvictSchema =
    R"({"type":"object","properties":{)"
    R"("rung":{"type":"string","enum":["absent","parked","warm"],"default":"absent","description":"warm: without the state of conversations and buffers; parked: also without its weights; absent: without its process."}}})";

constexpr std::string_view kReceiptsQuery =
    R"({"limit":{"type":"integer","minimum":1,"maximum":1000,"default":20}})";

// clang-format off
const Endpoint kEndpoints[] = {
    {"GET /lares/v1/models", Right::App, "Lists the models with all that is known of each.", "", "", "Models", "", ErrorShape::OpenAi, models},
    {"POST /lares/v1/models", Right::Owner, "Adds a model file where it lies.", kAddSchema, "", "Model", "", ErrorShape::OpenAi, add},
    {"GET /lares/v1/models/{id}", Right::App, "One model, by its id or the beginning of one.", "", "", "Model", "", ErrorShape::OpenAi, model},
    {"DELETE /lares/v1/models/{id}", Right::Owner, "Forgets a model; deletes its file only when it is in Lares' own folder.", "", "", "Nothing", "", ErrorShape::OpenAi, remove},
    {"POST /lares/v1/models/{id}/pin", Right::Owner, "Keeps a model in memory, once it is there, against others that need room.", R"({"type":"object"})", "", "Pinned", "", ErrorShape::OpenAi, pin<true>},
    {"POST /lares/v1/models/{id}/unpin", Right::Owner, "Lets others take its room again.", R"({"type":"object"})", "", "Pinned", "", ErrorShape::OpenAi, pin<false>},
    {"POST /lares/v1/models/{id}/evict", Right::Owner, "Sends a model that rests out of memory, or down to a lower rung.", kEvictSchema, "", "Evicted", "", ErrorShape::OpenAi, evict},
    {"GET /lares/v1/models-found", Right::Owner, "Lists the models that other programs keep on this disk.", "", "", "ModelsFound", "", ErrorShape::OpenAi, question<kFind>},
    {"GET /lares/v1/ps", Right::Owner, "Lists the models in memory and what they are doing.", "", "", "InMemory", "", ErrorShape::OpenAi, question<kPs>},
    {"GET /lares/v1/why", Right::Owner, "The receipt of the newest request.", "", "", "Receipt", "", ErrorShape::OpenAi, why},
    {"GET /lares/v1/why/{id}", Right::Owner, "The receipt of a request: where it ran and why.", "", "", "Receipt", "", ErrorShape::OpenAi, why},
    {"GET /lares/v1/receipts", Right::Owner, "The newest receipts, newest first.", "", kReceiptsQuery, "Receipts", "", ErrorShape::OpenAi, receipts},
    {"GET /lares/v1/doctor", Right::Owner, "What works on this machine and what does not, with the next step.", "", "", "Checks", "", ErrorShape::OpenAi, question<kDoctor>},
    {"GET /lares/v1/status", Right::Owner, "The daemon: version, time up, where it listens.", "", "", "Status", "", ErrorShape::OpenAi, question<kStatus>},
    {"GET /lares/v1/config", Right::Owner, "The settings in force, and where each comes from.", "", "", "Settings", "", ErrorShape::OpenAi, question<kConfig>},
    {"POST /lares/v1/stop", Right::Owner, "Ends the daemon.", R"({"type":"object"})", "", "Nothing", "", ErrorShape::OpenAi, stop},
};
// clang-format on

const RegisteredTable kRegistered(kEndpoints);

}  // namespace
}  // namespace lares::api
