// The Batcher's places: which requests compute, in which sequence, upon what of earlier ones, and
// what of those that rest stays in the engine's cells.
#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

#include "base/places.h"
#include "base/text.h"
#include "engine/batcher.h"

namespace lares::engine {
namespace {

constexpr size_t kAnewMax = 128;  // tokens of a prompt that a seed is worth computing anew
constexpr size_t kLargeMax = 16;  // that are looked at in one step, and have no room
constexpr uint64_t kMediaSet = uint64_t{1}
                               << 63;  // with a request's id; sets of adapters count from 0

}  // namespace

void Batcher::clear(Sequence sequence) {
  model_.cut(sequence, 0);
  slots_.cut(sequence, 0);
}

// Where the answer should come out the same again, what earlier requests left is not built upon: it
// was computed in other batches, where sums run in another order, so the last bits of logits
// differ, and now and then a token. Its own twins (n answers to one prompt) are computed the same
// way each time. In others' company
// no answer is promised to come out the same, and what is long is built upon all there is.
bool Batcher::may_build_on(const Request& request, Sequence sequence) const {
  if (sequence >= 0 && slots_[sequence].adapters != request.adapters) return false;
  if (!request.options.seeded) return true;
  bool company = false;
  for (const auto& other : computing_) {
    const bool twin = other->options.seeded && other->prompt == request.prompt &&
                      common_prefix(other->tokens, request.tokens) >= request.prompt;
    if (twin && other->sequence == sequence) return true;
    company = company || !twin;
  }
  return company && request.prompt > kAnewMax;
}

// What a position behind the first `keep` sees of them is there.
bool Batcher::window_whole(Sequence sequence, size_t keep) const {
  const size_t window = model_.facts().window;
  if (window == 0) return true;
  const size_t first_needed = keep > window ? keep - window : 0;
  const Position first = model_.first_position(sequence);
  return first >= 0 && static_cast<size_t>(first) <= first_needed;
}

// True: a request that is computing its prompt will soon hold much more of this one's than any does
// now (n answers to one prompt). One of a worse lane may have to wait for long.
bool Batcher::must_wait_for_prefix(const Request& request, size_t keep) const {
  constexpr size_t kWorthWaiting = 32;
  if (!model_.facts().cuts) return false;
  return std::any_of(computing_.begin(), computing_.end(), [&](const auto& other) {
    if (other->lane > request.lane || !other->prefilling() ||
        !may_build_on(request, other->sequence))
      return false;
    const size_t common = kept_prefix(other->tokens, request.tokens);
    return common > other->computed && common > keep + kWorthWaiting;
  });
}

// Finds the request a sequence and cells.
Batcher::Placed Batcher::place(Request& request) {
  if (request.options.seeded && computing_.empty()) return place_exactly(request);
  request.exact = false;
  const Facts& facts = model_.facts();
  const auto usable = [&](Sequence sequence, size_t keep) {
    const auto end = static_cast<size_t>(request.position(keep));
    return may_build_on(request, sequence) && window_whole(sequence, end);
  };
  auto place = slots_.place(request.tokens, usable, facts.cuts);
  if (!place) return Placed::NoRoom;
  std::optional<Parked::Found> parked;
  // what is parked is looked for by the numbers of tokens, of which a window may be no count
  if (may_build_on(request, -1) && (facts.window == 0 || !request.shifted()))
    parked = parked_.find(request.tokens, facts.window, facts.cuts, request.adapters);
  if (parked && parked->keep <= place->keep) parked.reset();
  if (must_wait_for_prefix(request, parked ? parked->keep : place->keep)) return Placed::Later;

  // room for this prompt, and for the answers in progress to go on for a while
  constexpr size_t kGrowth = 32;
  const size_t growth = computing_.empty() ? 0 : kGrowth * (computing_.size() + 1);
  const auto fits = [&](const Slots::Place& p, size_t more) {
    const size_t held = p.to == p.from ? slots_.cells_busy(-1) + p.keep : slots_.cells_busy(p.from);
    return held + more + growth <= slots_.cells_total();
  };
  if (parked) {  // into a sequence that holds nothing of use
    const auto unused = [](Sequence, size_t) { return false; };
    const auto empty = slots_.place(request.tokens, unused, facts.cuts);
    // it comes back whole, and then its end is cut
    const size_t whole = std::max(parked->conversation->tokens.size(), request.tokens.size());
    if (empty && fits(*empty, whole)) {
      begin(request, *empty, parked);
      return Placed::Yes;
    }
  }
  const size_t more = request.tokens.size() - place->keep;
  const bool from_idle = place->from >= 0 && !slots_[place->from].busy;
  if (!fits(*place, more) && from_idle) place->to = place->from;
  if (!fits(*place, more) && !computing_.empty()) return Placed::NoRoom;
  begin(request, *place, std::nullopt);
  return Placed::Yes;
}

// A seeded request that is alone: upon nothing but what was computed as it would be.
Batcher::Placed Batcher::place_exactly(Request& request) {
  request.exact = leave_all_cells() && request.media.empty();
  const Facts& facts = model_.facts();
  const auto unused = [](Sequence, size_t) { return false; };
  const auto place = slots_.place(request.tokens, unused, facts.cuts);
  if (!place) return Placed::NoRoom;
  std::optional<Parked::Found> parked;
  if (request.exact && facts.cuts && facts.window == 0)
    parked = parked_.find_exact(request.tokens, request.adapters);
  begin(request, *place, parked);
  return Placed::Yes;
}

// Fills an empty sequence with what can be built upon of a parked conversation, up to the position
// `end`; how many tokens that is.
size_t Batcher::unpark(Sequence to, const Parked::Found& parked, Position end) {
  const auto& tokens = parked.conversation->tokens;
  if (!make_cells(tokens.size())) return 0;
  if (!model_.restore(to, parked.conversation->state.bytes())) {
    model_.cut(to, 0);
    return 0;
  }
  for (const Token token : tokens) slots_.extend(to, token);
  slots_.set_exact(to, parked.conversation->exact);
  if (parked.keep == tokens.size()) return parked.keep;
  if (model_.cut(to, end)) {
    slots_.cut(to, parked.keep);
    return parked.keep;
  }
  clear(to);
  return 0;
}

// Frees the cells of the conversations that rest and are parked: every step would pay for them.
void Batcher::leave_cells(Sequence but) {
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& slot = slots_[sequence];
    if (slot.busy || sequence == but || slot.tokens.size() < kParkMin) continue;
    if (parked_.holds(slot.tokens, slot.adapters)) clear(sequence);
  }
}

