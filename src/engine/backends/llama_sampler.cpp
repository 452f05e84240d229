#include "engine/backends/llama_sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "engine/backends/llama_steering.h"
#include "engine/logits.h"

namespace lares::engine::llama {
namespace {

std::vector<Candidate> top_candidates(std::span<const float> logits, unsigned count,
                                      float log_sum) {
  std::vector<Token> order(logits.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<Token>(i);
  const size_t n = std::min<size_t>(count, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<ptrdiff_t>(n), order.end(),
      [&](Token a, Token b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  std::vector<Candidate> top;
  top.reserve(n);
  for (size_t i = 0; i < n; i++) top.push_back({order[i], logits[order[i]] - log_sum});
  return top;
}

float log_of_sum(std::span<const float> logits, float most) {
  double sum = 0;
  for (const float x : logits) sum += static_cast<double>(std::exp(x - most));
  return most + static_cast<float>(std::log(sum));
}

class LlamaSampler final : public Sampler {
 public:
  LlamaSampler(const Context& context, const llama_model* model, common_sampler* sampler,
               bool greedy, size_t shortlist, std::vector<llama_logit_bias> biases,
               std::unique_ptr<Steering> steering)
      : context_(context),
        vocab_(llama_model_get_vocab(model)),
        vocabulary_(llama_vocab_n_tokens(vocab_)),
        sampler_(sampler),
        greedy_(greedy),
        shortlist_(shortlist),
        biases_(std::move(biases)),
        steering_(std::move(steering)) {}

  Result<Chosen> choose(int row, std::optional<unsigned> top) override {
    return next(row, top, std::nullopt);
  }

  Result<Chosen> take(int row, Token token, std::optional<unsigned> top) override {
    return next(row, top, token);
  }

  void stop_thinking() override {
    if (steering_) steering_->stop_thinking();
  }

 private:
  // `before`: what was chosen here before. All is done nevertheless that was done then, since
  // drawing moves what later draws depend on.
  Result<Chosen> next(int row, std::optional<unsigned> top, std::optional<Token> before) {
    float* const raw = llama_get_logits_ith(context_.get(), row);
    if (!raw) return Error{Code::Io, "computing: the engine has no result for this row"};
    const std::span<float> logits(raw, static_cast<size_t>(vocabulary_));
    const Greatest most = logits_.read(logits);
    if (!most.all_numbers || !(most.value >= -FLT_MAX)) {
      return Error{Code::Corrupt,
                   "the model computed something that is no number; its file may be damaged"};
    }
    Chosen chosen;
    float log_sum = 0;
    if (top) {  // of what the model computed, so before a bias changes it
      log_sum = log_of_sum(logits, most.value);
      chosen.top = top_candidates(logits, *top, log_sum);
    }
    const auto draw = [&] {
      if (shortlist_ > 0) return draw_of_the_largest(logits);
      if (!greedy_) return common_sampler_sample(sampler_.get(), context_.get(), row);
      return static_cast<Token>(biases_.empty() ? most.at : likeliest(logits));
    };
    if (!steering_) {
      chosen.token = draw();
    } else if (auto steered = steer(logits, draw, chosen); !steered && !before) {
      return std::move(steered).error();
    }
    if (before) {
      chosen.token = *before;
      chosen.last = false;
    }
    if (steering_ && !chosen.last) {
      TRY_AS(chosen.thinking, steering_->took(chosen.token));
    }
    if (!greedy_) common_sampler_accept(sampler_.get(), chosen.token, true);
    if (top) chosen.logprob = logits[chosen.token] - log_sum;
    return chosen;
  }

  // As the engine's sampler draws, which leaves out all but the largest, once it has added biases.
  // Requires: logits_ has read them as they are.
  Token draw_of_the_largest(std::span<const float> logits) {
    candidates_.clear();
    const auto add = [&](Token token) { candidates_.push_back({token, logits[token], 0}); };
    for (const size_t at : logits_.largest(shortlist_)) add(static_cast<Token>(at));
    for (const llama_logit_bias& each : biases_) {
      const auto is_it = [&](const llama_token_data& other) { return other.id == each.token; };
      if (each.bias > 0 && std::none_of(candidates_.begin(), candidates_.end(), is_it))
        add(each.token);
    }
    llama_token_data_array all{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(common_sampler_get(sampler_.get()), &all);
    return all.data[all.selected].id;
  }

  // A grammar is asked about the token that was drawn; only where it refuses that, about all.
  template <class Draw>
  Result<> steer(std::span<float> logits, const Draw& draw, Chosen& chosen) {
    if (steering_->must_end()) {
      chosen.token = llama_vocab_eos(vocab_);
      chosen.last = true;
      return Unit{};
    }
    if (const auto forced = steering_->forced()) {
      chosen.token = *forced;
    } else if (chosen.token = draw(); !steering_->allows(chosen.token)) {
      TRY(steering_->mask(logits));
      logits_.read(logits);
      chosen.token = greedy_ ? static_cast<Token>(likeliest(logits)) : draw();
      if (!steering_->allows(chosen.token))
        return Error{Code::Invalid, "the sampling options leave no token that the answer may have"};
    }
    return Unit{};
  }

  // With the biases, which are taken away again.
  size_t likeliest(std::span<float> logits) {
    before_.clear();
    for (const llama_logit_bias& each : biases_) {
      before_.push_back(logits[each.token]);
      logits[each.token] += each.bias;
    }
    const size_t at = logits_.read(logits).at;
    for (size_t i = biases_.size(); i-- > 0;) logits[biases_[i].token] = before_[i];
    return at;
  }

  const Context& context_;
  const llama_vocab* const vocab_;
  const int32_t vocabulary_;
  const common_sampler_ptr sampler_;
  const bool greedy_;       // always the likeliest, which needs none of the engine's samplers
  const size_t shortlist_;  // of how many of the largest it draws; 0: it looks at all
  const std::vector<llama_logit_bias> biases_;
  const std::unique_ptr<Steering> steering_;  // nullptr: nothing but chance
  std::vector<float> before_;
  Logits logits_;
  std::vector<llama_token_data> candidates_;
};

// What of the samplers looks back, what may choose another token than the likeliest although the
// temperature is 0, and whether the first of them takes the largest.
struct Active {
  bool remembers = false;
  bool strays = false;
  bool begins_with_top_k = false;
};

// The engine's own order, without those that are off: each would only cost time.
Active set_chain(const Sampling& sampling, int32_t context, common_params_sampling& params) {
  const auto back = [&](int32_t n) { return n < 0 ? context : std::min(n, context); };
  params.penalty_present = sampling.presence_penalty;
  params.penalty_freq = sampling.frequency_penalty;
  params.penalty_repeat = sampling.repeat_penalty;
  params.penalty_last_n = back(sampling.repeat_last_n);
  params.dry_multiplier = sampling.dry_multiplier;
  params.dry_base = sampling.dry_base;
  params.dry_allowed_length = sampling.dry_allowed_length;
  params.dry_penalty_last_n = back(sampling.dry_penalty_last_n);
  params.dry_sequence_breakers = sampling.dry_sequence_breakers;
  params.xtc_probability = sampling.xtc_probability;
  params.xtc_threshold = sampling.xtc_threshold;
  params.top_n_sigma = sampling.top_n_sigma;
  params.dynatemp_range = sampling.dynatemp_range;
  params.dynatemp_exponent = sampling.dynatemp_exponent;
  params.mirostat = sampling.mirostat;
  params.mirostat_tau = sampling.mirostat_tau;
  params.mirostat_eta = sampling.mirostat_eta;

  const bool penalties = sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 ||
                         sampling.repeat_penalty != 1;
  const bool dry = sampling.dry_multiplier > 0 && params.dry_penalty_last_n > 0;
  const bool xtc = sampling.xtc_probability > 0 && sampling.xtc_threshold <= 0.5F;
  params.samplers.clear();
  if (penalties) params.samplers.push_back(COMMON_SAMPLER_TYPE_PENALTIES);
  if (dry) params.samplers.push_back(COMMON_SAMPLER_TYPE_DRY);
  if (sampling.top_n_sigma > 0) params.samplers.push_back(COMMON_SAMPLER_TYPE_TOP_N_SIGMA);
  params.samplers.insert(params.samplers.end(),
                         {COMMON_SAMPLER_TYPE_TOP_K, COMMON_SAMPLER_TYPE_TYPICAL_P,
                          COMMON_SAMPLER_TYPE_TOP_P, COMMON_SAMPLER_TYPE_MIN_P});
  if (xtc) params.samplers.push_back(COMMON_SAMPLER_TYPE_XTC);
  params.samplers.push_back(COMMON_SAMPLER_TYPE_TEMPERATURE);
  // Mirostat stands in place of all of them, and takes the likeliest where the temperature is 0
  if (sampling.mirostat != 0) return {};
  return {penalties || dry, penalties || dry || xtc || sampling.dynatemp_range > 0,
          params.samplers.front() == COMMON_SAMPLER_TYPE_TOP_K && sampling.top_k > 0};
}

}  // namespace

Result<std::unique_ptr<Sampler>> make_sampler(const Context& context, Tokens cells,
                                              const llama_model* model, const Sampling& sampling,
                                              std::span<const Token> prompt) {
  const llama_vocab* const vocab = llama_model_get_vocab(model);
  common_params_sampling params;
  params.no_perf = true;
  params.seed = sampling.seed;
  params.temp = sampling.temperature;
  params.top_p = sampling.top_p;
  params.top_k = sampling.top_k;
  params.min_p = sampling.min_p;
  params.typ_p = sampling.typical_p;
  const auto context_size = static_cast<int32_t>(cells);
  const Active active = set_chain(sampling, context_size, params);
  for (const auto& [token, bias] : sampling.logit_bias) params.logit_bias.push_back({token, bias});
  if (sampling.ignore_eos) {
    for (Token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
      if (llama_vocab_is_eog(vocab, token)) params.logit_bias.push_back({token, -INFINITY});
    }
  }
  int32_t suppressed = 0;
  llama_vocab_get_suppress_tokens(vocab, &suppressed);
  const bool greedy = sampling.temperature <= 0 && !active.strays && suppressed == 0;
  const size_t biased = params.logit_bias.size() + static_cast<size_t>(suppressed);
  constexpr size_t kBiasedMax = 64;
  const bool shortens = !greedy && active.begins_with_top_k && biased <= kBiasedMax;
  const size_t shortlist = shortens ? static_cast<size_t>(sampling.top_k) + biased : 0;
  std::unique_ptr<Steering> steering;
  if (const auto* constraint = static_cast<const LlamaConstraint*>(sampling.constraint.get())) {
    TRY_AS(steering, Steering::make(vocab, *constraint, sampling.thinking_max));
  }
  try {
    common_sampler* const made = common_sampler_init(model, params);
    if (!made) return Error{Code::Invalid, "the sampling options do not work with this model"};
    std::unique_ptr<Sampler> sampler = std::make_unique<LlamaSampler>(
        context, model, made, greedy, shortlist, params.logit_bias, std::move(steering));
    if (active.remembers) {
      const auto back = std::max(params.penalty_last_n, params.dry_penalty_last_n);
      const size_t last = std::min(prompt.size(), static_cast<size_t>(back));
      for (const Token token : prompt.last(last)) common_sampler_accept(made, token, false);
    }
    return sampler;
  } catch (const std::exception& e) {
    return Error{Code::Invalid, std::string("the sampling options do not work: ") + e.what()};
  }
}

Likeliest likeliest_of(std::span<const float> values) {
  Logits logits;
  const Greatest best = logits.read(values);
  if (!best.all_numbers || !std::isfinite(best.value)) return {};
  const float next = std::max(logits.read(values.first(best.at)).value,
                              logits.read(values.subspan(best.at + 1)).value);
  return {static_cast<Token>(best.at), best.value - next};
}

}  // namespace lares::engine::llama
