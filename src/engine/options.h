// What a Generate asks for, read from its body and checked: every field, its type and its range.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/model.h"

namespace lares::engine {

inline constexpr size_t kStopsMax = 16;
inline constexpr size_t kStopBytesMax = 1024;  // of one stop string
inline constexpr unsigned kTopLogprobsMax = 20;
inline constexpr size_t kLogitBiasMax = 1024;
inline constexpr size_t kLoraMax = 8;      // adapters of one request
inline constexpr float kScaleMax = 16;     // of an adapter, up and down
inline constexpr size_t kExtrasMax = 256;  // files beside the one with the gap
// Each costs a pass over the vocabulary, and of each the engine reads 40 bytes.
inline constexpr size_t kBreakersMax = 16;
inline constexpr size_t kBreakerBytesMax = 40;

struct GenerateOptions {
  Json messages;         // kind "chat": an array, not looked into yet
  Json template_kwargs;  // null or an object
  std::variant<std::string, std::vector<Token>> prompt;  // kind "completion"
  bool chat = false;
  std::optional<Gap> gap;            // kind "infill"
  std::optional<Tokens> max_tokens;  // nullopt: up to the context
  std::vector<std::string> stops;
  std::optional<unsigned> top;  // logprobs are wanted, with that many candidates
  bool echo = false;
  bool stop_repeating = false;  // the answer ends where it is one piece over and over again
  Structure structure;
  bool seeded = false;  // the body names a seed, so the answer should come out the same again
  std::vector<Adapter> adapters;  // by index; none with a scale of 0
  Sampling sampling;
};

// The token that a JSON value names; nullopt when it is none of the vocabulary.
std::optional<Token> token_id(const Json& value, Tokens vocabulary);

// Invalid, with the field in `param`. `random_seed` is taken where the body names none.
// `adapters`: the names in Facts::adapters.
Result<GenerateOptions> read_options(const wire::Generate& message, Tokens vocabulary,
                                     uint32_t random_seed,
                                     std::span<const std::string> adapters = {});

}  // namespace lares::engine
