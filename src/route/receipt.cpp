#include "route/receipt.h"

namespace lares::route {

Json to_json(const Receipt& receipt) {
  return {{"id", receipt.id},
          {"endpoint", receipt.endpoint},
          {"principal", receipt.principal},
          {"model", receipt.model},
          {"place", receipt.place},
          {"why", receipt.why},
          {"outcome", receipt.outcome},
          {"error", receipt.error.empty() ? Json() : Json(receipt.error)},
          {"started_unix_ms", receipt.started_unix_ms},
          {"queue_ms", receipt.queue_ms},
          {"load_ms", receipt.load_ms},
          {"ttft_ms", receipt.ttft_ms},
          {"total_ms", receipt.total_ms},
          {"cpu_ms", receipt.cpu_ms},
          {"prompt_tokens", receipt.prompt_tokens},
          {"prompt_tokens_reused", receipt.prompt_tokens_reused},
          {"completion_tokens", receipt.completion_tokens},
          {"drafted_tokens", receipt.drafted_tokens},
          {"accepted_tokens", receipt.accepted_tokens},
          {"bytes_left_device", receipt.bytes_left_device},
          {"prefill_tokens_per_s", receipt.prefill_tokens_per_s},
          {"decode_tokens_per_s", receipt.decode_tokens_per_s}};
}

Json answer_object(const Receipt& receipt) {
  return {{"id", receipt.id},
          {"place", receipt.place},
          {"model", receipt.model},
          {"why", receipt.why},
          {"outcome", receipt.outcome},
          {"queue_ms", receipt.queue_ms},
          {"load_ms", receipt.load_ms},
          {"ttft_ms", receipt.ttft_ms},
          {"cpu_ms", receipt.cpu_ms},
          {"prompt_tokens_reused", receipt.prompt_tokens_reused},
          {"bytes_left_device", receipt.bytes_left_device},
          {"cost_usd", 0.0},  // everything runs on this machine
          {"fallbacks", Json::array()}};
}

}  // namespace lares::route
