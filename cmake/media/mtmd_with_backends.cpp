// mtmd.cpp as it is, and what it keeps to itself.
#include "mtmd.cpp"
#include "mtmd_backends.h"

std::vector<ggml_backend_t> mtmd_backends(mtmd_context* context) {
  std::vector<ggml_backend_t> all;
  for (clip_ctx* each : {context->ctx_v, context->ctx_a})
    if (each) all.push_back(clip_backend(each));
  return all;
}

void mtmd_use_threads(mtmd_context* context, int threads) { context->n_threads = threads; }

mtmd_bytes mtmd_memory(mtmd_context* context) {
  mtmd_bytes all;
  for (clip_ctx* each : {context->ctx_v, context->ctx_a}) {
    if (!each) continue;
    const mtmd_bytes one = clip_memory(each);
    all.weights += one.weights;
    all.compute += one.compute;
  }
  return all;
}
