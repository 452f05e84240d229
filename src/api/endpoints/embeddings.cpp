// POST /v1/embeddings: texts in, vectors out, in the same order.
#include "api/generation.h"

namespace lares::api {
namespace {

void run(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  auto read = read_embedding(request.body, request.who);
  if (!read) return responder->error(read.error());
  embed(*std::move(read), std::move(responder), service);
}

const std::string kSchema = schema(Table::Embedding);
const Endpoint kEndpoint{
    .name = "POST /v1/embeddings",
    .right = consent::Right::App,
    .summary = "Turns texts into vectors, as numbers or base64, in OpenAI's shape.",
    .schema = kSchema,
    .answer = "Embeddings",
    .run = run,
};
const Registered<Endpoint> kRegistered{kEndpoint};

}  // namespace
}  // namespace lares::api
