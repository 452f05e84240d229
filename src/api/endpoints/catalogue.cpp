// /lares/v1/catalogue: models worth having, best for this machine first;
// /lares/v1/models/{id}/plan: what one that is here would need, and how fast it would be.
// Service::ask's answers as they are.
#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {
namespace {

using consent::Right;

constexpr size_t kQueryMax = 256;

Reply answer_with(std::shared_ptr<Responder> responder) {
  return [responder = std::move(responder)](Result<Json> result) {
    if (!result) return responder->error(result.error());
    answer_json(*responder, *result);
  };
}

void catalogue(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  Json arguments = Json::object();
  if (const auto query = request.query.find("query"); query != request.query.end()) {
    if (query->second.size() > kQueryMax || !is_utf8(query->second)) {
      return responder->error({Code::Invalid,
                               cat("reading the request: 'query' has ", query->second.size(),
                                   " bytes, but must be UTF-8 of at most ", kQueryMax),
                               "query"});
    }
    arguments["query"] = query->second;
  }
  if (const auto measure = request.query.find("measure"); measure != request.query.end()) {
    if (measure->second != "yes" && measure->second != "no") {
      return responder->error(
          {Code::Invalid,
           cat("reading the request: 'measure' is '", utf8_repaired(measure->second.substr(0, 16)),
               "', but must be 'yes' or 'no'"),
           "measure"});
    }
    arguments["measure"] = measure->second;
  }
  service.ask("catalogue", std::move(arguments), answer_with(std::move(responder)));
}

void plan(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("plan", {{"name", request.path_parameters.at("id")}},
              answer_with(std::move(responder)));
}

constexpr std::string_view kQuery =
    R"({"query":{"type":"string","maxLength":256,"description":"words that must all stand in an entry"},)"
    R"("measure":{"type":"string","enum":["yes","no"],"default":"yes","description":"no: do not measure this machine first, where it was not"}})";

const Endpoint kCatalogue{
    .name = "GET /lares/v1/catalogue",
    .right = Right::Owner,
    .summary = "Lists models worth having, best for this machine first.",
    .query = kQuery,
    .answer = "Catalogue",
    .run = catalogue,
};
const Endpoint kPlan{
    .name = "GET /lares/v1/models/{id}/plan",
    .right = Right::Owner,
    .summary =
        "What a model would need in memory and how fast it would be, beside what was measured.",
    .answer = "Plan",
    .run = plan,
};
const Registered<Endpoint> kCatalogueRegistered{kCatalogue};
const Registered<Endpoint> kPlanRegistered{kPlan};

}  // namespace
}  // namespace lares::api
