// Choosing tokens from llama.cpp's logits, by llama-common's sampler.
#pragma once

#include <sampling.h>

#include <memory>

#include "engine/model.h"

namespace lares::engine::llama {

struct FreeContext {
  void operator()(llama_context* context) const { llama_free(context); }
};
using Context = std::unique_ptr<llama_context, FreeContext>;

// `context` and `model` must outlive it; where the context is another by then, or not yet there,
// that one is asked. `cells`: of the context.
Result<std::unique_ptr<Sampler>> make_sampler(const Context& context, Tokens cells,
                                              const llama_model* model, const Sampling& sampling,
                                              std::span<const Token> prompt);

// The first of the largest, over the whole vocabulary.
Likeliest likeliest_of(std::span<const float> values);

}  // namespace lares::engine::llama
