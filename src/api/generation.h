// Generation: one chat or completion request on its way through the service, from checked fields to
// the last byte of the answer, streamed or whole. api/endpoints/ has only the routes.
//
//   submit ──Started──> streaming? begin_stream, roles ──Delta*──> ──ChoiceDone*──> ──Ended──>
//   finish, done
//      └───Ended(error) before a byte was sent: an HTTP status; after it: an error event and the
//      end
//
// A request of several prompts is several works; their choices are numbered through, and the first
// error ends them all. Owned by the works' sinks (shared); events come on the run loop thread, the
// client's leaving on the network thread, and the list of works is the only thing both touch
// (mutex).
#pragma once

#include <memory>

#include "api/endpoint.h"
#include "api/requests.h"

namespace lares::api {

// Submits the works and answers through `responder`; returns at once. `service` must outlive the
// request.
void generate(GenerationRequest request, std::shared_ptr<Responder> responder, Service& service);

// The same for vectors, which are never streamed.
void embed(EmbeddingRequest request, std::shared_ptr<Responder> responder, Service& service);

}  // namespace lares::api
