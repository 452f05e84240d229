// POST /v1/chat/completions: a conversation in, the next message out.
#include "api/generation.h"

namespace lares::api {
namespace {

void run(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  auto read = read_chat(request.body, request.who);
  if (!read) return responder->error(read.error());
  generate(*std::move(read), std::move(responder), service);
}

const std::string kSchema = schema(Table::Chat);
const Endpoint kEndpoint{
    .name = "POST /v1/chat/completions",
    .right = consent::Right::App,
    .summary = "Answers a conversation, whole or as a stream, in OpenAI's shape.",
    .schema = kSchema,
    .answer = "ChatCompletion",
    .chunk = "ChatCompletionChunk",
    .run = run,
};
const Registered<Endpoint> kRegistered{kEndpoint};

}  // namespace
}  // namespace lares::api
