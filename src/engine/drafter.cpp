#include "engine/drafter.h"

#include <algorithm>
#include <cassert>

namespace lares::engine {
namespace {

bool any(Sequence /*sequence*/, size_t /*keep*/) { return true; }

}  // namespace

Drafter::Drafter(Model& model, Tokens vocabulary, const Clock& clock)
    : model_(model),
      vocabulary_(std::min(vocabulary, model.facts().vocabulary)),
      clock_(clock),
      slots_(model.facts().sequences, model.facts().cells) {
  assert(model.facts().cuts && model.facts().generates);
}

size_t Drafter::room(size_t said) const {
  // the last token of a draft is not computed here
  const size_t context = model_.facts().context;
  return said > context ? 0 : context - said + 1;
}

std::optional<size_t> Drafter::behind(std::optional<Sequence> sequence,
                                      std::span<const Token> said) const {
  if (room(said.size()) == 0) return std::nullopt;
  size_t keep = 0;
  if (sequence) {
    keep = std::min(common_prefix(slots_[*sequence].tokens, said), said.size() - 1);
  } else if (const auto place = slots_.place(said, any, true)) {
    keep = place->keep;
  } else {
    return std::nullopt;
  }
  const auto strange = [&](Token token) { return static_cast<Tokens>(token) >= vocabulary_; };
  const auto rest = said.subspan(keep);
  if (std::any_of(rest.begin(), rest.end(), strange)) return std::nullopt;
  return rest.size();
}

Sequence Drafter::begin(std::span<const Token> said) {
  const auto place = slots_.place(said, any, true);
  assert(place);
  if (place->to != place->from) {
    clear(place->to);
    if (place->from >= 0 && place->keep > 0) {
      model_.share(place->from, place->to, static_cast<Position>(place->keep));
      slots_.share(place->from, place->to, place->keep);
    }
  }
  slots_.take(place->to);
  return place->to;
}

void Drafter::end(Sequence sequence) { slots_.release(sequence); }

void Drafter::forget() {
  for (size_t s = 0; s < slots_.count(); s++) {
    assert(!slots_[static_cast<Sequence>(s)].busy);
    slots_.cut(static_cast<Sequence>(s), 0);
  }
  model_.forget();
}

void Drafter::clear(Sequence sequence) {
  model_.cut(sequence, 0);
  slots_.cut(sequence, 0);
}

// Cuts off what the answer did not say, and what a window has forgotten the beginning of. How many
// of its tokens are there then.
size_t Drafter::rewind(const Work& work) {
  const size_t held = slots_[work.sequence].tokens.size();
  const size_t keep =
      std::min(common_prefix(slots_[work.sequence].tokens, work.said), work.said.size() - 1);
  if (keep == held) return keep;
  if (keep > 0 && model_.cut(work.sequence, static_cast<Position>(keep))) {
    const size_t window = model_.facts().window;
    const size_t needed = window > 0 && keep > window ? keep - window : 0;
    const Position first = window > 0 ? model_.first_position(work.sequence) : 0;
    if (first >= 0 && static_cast<size_t>(first) <= needed) {
      slots_.cut(work.sequence, keep);
      return keep;
    }
  }
  clear(work.sequence);
  return 0;
}

Decoded Drafter::draft(std::span<const Work> works) {
  struct Going {
    const Work* work;
    int row;
  };
  std::vector<Going> going;
  rows_.clear();
  for (const Work& work : works) {
    const size_t held = rewind(work);
    const size_t until = std::min(work.said.size(), held + work.rows);
    for (size_t at = held; at < until; at++) {
      rows_.push_back({work.said[at], static_cast<Position>(at), work.sequence,
                       work.drafts && at + 1 == work.said.size()});
    }
    if (work.drafts && until == work.said.size())
      going.push_back({&work, static_cast<int>(rows_.size()) - 1});
  }
  while (!rows_.empty()) {
    const Decoded done = compute();
    if (done == Decoded::NoCells) return Decoded::Ok;  // it may be better the next time
    if (done != Decoded::Ok) return done;
    rows_.clear();
    std::vector<Going> still;
    for (const Going& each : going) {
      const Likeliest next = model_.likeliest(each.row);
      if (next.token < 0 || static_cast<Tokens>(next.token) >= vocabulary_) continue;
      if (!each.work->took(next.token, next.margin, model_.ends(next.token))) continue;
      const Sequence sequence = each.work->sequence;
      const size_t at = slots_[sequence].tokens.size();
      if (at >= model_.facts().context) continue;
      still.push_back({each.work, static_cast<int>(rows_.size())});
      rows_.push_back({next.token, static_cast<Position>(at), sequence, true});
    }
    going = std::move(still);
  }
  return Decoded::Ok;
}

Decoded Drafter::compute() {
  while (slots_.cells_free() < rows_.size()) {
    const auto idle = slots_.oldest_idle();
    if (!idle) return Decoded::NoCells;
    clear(*idle);
  }
  const SteadyTime from = clock_.now();
  const Decoded done = model_.decode(rows_);
  if (done == Decoded::NoCells) {  // the engine's own count is stricter than ours (windows)
    if (const auto idle = slots_.oldest_idle()) clear(*idle);
  }
  if (done != Decoded::Ok) return done;
  cost_.learn(static_cast<double>(rows_.size()), exact_ms(from, clock_.now()));
  for (const Row& row : rows_) slots_.extend(row.sequence, row.token);
  return Decoded::Ok;
}

}  // namespace lares::engine
