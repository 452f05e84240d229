// Measure: how fast this machine computes what models are made of, with one CPU backend and as many
// threads as a model would have. From it the daemon predicts rates of models that it has never
// loaded (inventory/speed). Run in a process that is thrown away, as a probe is; reads no foreign
// byte. It computes as a model does, a step at a time when it is its turn.
#pragma once

#include "engine/lease.h"
#include "engine/model.h"

namespace lares::engine::llama {

// {variant, threads,
//  node_us      one small step of the graph (a norm, a sum) with its threads met again,
//  step_values_per_s   what such steps do to a prompt's values, which are many
//  logit_ns     one value of the vocabulary, looked at for choosing a token,
//  types: {"Q4_K": {decode_bytes_per_s, prefill_values_per_s, copied}}
//      prefill: values times tokens, each a multiplication and an addition
//      copied: bytes for each of the file's that a loader makes beside the mapped file; 0: none
//  attention: {decode_bytes_per_s, prefill_values_per_s}}
// Takes some seconds of its own turns. Unsupported as the probe.
Result<Json> measure(const std::string& file, unsigned threads, Lease& lease);

}  // namespace lares::engine::llama