// For an answer that should come out the same again: attention shares its sums out among threads by
// where the cells lie. What cannot be parked stays, for it may have taken minutes to compute
// (false).
bool Batcher::leave_all_cells() {
  while (park_one()) {
  }
  bool all = true;
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& slot = slots_[sequence];
    if (slot.tokens.size() < kParkMin || parked_.holds(slot.tokens, slot.adapters)) clear(sequence);
    all = all && slot.tokens.empty();
  }
  if (all) model_.forget();
  if (drafter_) drafter_->forget();
  return all;
}

Result<> Batcher::stand(Rung rung, bool for_others) {
  assert(rung >= rung_ || at_rest());
  if (rung < Rung::Hot && rung_ == Rung::Hot) {
    if (model_.facts().generates && !leave_all_cells()) {
      for (size_t s = 0; s < slots_.count(); s++) slots_.cut(static_cast<Sequence>(s), 0);
    }
    std::fill(park_tried_.begin(), park_tried_.end(), 0);
  }
  TRY(model_.stand(rung, for_others));
  if (draft_) TRY(draft_->stand(rung, for_others));
  rung_ = rung;
  return Unit{};
}

uint64_t Batcher::memory_bytes() const {
  const uint64_t resting = rung_ == Rung::Hot ? 0 : parked_.size().n;  // hot, it is in the sum
  return model_.memory_on(rung_) + (draft_ ? draft_->memory_on(rung_) : 0) + resting;
}

