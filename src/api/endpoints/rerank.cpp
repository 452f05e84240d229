// POST /v1/rerank, and the other names that clients have for it: documents in, their order out.
#include "api/rerank.h"

namespace lares::api {
namespace {

void run(const Request& request, std::shared_ptr<Responder> responder, Service& service) {
  auto read = read_rerank(request.body, request.who, request.path);
  if (!read) return responder->error(read.error());
  rerank(*std::move(read), std::move(responder), service);
}

const std::string kSchema = schema(Table::Rerank);

Endpoint endpoint(std::string_view name) {
  return {
      .name = name,
      .right = consent::Right::App,
      .summary = "Orders documents by how well they answer a query, in Jina's and Cohere's shape.",
      .schema = kSchema,
      .answer = "Reranked",
      .run = run,
  };
}

const Endpoint kEndpoints[] = {endpoint("POST /v1/rerank"), endpoint("POST /v1/reranking"),
                               endpoint("POST /rerank"), endpoint("POST /reranking")};
const RegisteredTable kRegistered(kEndpoints);

}  // namespace
}  // namespace lares::api
