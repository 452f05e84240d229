// The Batcher's drafts: tokens that are computed ahead because they are likely to be chosen, found
// in what was said or said by the draft model, and what becomes of them.
#include <algorithm>

#include "engine/batcher.h"
#include "engine/log.h"
#include "wire/draft_rows.h"

namespace lares::engine {
namespace {

// How many tokens an answer is thought to have yet, at least: as many as it has said, where those
// are more.
constexpr size_t kAnswerLeast = 64;
// What a draft model computes of a prompt beside a step, however little time there is.
constexpr size_t kCatchUpMin = 16;
// The same of a seeded answer: not as many as this machine happens to compute in time.
constexpr size_t kCatchUpSeeded = 128;

constexpr double kShareTried = 0.2;

}  // namespace

void Batcher::draft_with(Model& draft) {
  draft_ = &draft;
  drafter_ = std::make_unique<Drafter>(draft, model_.facts().vocabulary, clock_);
  const auto size_of = [](const Model& model) {
    return std::max(1.0, model.facts().info.value("size_bytes", 0.0));
  };
  draft_share_ = size_of(draft) / size_of(model_);
}

void Batcher::end_drafting(Request& request) {
  if (request.speculation.counts(Speculation::Source::Model).drafted > 0)
    draft_odds_ = request.speculation.odds();
  if (request.draft_sequence && drafter_) drafter_->end(*request.draft_sequence);
  request.draft_sequence.reset();
}

// Until it is measured, what a step of the draft model takes goes by its size; one that seems large
// is tried once all the same.
double Batcher::drafting_ms(size_t rows) const {
  const auto weight = static_cast<double>(rows);
  if (drafter_->cost().known()) return drafter_->cost().ms(weight);
  return std::min(draft_share_, kShareTried) * cost_.ms(weight);
}

double Batcher::drafting_ms(const std::vector<Part>& parts) const {
  size_t rows = 0, tokens = 0;
  for (const Part& part : parts) {
    if (part.catch_up == 0) continue;
    rows += part.catch_up;
    tokens = std::max(tokens, part.drafts);
  }
  if (rows == 0) return 0;
  return drafting_ms(rows) + static_cast<double>(tokens) * drafting_ms(1);
}

// Answers that are likely to go on in a way that is known have that computed too.
void Batcher::add_drafts(std::vector<Part>& parts) {
  const Facts& facts = model_.facts();
  if (!facts.cuts) return;
  size_t rows = 0, answers = 0;
  double weight = 0;
  for (const Part& part : parts) {
    rows += part.rows;
    weight += this->weight(part);
    answers += part.request->prefilling() ? 0 : 1;
  }
  size_t room = std::min<size_t>(wire::draft_rows(facts.vocabulary), facts.batch - rows);
  size_t draft_room = drafter_ ? drafter_->rows_max() : 0;
  for (Part& part : parts) {
    Request& request = *part.request;
    if (request.prefilling() || !request.drafts || !request.media.empty()) {  // media have no words
      request.speculation.forget();
      continue;
    }
    const size_t cells = slots_.cells_free() - std::min(slots_.cells_free(), rows);
    const Speculation::Plan plan = request.speculation.plan(
        request.tokens,
        speculation_step(request, weight, answers - 1, std::min(room, cells), draft_room));
    part.drafts = plan.count;
    part.catch_up = plan.catch_up;
    room -= part.drafts;
    rows += part.drafts;
    weight += static_cast<double>(part.drafts) * (1 + facts.logit_rows);
    draft_room -= part.catch_up;
  }
}

Speculation::Step Batcher::speculation_step(const Request& request, double weight, size_t others,
                                            size_t room, size_t draft_room) {
  Speculation::Step step;
  const size_t said = request.tokens.size();
  const size_t left = model_.facts().context - said;
  step.others = others;
  step.most = std::min(room, left);
  step.remaining = std::min(left, std::max(kAnswerLeast, request.generated()));
  if (const auto max = request.options.max_tokens) {
    step.most = std::min(step.most, *max - std::min<size_t>(*max, request.generated() + 1));
    step.remaining = std::min(step.remaining, *max - std::min<size_t>(*max, request.generated()));
  }
  const size_t drafts = drafter_ ? drafter_->room(said) : 0;
  if (drafts > 0) {
    step.behind = [this, &request] {
      return drafter_->behind(request.draft_sequence, request.tokens);
    };
  }
  if (request.options.seeded) {
    // what else may be asked is how fast this machine happens to be, which changes from run to run,
    // and with the rows of a step the last bits of its sums
    constexpr double kRow = 0.3;   // of what a step costs
    constexpr double kRead = 0.1;  // the same, of a row of a prompt
    step.cost = [](size_t more) { return 1 + kRow * static_cast<double>(more); };
    if (drafts > 0) {
      step.drafting = [share = draft_share_](size_t count) {
        return share * (1 - kRead + kRead * static_cast<double>(count));
      };
    }
    step.rows_max = std::min(draft_room, kCatchUpSeeded);
    return step;
  }
  const bool shared = computing_.size() > 1 || lease_.pressed();
  const double row = 1 + model_.facts().logit_rows;
  step.limit = shared ? std::max(kStepSharedMs, 1.5 * cost_.ms(weight)) : kStepTogetherMs;
  const double fits = static_cast<double>(cost_.rows_within(step.limit)) - weight;
  step.most = std::min(step.most, fits > 0 ? static_cast<size_t>(fits / row) : 0);
  step.cost = [this, weight, row](size_t more) {
    return cost_.ms(weight + row * static_cast<double>(more));
  };
  if (drafts > 0) {
    step.drafting = [this](size_t count) { return drafting_ms(count); };
    const double time = step.limit - cost_.ms(weight);
    const size_t in_time =
        drafter_->cost().known() && time > 0 ? drafter_->cost().rows_within(time) : kCatchUpMin;
    step.rows_max = std::min(draft_room, std::max(in_time, kCatchUpMin));
  }
  return step;
}

// Has the draft model say what it is asked for. Only as many rows as it says are computed then.
Decoded Batcher::draft(std::vector<Part>& parts, Drafting& drafting) {
  std::vector<Drafter::Work> works;
  for (Part& part : parts) {
    if (part.catch_up == 0) continue;
    Request& request = *part.request;
    if (!request.draft_sequence) request.draft_sequence = drafter_->begin(request.tokens);
    works.push_back({*request.draft_sequence, request.tokens, part.catch_up, part.drafts > 0,
                     [&request](Token token, float margin, bool ends) {
                       if (!ends) return request.speculation.drafted(token, margin);
                       request.speculation.drafted_end(token, margin);
                       return false;
                     }});
  }
  if (works.empty()) return Decoded::Ok;
  const SteadyTime from = clock_.now();
  const double cpu_from = cpu_ms_();
  Decoded done = drafter_->draft(works);
  drafting = {exact_ms(from, clock_.now()), cpu_ms_() - cpu_from};
  for (Part& part : parts) {
    if (part.catch_up > 0) part.drafts = part.request->speculation.draft().size();
  }
  if (done != Decoded::Broken) return done;
  log_line("lares-worker: the draft model gives errors; it is not used any more");
  drafter_.reset();
  for (const auto& request : computing_) request->draft_sequence.reset();
  return Decoded::Ok;
}

// The tokens that a step has shown: one, and one more for each of its draft that was right. The
// rows behind one that was wrong are taken back.
void Batcher::say(const Part& part, int row) {
  Request& request = *part.request;
  const Sequence sequence = request.sequence;
  request.speculation.computed();
  const std::span<const Token> drafted = request.speculation.draft();
  const std::vector<Token> draft(drafted.begin(), drafted.end());
  size_t held = request.computed;
  const size_t computed = held + part.drafts;
  const Position spared = static_cast<Position>(held) - request.position(held);
  bool goes_on = false;
  for (size_t place = 0;; place++) {
    goes_on = choose(request, row + static_cast<int>(place));
    if (!goes_on) break;
    const Token token = request.tokens.back();
    if (place == part.drafts || token != draft[place]) break;
    slots_.extend(sequence, token);
    request.computed = ++held;
  }
  if (held == computed) return;
  const Position end = static_cast<Position>(held) - spared;  // the request may have ended
  if (model_.cut(sequence, end) && window_whole(sequence, static_cast<size_t>(end))) return;
  clear(sequence);
  if (!goes_on) return;
  request.computed = 0;
  request.drafts = false;
}

}  // namespace lares::engine
