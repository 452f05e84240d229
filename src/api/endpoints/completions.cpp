// POST /v1/completions: one text or several in, how each goes on out.
#include "api/generation.h"

namespace lares::api {
namespace {

void run(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  auto read = read_completion(request.body, request.who);
  if (!read) return responder->error(read.error());
  generate(*std::move(read), std::move(responder), service);
}

const std::string kSchema = schema(Table::Completion);
const Endpoint kEndpoint{
    .name = "POST /v1/completions",
    .right = consent::Right::App,
    .summary = "Goes on with a text, whole or as a stream, in OpenAI's older shape.",
    .schema = kSchema,
    .answer = "TextCompletion",
    .chunk = "TextCompletionChunk",
    .run = run,
};
const Registered<Endpoint> kRegistered{kEndpoint};

}  // namespace
}  // namespace lares::api
