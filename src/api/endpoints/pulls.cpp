// /lares/v1/pulls: models on their way here. All of it is the owner's: a pull takes disk and
// network, and says what the person has.
#include <utility>

#include "api/orders.h"
#include "api/requests.h"
#include "base/text.h"

namespace lares::api {
namespace {

constexpr size_t kSourceMax = 2'048;

using consent::Right;

// A text of an order: "" when it is left out.
Result<std::string> text_field(const Json& body, const char* name, size_t most) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return std::string();
  if (!found->is_string() || found->get_ref<const std::string&>().size() > most) {
    return Error{
        Code::Invalid,
        cat("reading the request: '", name, "' must be a string of at most ", most, " bytes"),
        name};
  }
  return found->get<std::string>();
}

void add(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  if (!says_json(request, *responder)) return;
  const auto body = read_object(request.body);
  if (!body) return responder->error(body.error());
  Json order = Json::object();
  for (const auto& [field, most] :
       {std::pair{"source", kSourceMax}, std::pair{"name", kModelNameMax},
        std::pair{"sha256", size_t{64}}}) {
    const auto text = text_field(*body, field, most);
    if (!text) return responder->error(text.error());
    if (!text->empty()) order[field] = *text;
  }
  if (!order.contains("source"))
    return responder->error({Code::Invalid, "reading the request: 'source' is missing", "source"});
  service.ask("pulls.add", std::move(order), answer_with(std::move(responder)));
}

void list(const Request&, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("pulls.list", Json::object(), answer_with(std::move(responder)));
}

void show(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("pulls.show", {{"id", request.path_parameters.at("id")}},
              answer_with(std::move(responder)));
}

void cancel(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("pulls.cancel", {{"id", request.path_parameters.at("id")}},
              answer_with(std::move(responder)));
}

void stop(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("pulls.stop", {{"id", request.path_parameters.at("id")}},
              answer_with(std::move(responder)));
}

constexpr std::string_view kAddSchema =
    R"({"type":"object","required":["source"],"properties":{)"
    R"("source":{"type":"string","maxLength":2048,"description":"hf:OWNER/REPO[:QUANTIZATION or FILE], ollama:NAME[:TAG], https://... or the absolute path of a file or folder."},)"
    R"("name":{"type":"string","maxLength":256,"description":"The model's id; its name at the source when left out."},)"
    R"("sha256":{"type":"string","description":"What the file must be, in place of what the catalogue knows or came from there before."}}})";

// clang-format off
const Endpoint kEndpoints[] = {
    {"POST /lares/v1/pulls", Right::Owner, "Pulls a model, goes on with one, or joins a pull of the same source.", kAddSchema, "", "Pull", "", ErrorShape::OpenAi, add},
    {"GET /lares/v1/pulls", Right::Owner, "Lists the models on their way, those that came and those that did not.", "", "", "Pulls", "", ErrorShape::OpenAi, list},
    {"GET /lares/v1/pulls/{id}", Right::Owner, "One pull, and how far it is.", "", "", "Pull", "", ErrorShape::OpenAi, show},
    {"POST /lares/v1/pulls/{id}/stop", Right::Owner, "Ends a pull for now; the same pull goes on from there.", "", "", "Pull", "", ErrorShape::OpenAi, stop},
    {"DELETE /lares/v1/pulls/{id}", Right::Owner, "Cancels a pull, removes what was fetched, and takes it off the list; the model of one that is done stays.", "", "", "Pull", "", ErrorShape::OpenAi, cancel},
};
// clang-format on

const RegisteredTable kRegistered(kEndpoints);

}  // namespace
}  // namespace lares::api