// Copies one conversation that rests out of the cells, in which it stays until they are needed.
// Once for each rest: where not all have room, each copy drops another's, and that would go round
// for ever. False: none is left.
bool Batcher::park_one() {
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& slot = slots_[sequence];
    if (slot.busy || slot.tokens.size() < kParkMin || park_tried_[s] == slot.used ||
        parked_.holds(slot.tokens, slot.adapters))
      continue;
    park_tried_[s] = slot.used;
    if (park(sequence)) return true;
  }
  return false;
}

// After a step: what has rested long enough is parked and leaves its cells, one at a time, since
// each copy makes the answers in progress wait.
void Batcher::leave_rested() {
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& slot = slots_[sequence];
    const bool rests = !slot.busy && slot.tokens.size() >= kParkMin;
    rested_[s] = rests ? rested_[s] + 1 : 0;
    if (rested_[s] < kRestMax) continue;
    rested_[s] = 0;
    if (std::exchange(park_tried_[s], slot.used) != slot.used) park(sequence);
    if (parked_.holds(slot.tokens, slot.adapters)) return clear(sequence);
  }
}

// False: there is no room for it, or this model cannot.
bool Batcher::park(Sequence sequence) {
  const auto& slot = slots_[sequence];
  const auto& tokens = slot.tokens;
  const size_t size = model_.state_size(sequence);
  if (size == 0 || size > parked_.limit().n) return false;
  Block state(size);
  if (state.size() == 0 || !model_.save(sequence, state.bytes())) return false;
  // of a window only what the next position sees is in the bytes, whatever the cells still have
  const size_t window = model_.facts().window;
  const size_t seen = window > 0 && tokens.size() > window ? tokens.size() - window : 0;
  const Position first = std::max(model_.first_position(sequence), static_cast<Position>(seen));
  parked_.add({tokens, first, std::move(state), slot.adapters, slot.exact});
  return parked_.holds(tokens, slot.adapters);
}

void Batcher::begin(Request& request, Slots::Place place, std::optional<Parked::Found> parked) {
  for (const auto& other : computing_) other->exact = false;
  if (parked) {
    clear(place.to);
    leave_cells(place.to);
    place.keep = unpark(place.to, *parked, request.position(parked->keep));
  } else if (place.to != place.from) {
    clear(place.to);
    if (place.from >= 0 && place.keep > 0) {
      model_.share(place.from, place.to, request.position(place.keep));
      slots_.share(place.from, place.to, place.keep);
    }
  } else if (place.keep < slots_[place.to].tokens.size()) {
    if (model_.cut(place.to, request.position(place.keep))) {
      slots_.cut(place.to, place.keep);
    } else {
      clear(place.to);
      place.keep = 0;
    }
  }
  leave_cells(place.to);
  slots_.take(place.to, request.adapters);
  request.sequence = place.to;
  request.computed = place.keep;
  if (!request.started) {
    request.started = true;
    request.reused = place.keep;
    request.began = clock_.now();
    const Structure& structure = request.options.structure;
    out_(request.id,
         wire::Started{static_cast<Tokens>(request.prompt), static_cast<Tokens>(request.reused),
                       request.chance,
                       structure.automatic || structure.lowered ? int64_t{*structure.thinking_max}
                                                                : wire::kThinkFreely});
    if (request.options.echo && !request.resumes) {
      std::string text;
      if (const auto* given = std::get_if<std::string>(&request.options.prompt)) {
        text = *given;
      } else {
        for (const Token token : request.tokens) text += model_.piece(token, Special::Parsed);
        text = utf8_repaired(text);
      }
      if (!text.empty()) out_(request.id, wire::Delta{std::move(text), nullptr, 0});
    }
  }
}

void Batcher::admit() {
  bool owed = true;          // a lane that is owed its share goes first, where there is room
  std::set<uint64_t> large;  // have a place and lack cells
  while (large.size() < waiting_.size()) {
    const auto next = next_waiting(owed, large);
    Request& request = **next;
    const auto try_to_place = [&] {
      return computing_.size() < slots_.count() ? place(request) : Placed::NoRoom;
    };
    Placed placed = try_to_place();
    // it has what it takes at once, or whoever gave it might be the next to come
    while (!owed && placed == Placed::NoRoom && make_way(request)) placed = try_to_place();
    if (placed == Placed::Yes) {
      admitted(request);
      owed = true;
    } else if (owed) {
      owed = false;
    } else if (placed == Placed::Later || computing_.size() == slots_.count()) {
      return;
    } else {
      if (!request.blocked) request.blocked = clock_.now();
      if (clock_.now() - *request.blocked < kBlockedMax) {
        large.insert(request.id);  // who needs less may go before it
        if (large.size() == kLargeMax) return;
      } else if (!take_cells(request)) {
        return;
      }
    }
  }
}

