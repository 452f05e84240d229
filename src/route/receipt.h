// Receipts: what became of each request: where it ran, why, how long it waited, what left the
// device. No content: no prompt, no reply. The last kReceiptsMax are kept, in memory and on disk.
// Owned by the run loop.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lares::route {

inline constexpr size_t kReceiptsMax = 1'000;

struct Receipt {
  std::string id;         // "r-" and 16 hexadecimal digits
  std::string endpoint;   // "/v1/chat/completions"
  std::string principal;  // consent::Principal::id
  std::string model;
  std::string place = "local";
  std::vector<std::string> why;  // each gate and choice in one sentence, in order
  std::string outcome;  // "stop", "length", "repeats", "embedded", or the name of an error code
  std::string error;    // the error's message, when there was one
  int64_t started_unix_ms = 0;
  int64_t queue_ms = 0;
  int64_t load_ms = 0;
  int64_t ttft_ms = 0;  // arrival to first text
  int64_t total_ms = 0;
  int64_t cpu_ms = 0;  // of all cores together, as the worker measured it; of all answers
  uint64_t prompt_tokens = 0;
  uint64_t prompt_tokens_reused = 0;
  uint64_t completion_tokens = 0;
  uint64_t drafted_tokens = 0;   // computed ahead because they were likely to come
  uint64_t accepted_tokens = 0;  // of these, those that came
  uint64_t bytes_left_device = 0;
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;
};

Json to_json(const Receipt& receipt);
// The object "lares" that answers carry (DESIGN: contracts).
Json answer_object(const Receipt& receipt);

}  // namespace lares::route
