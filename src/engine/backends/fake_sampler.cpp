#include "engine/backends/fake_sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/text.h"
#include "engine/backends/fake.h"

namespace lares::engine::fake {

uint64_t mixed(uint64_t x) {  // splitmix64's finaliser
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27;
  x *= 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

FakeSampler::FakeSampler(FakeModel& model, const Sampling& sampling, std::span<const Token> prompt)
    : model_(model),
      sampling_(sampling),
      said_(prompt.begin(), prompt.end()),
      prompt_(prompt.size()),
      script_(script_for(prompt, sampling.constraint.get())),
      random_(sampling.seed),
      thinking_(sampling.constraint ? Thinking::Tags{std::string(kThink), {std::string(kThinkEnd)}}
                                    : Thinking::Tags{},
                "", sampling.thinking_max),
      plain_(script_.random == 0 && sampling.logit_bias.empty() && !sampling.ignore_eos &&
             sampling.presence_penalty == 0 && sampling.frequency_penalty == 0 &&
             sampling.repeat_penalty == 1 && sampling.temperature <= 1) {
  model_.enter(*this);
}

FakeSampler::~FakeSampler() { model_.leave(*this); }

// By its script; what is chosen freely is not foretold.
std::optional<Token> FakeSampler::foretold(std::span<const Token> said) const {
  if (said.size() < said_.size() || !std::equal(said_.begin(), said_.end(), said.begin()))
    return std::nullopt;
  for (size_t at = said_.size(); at < said.size(); at++) {
    if (said[at] != scripted(at - prompt_)) return std::nullopt;
  }
  return scripted(said.size() - prompt_);
}

Token FakeSampler::scripted(size_t at) const {
  if (at < script_.answer.size()) return script_.answer[at];
  return at == script_.answer.size() ? model_.mark().value_or(kEnd) : Token{kEnd};
}

// Within thoughts, and right behind them, a script does not end.
void FakeSampler::go_on() {
  auto& answer = script_.answer;
  const bool has_to = thinking_.inside() || unanswered_;
  if (has_to && said_.size() - prompt_ == answer.size()) answer.push_back('.');
}

// The script goes on where its thoughts end.
void FakeSampler::end_thoughts() {
  if (ended_thoughts_ || !thinking_.over()) return;
  ended_thoughts_ = true;
  const size_t at = said_.size() - prompt_;
  auto& answer = script_.answer;
  answer.resize(std::max(at, answer.size()), Token{kEnd});
  const std::string rest = text_of(std::span(answer).subspan(at));
  if (rest.starts_with(kThinkEnd)) return;
  const size_t end = rest.find(kThinkEnd);
  const auto short_one = tokens_of(
      end == std::string::npos ? kThinkEnd : std::string_view(rest).substr(end), Special::AsText);
  answer.resize(at);
  answer.insert(answer.end(), short_one.begin() + 1, short_one.end());
}

std::vector<float> FakeSampler::logits() const {
  std::vector<float> out(kVocabulary);
  const size_t at = said_.size() - prompt_;
  for (Tokens t = 0; t < kVocabulary; t++) {
    out[t] = static_cast<float>(mixed(at * kVocabulary + t) >> 44) / static_cast<float>(1 << 20);
  }
  if (script_.random > 0) {
    if (at >= script_.random) {
      out[kEnd] = 40;
    } else {
      for (char c = 'a'; c <= 'z'; c++) out[static_cast<size_t>(c)] += 20;
    }
  } else {
    out[scripted(at)] = 40;
  }
  if (!model_.numbers()) out[0] = NAN;
  return out;
}

Token FakeSampler::draw(std::vector<float> logits) {
  for (const auto& [token, bias] : sampling_.logit_bias) logits[token] += bias;
  if (sampling_.ignore_eos) logits[kEnd] = -INFINITY;
  const size_t last =
      sampling_.repeat_last_n < 0 ? said_.size() : static_cast<size_t>(sampling_.repeat_last_n);
  std::vector<int> counts(logits.size());
  for (size_t i = said_.size() - std::min(last, said_.size()); i < said_.size(); i++) {
    if (!is_media(said_[i])) counts[said_[i]]++;
  }
  for (size_t t = 0; t < logits.size(); t++) {
    if (counts[t] == 0) continue;
    logits[t] =
        logits[t] > 0 ? logits[t] / sampling_.repeat_penalty : logits[t] * sampling_.repeat_penalty;
    logits[t] -=
        sampling_.presence_penalty + sampling_.frequency_penalty * static_cast<float>(counts[t]);
  }
  std::vector<Token> order(logits.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<Token>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](Token a, Token b) { return logits[a] > logits[b]; });
  if (sampling_.temperature <= 0) return order[0];

  std::vector<double> weights;
  double total = 0;
  for (const Token token : order) {
    weights.push_back(
        std::exp(static_cast<double>((logits[token] - logits[order[0]]) / sampling_.temperature)));
    total += weights.back();
  }
  size_t keep = sampling_.top_k > 0 ? static_cast<size_t>(sampling_.top_k) : order.size();
  keep = std::min(keep, order.size());
  double sum = 0;
  for (size_t i = 0; i < keep; i++) {
    if (i > 0 && (sum / total >= static_cast<double>(sampling_.top_p) ||
                  weights[i] < static_cast<double>(sampling_.min_p) * weights[0])) {
      keep = i;
      break;
    }
    sum += weights[i];
  }
  double at = std::uniform_real_distribution<double>(0, sum)(random_);
  for (size_t i = 0; i < keep; i++) {
    at -= weights[i];
    if (at <= 0) return order[i];
  }
  return order[keep - 1];
}

Result<Chosen> FakeSampler::next(int row, std::optional<unsigned> top,
                                 std::optional<Token> before) {
  TRY_AS(const auto held, model_.held(row));
  if (held.size() != said_.size() ||
      std::memcmp(held.data(), said_.data(), held.size_bytes()) != 0) {
    return Error{Code::Corrupt, "the fake's cells hold another conversation"};
  }
  go_on();
  // what the script did not say was said because its thoughts were stopped there
  if (before && plain_ && thinking_.inside() && *before != scripted(said_.size() - prompt_))
    thinking_.stop();
  end_thoughts();
  const bool inside = thinking_.inside();
  const auto took = [&](Chosen& chosen) {
    const std::string piece = raw_piece(chosen.token);
    thinking_.add(piece);
    chosen.thinking = inside && !ended_thoughts_;
    unanswered_ = (inside && !thinking_.inside()) || (unanswered_ && trimmed(piece).empty());
  };
  if (plain_ && !top && model_.numbers()) {  // what the long way would choose
    const size_t at = said_.size() - prompt_;
    said_.push_back(before.value_or(scripted(at)));
    Chosen plain{said_.back(), 0, {}};
    took(plain);
    return plain;
  }
  const std::vector<float> raw = logits();
  if (std::any_of(raw.begin(), raw.end(), [](float x) { return std::isnan(x); })) {
    return Error{Code::Corrupt, "the model computed something that is no number"};
  }
  Chosen chosen;
  chosen.token = draw(raw);  // also where it is known: chance moves on
  if (before) chosen.token = *before;
  said_.push_back(chosen.token);
  took(chosen);
  if (!top) return chosen;

  const float most = *std::max_element(raw.begin(), raw.end());
  double sum = 0;
  for (const float x : raw) sum += std::exp(static_cast<double>(x - most));
  const float log_sum = most + static_cast<float>(std::log(sum));
  chosen.logprob = raw[chosen.token] - log_sum;
  std::vector<Token> order(raw.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<Token>(i);
  const size_t count = std::min<size_t>(*top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    [&](Token a, Token b) { return raw[a] > raw[b]; });
  for (size_t i = 0; i < count; i++) chosen.top.push_back({order[i], raw[order[i]] - log_sum});
  return chosen;
}

}  // namespace lares::engine::fake
