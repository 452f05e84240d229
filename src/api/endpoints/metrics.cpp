// GET /metrics: counters for whoever watches this machine, in Prometheus' text format.
#include "api/endpoint.h"

namespace lares::api {
namespace {

void metrics(const Request& /*request*/, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("metrics", Json::object(), [responder](const Result<Json>& answer) {
    if (!answer) return responder->error(answer.error());
    responder->whole(200, "text/plain; version=0.0.4; charset=utf-8",
                     answer->value("text", std::string()));
  });
}

const Endpoint kEndpoint{
    .name = "GET /metrics",
    .right = consent::Right::Owner,
    .summary = "Counters of requests, tokens, waiting and computing, in Prometheus' text format.",
    .run = metrics,
};
const Registered<Endpoint> kRegistered{kEndpoint};

}  // namespace
}  // namespace lares::api
