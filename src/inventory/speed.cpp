#include "inventory/speed.h"

#include <algorithm>
#include <cmath>

#include "inventory/info.h"

namespace lares::inventory {
namespace {

// Steps of the graph in one layer: seven products, two norms, two turns of positions, two copies
// into the state, attention, an activation, two sums. As graphs of llama.cpp have them.
constexpr double kStepsOfALayer = 17;
constexpr double kStepsBeside = 8;
// What the steps between the products do to each token of a prompt, in each layer: so many times
// the values of its width, and of its wide middle. Found by comparing with models that were
// measured.
constexpr double kPassesOfWidth = 18;
constexpr double kPassesOfMiddle = 6;

double number(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return 0;
  const double value = found->get<double>();
  return std::isfinite(value) && value > 0 ? value : 0;
}

Speeds::Rate rate_from(const Json& object) {
  if (!object.is_object()) return {};
  return {number(object, "decode_bytes_per_s"), number(object, "prefill_values_per_s"),
          std::min(number(object, "copied"), 8.0)};
}

// The measured rate of a packing; of one that was not measured, the slowest.
Speeds::Rate rate_for(const Speeds& speeds, std::string_view type) {
  if (const auto found = speeds.types.find(type); found != speeds.types.end() &&
                                                  found->second.decode_bytes_per_s > 0 &&
                                                  found->second.prefill_values_per_s > 0)
    return found->second;
  Speeds::Rate slowest{HUGE_VAL, HUGE_VAL, 0};
  for (const auto& [name, rate] : speeds.types) {
    if (rate.decode_bytes_per_s > 0)
      slowest.decode_bytes_per_s = std::min(slowest.decode_bytes_per_s, rate.decode_bytes_per_s);
    if (rate.prefill_values_per_s > 0)
      slowest.prefill_values_per_s =
          std::min(slowest.prefill_values_per_s, rate.prefill_values_per_s);
  }
  return slowest;
}

}  // namespace

std::optional<Speeds> Speeds::from(const Json& measured) {
  if (!measured.is_object()) return std::nullopt;
  Speeds speeds;
  speeds.threads = static_cast<unsigned>(std::min(number(measured, "threads"), 1024.0));
  speeds.node_s = number(measured, "node_us") / 1e6;
  speeds.step_values_per_s = number(measured, "step_values_per_s");
  speeds.logit_s = number(measured, "logit_ns") / 1e9;
  if (const auto types = measured.find("types"); types != measured.end() && types->is_object()) {
    for (const auto& [name, rate] : types->items()) speeds.types[name] = rate_from(rate);
  }
  if (const auto attention = measured.find("attention"); attention != measured.end())
    speeds.attention = rate_from(*attention);
  const bool useful = std::any_of(speeds.types.begin(), speeds.types.end(), [](const auto& each) {
    return each.second.decode_bytes_per_s > 0 && each.second.prefill_values_per_s > 0;
  });
  if (!useful || speeds.threads == 0) return std::nullopt;
  return speeds;
}

std::optional<Rates> predicted_rates(const Json& info, const Speeds& speeds) {
  const auto work = info.find("work");
  if (work == info.end() || !work->is_object()) return std::nullopt;
  const auto weights = work->find("weights");
  if (weights == work->end() || !weights->is_array()) return std::nullopt;

  const auto layers = static_cast<double>(count_in(info, "layers"));
  double decode_s = (layers * kStepsOfALayer + kStepsBeside) * speeds.node_s +
                    static_cast<double>(count_in(info, "vocabulary")) * speeds.logit_s;
  double prefill_s = decode_s;  // of all kPromptTokens together
  double decode_bytes = 0;
  for (const Json& each : *weights) {
    if (!each.is_object()) return std::nullopt;
    const auto type = each.find("type");
    if (type == each.end() || !type->is_string()) return std::nullopt;
    const Speeds::Rate rate = rate_for(speeds, type->get_ref<const std::string&>());
    const auto bytes = static_cast<double>(count_in(each, "decode_bytes"));
    decode_bytes += bytes;
    decode_s += bytes / rate.decode_bytes_per_s;
    prefill_s += static_cast<double>(count_in(each, "prefill_values")) * kPromptTokens /
                 rate.prefill_values_per_s;
  }
  if (decode_bytes <= 0) return std::nullopt;
  if (speeds.step_values_per_s > 0) {
    const double values =
        layers * (kPassesOfWidth * static_cast<double>(count_in(info, "embedding_length")) +
                  kPassesOfMiddle * static_cast<double>(count_in(*work, "feed_forward")));
    prefill_s += values * kPromptTokens / speeds.step_values_per_s;
  }
  // of the prompt's last token alone
  if (const auto logits = work->find("logit_type"); logits != work->end() && logits->is_string())
    prefill_s += static_cast<double>(count_in(*work, "logit_bytes")) /
                 rate_for(speeds, logits->get_ref<const std::string&>()).decode_bytes_per_s;

  const auto state = static_cast<double>(count_in(*work, "state_bytes_per_token") +
                                         count_in(*work, "window_state_bytes_per_token"));
  if (speeds.attention.decode_bytes_per_s > 0)
    decode_s += state * kAnswerAfter / speeds.attention.decode_bytes_per_s;
  if (speeds.attention.prefill_values_per_s > 0) {
    // each token sees half of the others: keys, then values, in each head
    const double values = 2 * layers * static_cast<double>(count_in(*work, "heads")) *
                          static_cast<double>(count_in(*work, "head_size")) * kPromptTokens *
                          kPromptTokens;
    prefill_s += values / speeds.attention.prefill_values_per_s;
  }
  if (!(decode_s > 0) || !(prefill_s > 0)) return std::nullopt;
  return Rates{1 / decode_s, kPromptTokens / prefill_s};
}

double rate_by_size(double tokens_per_s, Bytes measured_model, Bytes model) {
  if (tokens_per_s <= 0 || measured_model.n == 0 || model.n == 0) return 0;
  return tokens_per_s * static_cast<double>(measured_model.n) / static_cast<double>(model.n);
}

}  // namespace lares::inventory
