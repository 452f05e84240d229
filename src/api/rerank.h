// Rerank: one request to order documents by how well they answer a query, from checked fields to
// the answer in the shape of Jina and Cohere, which llama-server has too.
#pragma once

#include <memory>

#include "api/endpoint.h"
#include "api/requests.h"

namespace lares::api {

// Submits the work and answers through `responder`; returns at once. `service` must outlive it.
void rerank(RerankRequest request, std::shared_ptr<Responder> responder, Service& service);

// The answer: results best first, equal ones in the documents' order. Corrupt when the scores are
// not one finite float32 for each document.
Result<Json> rerank_answer(const RerankRequest& request, const Embedded& scores, const Ended& ended,
                           std::string_view model);

}  // namespace lares::api
