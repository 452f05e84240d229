// GET /health and /openapi.json: what anybody may know. They say that Lares answers and nothing
// of what it holds.
#include "api/endpoint.h"

namespace lares::api {
namespace {

void health(const Request& /*request*/, std::shared_ptr<Responder> responder,
            Service& /*service*/) {
  answer_json(*responder, {{"status", "ok"}});
}

void describe(const Request& /*request*/, std::shared_ptr<Responder> responder,
              Service& /*service*/) {
  answer_json(*responder, openapi());
}

const Endpoint kHealth{
    .name = "GET /health",
    .right = consent::Right::None,
    .summary = "Answers {\"status\": \"ok\"} while the daemon answers at all.",
    .answer = "Health",
    .run = health,
};
const Endpoint kDescribe{
    .name = "GET /openapi.json",
    .right = consent::Right::None,
    .summary = "This description of the API.",
    .answer = "Description",
    .run = describe,
};
const Registered<Endpoint> kHealthRegistered{kHealth};
const Registered<Endpoint> kDescribeRegistered{kDescribe};

}  // namespace
}  // namespace lares::api
