// What a model's head says about the work that it makes: bytes of state for each token, bytes of
// weights that one token reads, multiplications that one token of a prompt costs. From these and a
// machine's measured speeds the daemon predicts needs and rates (inventory/plan). Pure.
#pragma once

#include "base/json.h"
#include "engine/gguf.h"

namespace lares::engine::gguf {

// An object with
// - heads, kv_heads, head_size, feed_forward: of the largest layer; 0 where the file does not say;
// - experts, experts_used: 0 for a model without;
// - state_bytes_per_token: 16-bit keys and values of the layers that see everything;
// - window_state_bytes_per_token: the same of the layers behind a sliding window;
// - recurrent_layers: those with a state of fixed size;
// - weights: [{type, bytes, decode_bytes, prefill_values}], for each packing the bytes in the file,
//   those that are read to compute one token of an answer, and the values that each token of a
//   prompt is multiplied with;
// - logit_type, logit_bytes: the matrix that gives the logits, part of decode_bytes;
// - logit_rows: its values, for each of prefill_values;
// - rows: [{row, values}], prefill_values by the length of the rows.
// No value is larger than the file allows, so sums stay in range.
Json work_of(const Head& head);

// The licence as the file gives it: {name, link}, texts of at most 256 bytes; {} for none.
Json licence_of(const Head& head);

// What a LoRA adapter's file says of itself: {type, architecture, name, size_bytes, adapter: {kind,
// rank, alpha, tensors}}. Null: it is no adapter.
Json adapter_of(const Head& head);

// What a projector's file says of itself: {type, architecture, name, licence, size_bytes,
// projector: {kind, sees, hears, embedding_length}}. Null: it is none.
Json projector_of(const Head& head);

}  // namespace lares::engine::gguf
