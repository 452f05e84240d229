// /lares/v1/answers: what can be done with an answer while it is made.
#include <utility>

#include "api/orders.h"

namespace lares::api {
namespace {

void stop_thinking(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  service.ask("answers.stop_thinking",
              {{"id", request.path_parameters.at("id")}, {"who", request.who.id}},
              answer_with(std::move(responder)));
}

const Endpoint kEndpoint{
    .name = "POST /lares/v1/answers/{id}/stop_thinking",
    .right = consent::Right::App,
    .summary =
        "Ends the thoughts of one of the caller's answers, so that its text begins; {id} is that "
        "of its stream or of its receipt.",
    .answer = "Nothing",
    .run = stop_thinking,
};
const Registered<Endpoint> kRegistered{kEndpoint};

}  // namespace
}  // namespace lares::api
