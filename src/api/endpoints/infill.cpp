// POST /infill: a text with a gap in, what fills it out.
#include "api/infill.h"

namespace lares::api {
namespace {

void run(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  auto read = read_infill(request.body, request.who);
  if (!read) return responder->error(read.error());
  infill(*std::move(read), std::move(responder), service);
}

const std::string kSchema = schema(Table::Infill);
const Endpoint kEndpoint{
    .name = "POST /infill",
    .right = consent::Right::App,
    .summary = "Fills a gap in a text, whole or as a stream, in llama-server's shape.",
    .schema = kSchema,
    .answer = "Infill",
    .chunk = "InfillChunk",
    .run = run,
};
const Registered<Endpoint> kRegistered{kEndpoint};

}  // namespace
}  // namespace lares::api