void Batcher::admitted(Request& request) {
  request.blocked.reset();
  const auto at = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const auto& item) { return item.get() == &request; });
  assert(at != waiting_.end());
  computing_.push_back(std::move(*at));
  waiting_.erase(at);
}

// From those that are as urgent as it or less, which then wait for as long as it did. False: what
// they have is not enough.
bool Batcher::take_cells(Request& request) {
  while (!computing_.empty()) {
    Request& other = *youngest_of_least_urgent();
    if (other.lane < request.lane) return false;
    other.blocked = clock_.now();
    preempt(other);
    if (place(request) != Placed::Yes) continue;
    admitted(request);
    return true;
  }
  return false;
}

// With `owed` one of a lane that is owed its share, else of the most urgent lane; there of the
// owner who has had least, and of that one's the first. Requires: one that is not in `but`.
Batcher::Requests::iterator Batcher::next_waiting(bool owed, const std::set<uint64_t>& but) {
  const auto before = [&](const std::unique_ptr<Request>& a, const std::unique_ptr<Request>& b) {
    if (but.contains(a->id) || but.contains(b->id))
      return !but.contains(a->id) && but.contains(b->id);
    if (owed) return shares_.before({a->lane, a->owner}, {b->lane, b->owner});
    if (a->lane != b->lane) return a->lane < b->lane;
    return shares_.ahead(a->lane, a->owner) < shares_.ahead(b->lane, b->owner);
  };
  return std::min_element(waiting_.begin(), waiting_.end(), before);
}

// Takes the place of a less urgent request, or of one whose owner has more than its part.
bool Batcher::make_way(const Request& request) {
  Places<uint32_t> places(computing_.size());
  for (const auto& other : computing_) places.has_one(other->lane, other->owner);
  for (const auto& other : waiting_) places.waits(other->lane, other->owner);
  const auto giver = places.giver(request.lane, request.owner);
  if (!giver) return false;
  // one that lacks cells would take its place anew each step
  if (request.blocked && giver->lane == request.lane) return false;
  const auto youngest =
      std::find_if(computing_.rbegin(), computing_.rend(), [&](const auto& other) {
        return other->lane == giver->lane && other->owner == giver->owner;
      });
  preempt(**youngest);
  return true;
}

// How long the next step should take.
double Batcher::step_ms() const {
  if (lease_.pressed()) {
    // a large model's step is mostly the reading of its weights, which few rows do not pay for
    constexpr double kWorthwhile = 3;
    return std::clamp(kWorthwhile * cost_.ms(0), kStepSharedMs, kStepTogetherMs);
  }
  if (computing_.size() == 1) return computing_[0]->prefilling() ? kStepMs : kStepSharedMs;
  return shared_step_ms();
}

// Of several: short where somebody reads an answer, who is to see it grow evenly. Who asked for
// several at once has the rest of them begin sooner by a few longer steps, so those are taken as
// long as more than one of its prompts is to be read, and that does not take long. Where its
// answers have only begun the steps are longer still: answers that begin together end together, and
// a step of few rows is dear.
double Batcher::shared_step_ms() const {
  struct Asked {
    size_t prompts = 0, answers = 0;
  };
  std::map<uint32_t, Asked> apps;
  double rows = 0;
  bool any = false, begun = true;
  for (const auto& request : computing_) {
    if (request->lane != Lane::Interactive) continue;
    Asked& asked = apps[request->owner];
    if (request->prefilling()) {
      asked.prompts++;
      rows += static_cast<double>(request->pending());
    } else {
      asked.answers++;
      any = true;
      begun = begun && request->generated() <= kJustBegun;
    }
  }
  if (!any) return kStepTogetherMs;
  const bool soon = cost_.known() && cost_.ms(rows) <= kBurstMaxMs;
  const bool along = std::any_of(apps.begin(), apps.end(), [soon](const auto& app) {
    return app.second.answers > 0 && !(soon && app.second.prompts > 1);
  });
  if (along) return kStepSharedMs;
  return begun ? kStepBurstMs : kStepTogetherMs;
}

