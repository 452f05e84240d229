#include "engine/speculation.h"

#include <algorithm>
#include <cassert>

namespace lares::engine {
namespace {

constexpr double kNewest = 0.12;  // of one token against those before

}  // namespace

Worth best_worth(size_t most, size_t others, double likely, const RowsCost& cost) {
  double tokens = static_cast<double>(others) + 1;
  const double plain = cost(0);
  if (!(plain > 0)) return {};
  Worth best{0, tokens / plain};
  double right = 1;
  for (size_t count = 1; count <= most; count++) {
    right *= likely;
    tokens += right;
    const double all = cost(count);
    if (!(all > 0) || tokens / all <= best.rate) continue;
    best = {count, tokens / all};
  }
  return best;
}

size_t Odds::bucket(float margin) { return margin < 1 ? 0 : margin < 2 ? 1 : margin < 4 ? 2 : 3; }

void Odds::saw(float margin, bool right) {
  const double is = right ? 1 : 0;
  likely_ += kNewest * (is - likely_);
  double& own = by_margin_[bucket(margin)];
  own += kNewest * (is - own);
}

void Speculation::forget() {
  source_ = Source::None;
  draft_.clear();
  margins_.clear();
  count_ = 0;
  most_ = 0;
  place_ = 0;
  planned_ = false;
  follows_ = false;
}

Speculation::Plan Speculation::plan(std::span<const Token> said, const Step& step) {
  forget();
  planned_ = true;
  follows_ = true;
  const std::span<const Token> expected = lookup_.look(said);
  const double plain = best_worth(0, step.others, 0, step.cost).rate;
  if (!(plain > 0)) return {};
  const size_t most = std::min(step.most, kDraftMax);
  const Worth found =
      best_worth(std::min(most, expected.size()), step.others, lookup_.likely(), step.cost);
  if (const Plan by_model = plan_model(step, plain, found.rate); by_model.source != Source::None)
    return by_model;
  if (found.count == 0) return {};
  source_ = Source::Lookup;
  count_ = found.count;
  draft_.assign(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(found.count));
  return {Source::Lookup, found.count, 0};
}

// None: it would bring no more than `to_beat`, or not soon enough.
Speculation::Plan Speculation::plan_model(const Step& step, double plain, double to_beat) {
  if (!step.drafting) return {};
  const double one = step.drafting(1);
  const double first = step.drafting(kAtRest);
  if (!(one > 0) || !(first > 0)) return {};
  const auto drafting = [&](size_t count) {
    return count == 0 ? 0 : first + one * static_cast<double>(count - 1);
  };
  const RowsCost cost = [&](size_t count) { return step.cost(count) + drafting(count); };
  size_t most = std::min(step.most, kDraftMax);
  while (most > 0 && step.limit > 0 && cost(most) > step.limit) most--;
  Worth worth = best_worth(most, step.others, odds_.likely(), cost);
  const bool trial = (worth.count == 0 || worth.rate <= to_beat) && idle_ >= retry_;
  if (trial) worth = best_worth(std::min(most, kTrial), step.others, kHope, cost);
  if (worth.count == 0 || worth.rate <= to_beat) return {};

  const std::optional<size_t> behind = step.behind();
  if (!behind || step.rows_max == 0) return {};
  const size_t now = std::min(*behind, step.rows_max);
  // what it has to read first is worth its time if the rest of the answer wins that back
  const double pieces = static_cast<double>(*behind) / static_cast<double>(now);
  const double to_read = pieces * step.drafting(now);
  const double wins = static_cast<double>(step.remaining) * (1 / plain - 1 / worth.rate);
  if (to_read - first > wins) return {};

  source_ = Source::Model;
  if (now < *behind) return {Source::Model, 0, now};
  trial_ = trial;
  most_ = trial ? std::min(most, kTrial) : most;
  cost_ = step.cost;
  draft_cost_ = step.drafting(now);
  draft_one_ = one;
  tokens_ = static_cast<double>(step.others) + 1;
  right_ = 1;
  return {Source::Model, most_, now};
}

// What is not worth a row is kept nevertheless, to be held against what is chosen.
bool Speculation::drafted(Token token, float margin) {
  assert(source_ == Source::Model && count_ == draft_.size() && count_ < most_);
  draft_.push_back(token);
  margins_.push_back(margin);
  const double right = right_ * odds_.likely(margin);
  const auto rate = [&](double tokens, size_t rows, double draft) {
    return tokens / (cost_(rows) + draft);
  };
  const double without = rate(tokens_, count_, draft_cost_);
  if (!trial_ && rate(tokens_ + right, count_ + 1, draft_cost_) <= without) return false;
  count_++;
  tokens_ += right;
  right_ = right;
  if (count_ == most_) return false;
  draft_cost_ += draft_one_;
  if (trial_) return true;
  const double next = rate(tokens_ + right_ * odds_.likely(), count_ + 1, draft_cost_);
  return next > rate(tokens_, count_, draft_cost_ - draft_one_);
}

void Speculation::drafted_end(Token token, float margin) {
  assert(source_ == Source::Model && count_ == draft_.size());
  draft_.push_back(token);
  margins_.push_back(margin);
}

void Speculation::computed() {
  if (source_ == Source::Model && most_ > 0) {
    retry_ = trial_ ? std::min(retry_ * 2, kRetryMax) : kRetryFirst;
    idle_ = 0;
  }
  counts_[static_cast<size_t>(source_)].drafted += static_cast<uint32_t>(count_);
}

void Speculation::chosen(Token token) {
  idle_++;
  if (!planned_) return;
  lookup_.chosen(place_, token);
  if (follows_ && place_ < draft_.size()) {
    const bool right = draft_[place_] == token;
    if (source_ == Source::Model) odds_.saw(margins_[place_], right);
    if (right && place_ < count_) counts_[static_cast<size_t>(source_)].right++;
    follows_ = right;
  }
  place_++;
}

}  // namespace lares::engine
