#include "sched/ladder.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "sched/ladder_tally.h"

namespace lares::sched {

namespace {

size_t index(Rung rung) { return static_cast<size_t>(rung); }

Rung below(Rung rung) {
  assert(rung != Rung::Absent);
  return static_cast<Rung>(index(rung) - 1);
}

void clamp(Footprint& footprint) {
  for (Bytes* bytes : {&footprint.parked, &footprint.warm, &footprint.hot})
    *bytes = std::min(*bytes, Ladder::kBytesMax);
  for (SharedPart& part : footprint.shared) part.bytes = std::min(part.bytes, Ladder::kBytesMax);
}

bool negative(milliseconds time) { return time < milliseconds(0); }

}  // namespace

Bytes Footprint::at(Rung rung) const {
  switch (rung) {
    case Rung::Absent: return {};
    case Rung::Parked: return parked;
    case Rung::Warm: return warm;
    case Rung::Hot: return hot;
  }
  return {};
}

Bytes Footprint::whole(Rung rung) const {
  Bytes bytes = at(rung);
  if (rung < Rung::Warm) return bytes;
  for (const SharedPart& part : shared) bytes += part.bytes;
  return bytes;
}

double Footprint::climb_ms(Rung from, Rung to) const {
  const std::array<double, 4> each = {0, parked_ms, warm_ms, hot_ms};
  double sum = 0;
  for (size_t rung = index(from) + 1; rung <= index(to); rung++) sum += each[rung];
  return sum;
}

// --- what is known of models

Result<> Ladder::check_footprint(const ModelId& model, const Footprint& footprint) const {
  const auto wrong = [&](const std::string& what) {
    return Error{Code::Invalid, cat("the footprint of '", model, "': ", what)};
  };
  if (footprint.parked > footprint.warm || footprint.warm > footprint.hot) {
    return wrong(cat(footprint.parked, " parked, ", footprint.warm, " warm and ", footprint.hot,
                     " hot; a rung holds no less than the one below"));
  }
  for (const double ms : {footprint.parked_ms, footprint.warm_ms, footprint.hot_ms}) {
    if (!(ms >= 0) || std::isinf(ms))
      return wrong(cat("a climb of ", ms, " ms; it takes 0 ms or more"));
  }
  if (footprint.shared.size() > kPartsMax)
    return wrong(cat(footprint.shared.size(), " shared parts; there may be ", kPartsMax));
  for (size_t i = 0; i < footprint.shared.size(); i++) {
    const SharedPart& part = footprint.shared[i];
    for (size_t earlier = 0; earlier < i; earlier++) {
      if (footprint.shared[earlier].key == part.key)
        return wrong(cat("the shared part '", part.key, "' stands there twice"));
    }
    for (const auto& [other, entry] : entries_) {
      if (other == model) continue;
      for (const SharedPart& its : entry.footprint.shared) {
        if (its.key != part.key || its.bytes == part.bytes) continue;
        return wrong(cat("the shared part '", part.key, "' has ", part.bytes, " (", part.bytes.n,
                         " B), and ", its.bytes, " (", its.bytes.n, " B) in '", other,
                         "'; one file has one size"));
      }
    }
  }
  return Unit{};
}

Result<> Ladder::know(const ModelId& model, Footprint footprint) {
  clamp(footprint);
  TRY(check_footprint(model, footprint));
  auto found = entries_.find(model);
  if (found == entries_.end()) {
    if (entries_.size() >= kModelsMax)
      return Error{Code::Busy,
                   cat("model '", model, "': ", kModelsMax, " models are known already")};
    found = entries_.emplace(model, Entry{}).first;
    found->second.life = ++lives_;
  }
  Entry& entry = found->second;
  const Bytes needs = footprint.whole(entry.counted);
  if (!replace(entry, std::move(footprint))) {
    return Error{Code::NoRoom, cat("model '", model, "': needs ", needs, " where it is, but ",
                                   used(), " of ", budget_, " is held and ", promised(),
                                   " promised; retry when another model has left, or raise "
                                   "memory.budget")};
  }
  entry.correction.reset();
  changed();
  return Unit{};
}

void Ladder::forget(const ModelId& model) {
  const auto found = entries_.find(model);
  if (found == entries_.end()) return;
  assert(found->second.move == Move::Rests);
  assert(found->second.at == Rung::Absent);
  entries_.erase(found);
  index_parts();
  changed();
}

// Which parts there are, anew: few, and seldom changed.
void Ladder::index_parts() {
  parts_.clear();
  std::map<std::string_view, size_t> places;
  for (auto& [model, entry] : entries_) {
    entry.parts.clear();
    for (const SharedPart& part : entry.footprint.shared) {
      const auto [place, fresh] = places.emplace(part.key, parts_.size());
      if (fresh) parts_.push_back({part.key, part.bytes});
      entry.parts.push_back(place->second);
    }
  }
}

bool Ladder::replace(Entry& entry, Footprint footprint) {
  const std::vector<Bytes> before = holdings();
  std::swap(entry.footprint, footprint);
  index_parts();
  if (holds_within(before)) return true;
  std::swap(entry.footprint, footprint);
  index_parts();
  return false;
}

void Ladder::apply_to(Footprint& footprint, Rung rung, Bytes bytes) {
  const std::array<Bytes*, 3> rungs = {&footprint.parked, &footprint.warm, &footprint.hot};
  const size_t place = index(rung) - 1;
  for (size_t i = 0; i < place; i++) *rungs[i] = std::min(*rungs[i], bytes);
  for (size_t i = place; i < rungs.size(); i++) *rungs[i] = std::max(*rungs[i], bytes);
  *rungs[place] = bytes;
}

bool Ladder::measured(const ModelId& model, Rung rung, Bytes bytes) {
  assert(rung != Rung::Absent);
  Entry& entry = at(model);
  Footprint corrected = entry.correction.value_or(entry.footprint);
  corrected.shared = entry.footprint.shared;
  apply_to(corrected, rung, std::min(bytes, kBytesMax));
  if (!replace(entry, corrected)) {
    entry.correction = std::move(corrected);
    return false;
  }
  entry.correction.reset();
  changed();
  return true;
}

void Ladder::apply_correction(Entry& entry) {
  if (!entry.correction) return;
  entry.correction->shared = entry.footprint.shared;
  if (replace(entry, *entry.correction)) entry.correction.reset();
}

bool Ladder::part_measured(const std::string& key, Bytes bytes) {
  const std::vector<Bytes> before = holdings();
  const auto set = [&](Bytes size) {
    Bytes was = size;
    for (auto& [model, entry] : entries_) {
      for (SharedPart& part : entry.footprint.shared) {
        if (part.key == key) was = std::exchange(part.bytes, size);
      }
    }
    index_parts();
    return was;
  };
  const Bytes was = set(std::min(bytes, kBytesMax));
  if (!holds_within(before)) {
    set(was);
    return false;
  }
  changed();
  return true;
}

void Ladder::climb_took(const ModelId& model, Rung rung, double ms) {
  assert(rung != Rung::Absent);
  if (!(ms >= 0) || std::isinf(ms)) return;
  Entry& entry = at(model);
  const auto into = [&](Footprint& footprint) {
    double& mean = rung == Rung::Parked ? footprint.parked_ms
                   : rung == Rung::Warm ? footprint.warm_ms
                                        : footprint.hot_ms;
    mean = entry.timed[index(rung)] ? mean + kNewest * (ms - mean) : ms;
  };
  into(entry.footprint);
  if (entry.correction) into(*entry.correction);
  entry.timed[index(rung)] = true;
  changed();
}

// --- other holders

Result<> Ladder::reserve(const std::string& holder, Bytes bytes) {
  bytes = std::min(bytes, kBytesMax);
  if (!holders_.contains(holder) && holders_.size() >= kHoldersMax) {
    return Error{Code::Busy, cat("reserving ", bytes, " for ", holder, ": ", kHoldersMax,
                                 " others hold memory already; retry when one has ended")};
  }
  Holder& its = holders_[holder];
  its.wants.reset();
  const std::vector<Bytes> before = holdings();
  const Bytes was = std::exchange(its.bytes, bytes);
  if (holds_within(before)) {
    changed();
    return Unit{};
  }
  its.bytes = was;
  if (was.n == 0) holders_.erase(holder);
  changed();
  return Error{Code::NoRoom,
               cat("reserving ", bytes, " for ", holder, ": ", used(), " of ", budget_,
                   " is held and ", promised(), " promised; retry when a model has left")};
}

void Ladder::release(const std::string& holder) {
  if (holders_.erase(holder) > 0) changed();
}

Bytes Ladder::reserved(const std::string& holder) const {
  const auto found = holders_.find(holder);
  return found == holders_.end() ? Bytes{} : found->second.bytes;
}

// --- the sums

Ladder::Entry& Ladder::at(const ModelId& model) {
  const auto found = entries_.find(model);
  assert(found != entries_.end());
  return found->second;
}

const Ladder::Entry* Ladder::find(const ModelId& model) const {
  const auto found = entries_.find(model);
  return found == entries_.end() ? nullptr : &found->second;
}

bool Ladder::idle(const Entry& entry) {
  return entry.move == Move::Rests && entry.pins == 0 && entry.at > Rung::Absent;
}

Rung Ladder::rung_up_to(const Entry& entry, uint64_t order) {
  const bool decided = entry.order <= order;
  const bool moves = entry.move == Move::Waits || entry.move == Move::Descends;
  return moves && decided ? entry.to : entry.counted;
}

// What is held when all that was decided up to `order` has come true, and nothing after it.
Ladder::Tally Ladder::tally_up_to(uint64_t order) const {
  Tally tally(parts_);
  for (const auto& [model, entry] : entries_)
    tally.move(entry, Rung::Absent, rung_up_to(entry, order));
  for (const auto& [holder, its] : holders_)
    tally.add(its.wants && its.order <= order ? *its.wants : its.bytes);
  return tally;
}

Bytes Ladder::held_up_to(uint64_t order) const { return tally_up_to(order).total(); }

Bytes Ladder::promised() const { return held_up_to(kAllOrders); }

std::vector<uint64_t> Ladder::orders_waiting() const {
  std::vector<uint64_t> orders;
  for (const auto& [model, entry] : entries_) {
    if (entry.move == Move::Waits) orders.push_back(entry.order);
  }
  for (const auto& [holder, its] : holders_) {
    if (its.wants) orders.push_back(its.order);
  }
  std::sort(orders.begin(), orders.end());
  return orders;
}

// What must stay below the budget: what is held now, and for each that waits.
std::vector<Bytes> Ladder::holdings() const {
  std::vector<Bytes> all = {used()};
  for (const uint64_t order : orders_waiting()) all.push_back(held_up_to(order));
  return all;
}

// Each is within the budget, or at least no more than it was.
bool Ladder::holds_within(const std::vector<Bytes>& before) const {
  const std::vector<Bytes> now = holdings();
  assert(now.size() == before.size());
  for (size_t i = 0; i < now.size(); i++) {
    if (now[i] > budget_ && now[i] > before[i]) return false;
  }
  return true;
}

Bytes Ladder::over_by() const {
  const Bytes held = used();
  return held > budget_ ? held - budget_ : Bytes{};
}

Bytes Ladder::size_of(const ModelId& model) const {
  const Entry* entry = find(model);
  return entry ? entry->footprint.whole(entry->counted) : Bytes{};
}

// --- climbing

Result<> Ladder::adopt(const Plan& plan) {
  if (plan.generation != generation_) {
    return Error{Code::Busy, cat(plan.holder.empty() ? plan.climb.model : plan.holder,
                                 ": what is in memory has changed since this was planned; plan it "
                                 "again")};
  }
  descend(plan.descents);
  if (!plan.holder.empty()) {
    Holder& holder = holders_[plan.holder];
    holder.wants = plan.bytes;
    holder.order = ++order_;
  } else if (plan.climb.to > plan.climb.from) {
    Entry& entry = at(plan.climb.model);
    entry.move = Move::Waits;
    entry.to = plan.climb.to;
    entry.order = ++order_;
    entry.used_at = plan.now;
    entry.use = ++uses_;
  }
  changed();
  return Unit{};
}

void Ladder::descend(const std::vector<Step>& steps) {
  if (steps.empty()) return;
  order_++;
  for (const Step& step : steps) {
    Entry& entry = at(step.model);
    assert(idle(entry));
    assert(step.to < entry.at);
    entry.move = Move::Descends;
    entry.to = step.to;
    entry.order = order_;
  }
}

// True: it has begun, and no one before it waits any longer for that.
bool Ladder::begin_at(uint64_t order, Begun& begun) {
  const std::vector<Bytes> budget(orders_waiting().size(), budget_);
  for (auto& [model, entry] : entries_) {
    if (entry.move != Move::Waits || entry.order != order) continue;
    entry.move = Move::Climbs;
    entry.counted = entry.to;
    if (holds_within(budget)) {
      begun.climbs.push_back({model, entry.at, entry.to, false});
      return true;
    }
    entry.move = Move::Waits;
    entry.counted = entry.at;
  }
  for (auto& [name, holder] : holders_) {
    if (!holder.wants || holder.order != order) continue;
    const Holder was = holder;
    holder = {*was.wants, std::nullopt, 0};
    if (holds_within(budget)) {
      begun.holders.push_back(name);
      return true;
    }
    holder = was;
  }
  return false;
}

Ladder::Begun Ladder::begin() {
  Begun begun;
  if (over_by().n > 0) return begun;
  bool any = false;
  for (const uint64_t order : orders_waiting()) any = begin_at(order, begun) || any;
  if (any) changed();
  return begun;
}

void Ladder::give_up(const ModelId& model) {
  const auto found = entries_.find(model);
  if (found == entries_.end() || found->second.move != Move::Waits) return;
  found->second.move = Move::Rests;
  found->second.to = found->second.at;
  changed();
}

// --- what happened

void Ladder::arrived(const ModelId& model, Rung rung) {
  Entry& entry = at(model);
  assert(entry.move == Move::Climbs || entry.move == Move::Descends);
  if (entry.move == Move::Climbs) {
    if (rung > entry.at && rung < entry.to) entry.at = rung;
    if (rung != entry.to) return;
  } else if (rung != entry.to) {
    return;
  }
  entry.at = entry.counted = rung;
  entry.move = Move::Rests;
  apply_correction(entry);
  changed();
}

void Ladder::died(const ModelId& model) {
  Entry& entry = at(model);
  entry.at = entry.to = entry.counted = Rung::Absent;
  entry.move = Move::Rests;
  entry.pins = 0;
  entry.life = ++lives_;
  apply_correction(entry);
  changed();
}

// --- staying

std::optional<Ladder::Pin> Ladder::pin(const ModelId& model, SteadyTime now) {
  const auto found = entries_.find(model);
  if (found == entries_.end()) return std::nullopt;
  Entry& entry = found->second;
  const bool stays = entry.move == Move::Rests || entry.move == Move::Climbs;
  if (!stays || entry.counted != Rung::Hot) return std::nullopt;
  entry.pins++;
  entry.used_at = now;
  entry.use = ++uses_;
  changed();
  return Pin(this, model, entry.life);
}

Ladder::Pin::~Pin() {
  if (!owner_) return;
  const auto found = owner_->entries_.find(model_);
  if (found == owner_->entries_.end() || found->second.life != life_) return;
  Entry& entry = found->second;
  assert(entry.pins > 0);
  entry.pins--;
  entry.just_used = true;
  entry.use = ++owner_->uses_;
  owner_->changed();
}

void Ladder::use(const ModelId& model, SteadyTime now) {
  Entry& entry = at(model);
  entry.used_at = now;
  entry.use = ++uses_;
}

void Ladder::keep(const ModelId& model, bool kept) {
  at(model).kept = kept;
  changed();
}

void Ladder::set_keep_alive(const ModelId& model, std::optional<milliseconds> time) {
  at(model).keep_alive = time;
}

// --- going down

Result<Ladder::Step> Ladder::evict(const ModelId& model, Rung to) {
  const auto found = entries_.find(model);
  if (found == entries_.end())
    return Error{Code::NotFound, cat("sending away '", model, "': there is no such model")};
  Entry& entry = found->second;
  if (entry.pins > 0) {
    return Error{Code::Busy, cat("sending away '", model, "': ", entry.pins,
                                 entry.pins == 1 ? " answer uses it" : " answers use it",
                                 "; retry when that has ended")};
  }
  if (entry.move == Move::Climbs && to != Rung::Absent) {
    return Error{Code::Busy, cat("sending '", model, "' to ", name(to), ": it is on its way to ",
                                 name(entry.to), "; retry when it is there")};
  }
  give_up(model);
  const Rung goes_to = entry.move == Move::Climbs ? Rung::Hot : entry.to;  // as things are
  if (to >= goes_to) return Step{model, goes_to, goes_to, false};
  const Step step{model, entry.counted, to, entry.kept};
  if (entry.move != Move::Descends) entry.order = ++order_;
  entry.move = Move::Descends;
  entry.to = to;
  changed();
  return step;
}

std::vector<Ladder::Step> Ladder::idle_steps(const IdleTimes& times, SteadyTime now) {
  std::vector<Step> steps;
  for (auto& [model, entry] : entries_) {
    if (entry.pins > 0 || std::exchange(entry.just_used, false)) entry.used_at = now;
    if (!idle(entry) || entry.kept) continue;
    milliseconds time = entry.at == Rung::Hot    ? times.hot
                        : entry.at == Rung::Warm ? times.warm
                                                 : times.parked;
    if (entry.keep_alive) {
      const milliseconds own = *entry.keep_alive;
      const bool longer = entry.at == Rung::Parked && own != milliseconds(0) && !negative(own);
      time = longer && (negative(time) || time > own) ? time : own;
    }
    if (!negative(time) && now - entry.used_at >= time)
      steps.push_back({model, entry.at, below(entry.at), false});
  }
  descend(steps);
  if (!steps.empty()) changed();
  return steps;
}

// --- to be seen

Ladder::Seen Ladder::seen(const ModelId& model, SteadyTime now) const {
  const Entry* entry = find(model);
  if (!entry) return {};
  return {entry->at,
          entry->to,
          entry->move,
          entry->footprint.whole(entry->counted),
          entry->pins > 0,
          entry->kept,
          entry->used_at,
          entry->footprint.climb_ms(entry->at, Rung::Hot),
          next_use_.worth(model, now)};
}

const Footprint* Ladder::footprint(const ModelId& model) const {
  const Entry* entry = find(model);
  return entry ? &entry->footprint : nullptr;
}

std::vector<ModelId> Ladder::models() const {
  std::vector<ModelId> all;
  for (const auto& [model, entry] : entries_) all.push_back(model);
  return all;
}

// --- what always holds

void Ladder::changed() {
  generation_++;
  check();
}

void Ladder::check() {
  const Bytes held = used();
  assert(held <= ceiling_);  // I1
  ceiling_ = std::max(budget_, std::min(ceiling_, held));
  for (const uint64_t order : orders_waiting()) assert(held_up_to(order) <= budget_);  // I2
  for (const auto& [model, entry] : entries_) {
    const bool rests = entry.move == Move::Rests;
    assert(entry.pins == 0 || entry.counted == Rung::Hot);  // I3
    assert(entry.pins == 0 || rests || entry.move == Move::Climbs);
    assert(entry.counted >= entry.at);  // I4
    assert(!rests || (entry.counted == entry.at && entry.to == entry.at));
    assert(entry.move != Move::Waits || (entry.counted == entry.at && entry.to > entry.at));
    assert(entry.move != Move::Climbs || entry.counted == entry.to);
    assert(entry.move != Move::Descends || entry.to < entry.counted);
    assert(entry.life <= lives_);  // I5
  }
}

}  // namespace lares::sched
