// What the worker needs of libmtmd beyond its own header: what computes its graphs, to stop it, to
// hear of its progress and to give it the worker's threads.
#pragma once

#include <ggml-backend.h>

#include <cstddef>
#include <vector>

struct mtmd_context;
struct clip_ctx;

// In place of a file's name mtmd_init_from_file() takes a descriptor, as a decimal number; it stays
// open.

// Of each encoder that the context has; they end with it.
std::vector<ggml_backend_t> mtmd_backends(mtmd_context* context);
// With how many threads the next encoding computes.
void mtmd_use_threads(mtmd_context* context, int threads);
// Bytes of the weights and of the buffers that a picture of the usual size takes.
struct mtmd_bytes {
  size_t weights = 0;
  size_t compute = 0;
};
mtmd_bytes mtmd_memory(mtmd_context* context);

// Of one encoder.
ggml_backend_t clip_backend(clip_ctx* context);
mtmd_bytes clip_memory(clip_ctx* context);
