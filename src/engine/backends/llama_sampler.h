// Choosing tokens from llama.cpp's logits, by llama-common's sampler.
#pragma once

#include <sampling.h>

#include "engine/model.h"

namespace lares::engine::llama {

// `context` and `model` must outlive it.
Result<std::unique_ptr<Sampler>> make_sampler(llama_context* context, const llama_model* model,
                                              const Sampling& sampling,
                                              std::span<const Token> prompt);

// The first of the largest, over the whole vocabulary.
Likeliest likeliest_of(std::span<const float> values);

}  // namespace lares::engine::llama
