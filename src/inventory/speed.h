// Speed: how many tokens a second a model will give on this machine, before it is loaded. Pure.
//
// A token of an answer reads every weight once (of experts those that are asked), so it takes the
// bytes of each packing over the rate that was measured for it, and something for each step of the
// graph and each value of the vocabulary. A token of a prompt is computed with 511 others, so what
// counts are the multiplications, and what lies between them. The rates come from a measurement of
// this machine that computes with nobody's model (lares-worker --measure), the bytes and
// multiplications from the head of the model's file (engine/gguf_facts) or from a catalogue's
// entry.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/units.h"

namespace lares::inventory {

struct Speeds {
  struct Rate {
    double decode_bytes_per_s = 0;
    double prefill_values_per_s = 0;
    double copied = 0;  // bytes that the engine makes beside each of the file's; 0: it uses those
  };
  unsigned threads = 0;
  double node_s = 0;             // one step of the graph, of one token
  double step_values_per_s = 0;  // values of a prompt, in steps that are no products
  double logit_s = 0;            // one value of the vocabulary
  std::map<std::string, Rate, std::less<>> types;  // by packing: "Q4_K"
  Rate attention;

  // Of what --measure printed; none when it makes no sense.
  static std::optional<Speeds> from(const Json& measured);
};

struct Rates {
  double tokens_per_s = 0;         // of an answer, one at a time, after a short prompt
  double prompt_tokens_per_s = 0;  // of a prompt of kPromptTokens that nothing is known of
};
inline constexpr Tokens kPromptTokens = 512;
inline constexpr Tokens kAnswerAfter = 128;  // the middle of a short answer: tokens seen by then

// `info` as Inspect or a catalogue's entry gives it (layers, vocabulary, work). None when it does
// not say enough, or nothing was measured.
std::optional<Rates> predicted_rates(const Json& info, const Speeds& speeds);

// Where nothing of the machine was measured: another model's rate here, by the bytes read for a
// token.
double rate_by_size(double tokens_per_s, Bytes measured_model, Bytes model);

}  // namespace lares::inventory
