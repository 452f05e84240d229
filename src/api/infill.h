// Infill: one request to fill a gap in a text, from checked fields to llama-server's own shape of
// an answer, streamed or whole, which editors' plug-ins read. OpenAI's way to ask for the same is
// "suffix" in /v1/completions.
#pragma once

#include <memory>

#include "api/endpoint.h"
#include "api/requests.h"

namespace lares::api {

// Submits the work and answers through `responder`; returns at once. `service` must outlive it.
void infill(GenerationRequest request, std::shared_ptr<Responder> responder, Service& service);

}  // namespace lares::api