// The worst lane of which something is computed. Where all there is must wait it is all: the lease
// then holds it back, until something better comes.
Lane Batcher::worst() const {
  const Lane worst = lease_.worst();
  const bool any = embeddings_.has_up_to(worst) ||
                   std::any_of(computing_.begin(), computing_.end(),
                               [worst](const auto& request) { return request->lane <= worst; });
  return any ? worst : Lane::Background;
}

std::vector<Batcher::Part> Batcher::plan() {
  const Lane worst = this->worst();
  std::vector<Want> wants;
  std::vector<Request*> whose;
  wants.reserve(computing_.size());
  for (const auto& request : computing_) {
    if (request->lane > worst) continue;
    whose.push_back(request.get());
    // rows of media make a step of their own
    const uint64_t set = request->next_piece() ? kMediaSet | request->id : request->adapters;
    wants.push_back({request->lane, request->owner, request->run(), request->prefilling(),
                     request->served, set, request->choosing_ms});
  }
  StepLimits limits{model_.facts().batch, step_ms(), cpu_per_ms_};
  limits.logit_rows = model_.facts().logit_rows;
  if (computing_.size() == 1 && computing_[0]->options.seeded) limits.chunk = kExactPiece;
  shares_.step_begins();
  std::vector<Part> parts;
  for (const Turn& turn : turns_of_one_set(wants, limits)) {
    parts.push_back({whose[turn.want], turn.rows});
    parts.back().request->served = ++turns_;
  }
  add_drafts(parts);
  return parts;
}

// The engine computes a whole step with one set of adapters.
std::vector<Turn> Batcher::turns_of_one_set(std::span<const Want> wants, const StepLimits& limits) {
  std::vector<Turn> turns = plan_step(wants, shares_, cost_, limits);
  const uint64_t set = set_turns_.next(wants, turns, shares_);
  const auto has_turn = [&](const Turn& turn) { return wants[turn.want].set == set; };
  if (std::all_of(turns.begin(), turns.end(), has_turn)) return turns;
  // what the others' turns would have taken is its own
  std::vector<Want> own;
  std::vector<size_t> which;
  for (size_t i = 0; i < wants.size(); i++) {
    if (wants[i].set != set) continue;
    own.push_back(wants[i]);
    which.push_back(i);
  }
  turns = plan_step(own, shares_, cost_, limits);
  for (Turn& turn : turns) turn.want = which[turn.want];
  return turns;
}

bool Batcher::make_cells(size_t needed) {
  while (slots_.cells_free() < needed) {
    const auto idle = slots_.oldest_idle();
    if (!idle) return false;
    clear(*idle);
  }
  return true;
}

// Takes a request's cells; it goes on from what could be parked of it when there is room.
void Batcher::preempt(Request& request) {
  end_drafting(request);
  if (slots_[request.sequence].tokens.size() >= kParkMin) park(request.sequence);
  clear(request.sequence);
  slots_.release(request.sequence);
  request.sequence = -1;
  request.computed = 0;
  const auto at = std::find_if(computing_.begin(), computing_.end(),
                               [&](const auto& item) { return item.get() == &request; });
  assert(at != computing_.end());
  waiting_.push_front(std::move(*at));
  computing_.erase(at);
}

Request* Batcher::youngest_of_least_urgent() const {
  Request* found = nullptr;
  for (const auto& request : computing_) {
    if (!found || request->lane >= found->lane) found = request.get();
  }
  return found;
}

bool Batcher::preempt_youngest() {
  if (computing_.size() < 2) return false;
  preempt(*youngest_of_least_urgent());
  return true;
}

}  // namespace lares::engine
