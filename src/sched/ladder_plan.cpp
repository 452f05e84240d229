// How Ladder chooses who descends.
#include <algorithm>
#include <limits>
#include <tuple>

#include "base/text.h"
#include "sched/ladder.h"
#include "sched/ladder_tally.h"

namespace lares::sched {

// A climb, or a holder that is to hold more.
struct Ladder::Wanted {
  ModelId model;
  const Entry* entry = nullptr;  // of the model
  Rung to = Rung::Absent;
  std::string holder;
  Bytes bytes;  // in all
};

// A model that may descend, and how far it does so far.
struct Ladder::Candidate {
  const ModelId* model;
  const Entry* entry;
  Rung rung;
  double worth;

  // The step down that loses least for a byte, as far as it was looked at.
  bool looked = false;
  Rung next = Rung::Absent;
  double density = 0;

  void look(const Tally& tally, Rung floor) {
    looked = true;
    density = std::numeric_limits<double>::infinity();
    for (Rung to = rung; to > floor;) {
      to = static_cast<Rung>(static_cast<size_t>(to) - 1);
      const double ms = std::max(0.001, entry->footprint.climb_ms(to, rung));
      const double bytes = tally.frees(*entry, rung, to);
      if (bytes <= 0 || worth * ms / bytes >= density) continue;
      density = worth * ms / bytes;
      next = to;
    }
  }
};

namespace {

// Of a model that nothing is known of: less than of any that was ever used.
constexpr double kWorthLeast = 1e-9;

Rung below(Rung rung) { return static_cast<Rung>(static_cast<size_t>(rung) - 1); }

}  // namespace

std::vector<Ladder::Candidate> Ladder::candidates(const ModelId& but, bool kept_too,
                                                  SteadyTime now) const {
  std::vector<Candidate> all;
  for (const auto& [model, entry] : entries_) {
    if (!idle(entry) || model == but || (entry.kept && !kept_too)) continue;
    all.push_back({&model, &entry, entry.at, std::max(kWorthLeast, next_use_.worth(model, now))});
  }
  return all;
}

// Down as far as needed, and no farther. Those that a person keeps come last.
void Ladder::choose(Tally& tally, std::vector<Candidate>& from, Bytes limit, Rung floor) {
  for (const bool kept : {false, true}) {
    while (tally.total() > limit) {
      Candidate* best = nullptr;
      for (Candidate& candidate : from) {
        if (candidate.entry->kept != kept) continue;
        if (!candidate.looked) candidate.look(tally, floor);
        if (candidate.density == std::numeric_limits<double>::infinity()) continue;
        if (!best || std::tie(candidate.density, candidate.entry->use) <
                         std::tie(best->density, best->entry->use))
          best = &candidate;
      }
      if (!best) break;
      tally.move(*best->entry, best->rung, best->next);
      best->rung = best->next;
      best->looked = false;
      if (best->entry->parts.empty()) continue;
      for (Candidate& candidate : from)  // their shares of what it shared have grown
        candidate.looked = candidate.looked && candidate.entry->parts.empty();
    }
  }
  take_back(tally, from, limit);
}

// Steps that turned out not to be needed, the ones worth most first. With a shared part one that is
// taken back may make room for another, so until there is none.
void Ladder::take_back(Tally& tally, std::vector<Candidate>& from, Bytes limit) {
  std::vector<std::pair<double, Candidate*>> moved;
  for (Candidate& candidate : from) {
    if (candidate.rung == candidate.entry->at) continue;
    const double lost =
        candidate.worth * candidate.entry->footprint.climb_ms(candidate.rung, candidate.entry->at);
    moved.emplace_back(lost, &candidate);
  }
  std::sort(moved.begin(), moved.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.second->entry->kept, a.first, a.second->entry->use) >
           std::tuple(b.second->entry->kept, b.first, b.second->entry->use);
  });
  for (bool again = true; again;) {
    again = false;
    for (auto& [lost, candidate] : moved) {
      for (Rung rung = candidate->entry->at; rung > candidate->rung; rung = below(rung)) {
        const Rung was = candidate->rung;
        tally.move(*candidate->entry, was, rung);
        if (tally.total() <= limit) {
          candidate->rung = rung;
          again = true;
          break;
        }
        tally.move(*candidate->entry, rung, was);
      }
    }
  }
}

// The most useless first.
std::vector<Ladder::Step> Ladder::steps_of(std::vector<Candidate> chosen) {
  std::erase_if(chosen, [](const Candidate& c) { return c.rung == c.entry->at; });
  const auto density = [](const Candidate& c) {
    const Footprint& footprint = c.entry->footprint;
    const Bytes bytes = footprint.whole(c.entry->at) - footprint.whole(c.rung);
    return c.worth * footprint.climb_ms(c.rung, c.entry->at) /
           std::max(1.0, static_cast<double>(bytes.n));
  };
  std::stable_sort(chosen.begin(), chosen.end(), [&](const Candidate& a, const Candidate& b) {
    return std::tuple(a.entry->kept, density(a), a.entry->use) <
           std::tuple(b.entry->kept, density(b), b.entry->use);
  });
  std::vector<Step> steps;
  for (const Candidate& c : chosen) steps.push_back({*c.model, c.entry->at, c.rung, c.entry->kept});
  return steps;
}

// --- planning

Result<Ladder::Plan> Ladder::plan(const ModelId& model, Rung to, SteadyTime now) const {
  const std::string doing = cat("bringing '", model, "' to ", name(to));
  const Entry* entry = find(model);
  if (!entry) return Error{Code::NotFound, cat(doing, ": there is no such model")};
  if (entry->move == Move::Rests && to <= entry->at) {
    Plan nothing;
    nothing.climb = {model, entry->at, entry->at, false};
    nothing.bytes = entry->footprint.whole(entry->at);
    nothing.now = now;
    nothing.generation = generation_;
    return nothing;
  }
  if (entry->move != Move::Rests) {
    return Error{Code::Busy, cat(doing, ": it is on its way from ", name(entry->counted), " to ",
                                 name(entry->to), "; retry when it is there")};
  }
  auto plan = plan_for({model, entry, to, {}, {}}, now);
  if (!plan) return std::move(plan).error().within(doing);
  return plan;
}

Result<Ladder::Plan> Ladder::plan_reserve(const std::string& holder, Bytes bytes,
                                          SteadyTime now) const {
  bytes = std::min(bytes, kBytesMax);
  const std::string doing = cat("reserving ", bytes, " for ", holder);
  const auto found = holders_.find(holder);
  if (found == holders_.end() && holders_.size() >= kHoldersMax) {
    return Error{Code::Busy, cat(doing, ": ", kHoldersMax,
                                 " others hold memory already; retry when one has ended")};
  }
  if (found != holders_.end() && found->second.wants) {
    return Error{Code::Busy, cat(doing, ": it waits already to hold ", *found->second.wants)};
  }
  auto plan = plan_for({{}, nullptr, Rung::Absent, holder, bytes}, now);
  if (!plan) return std::move(plan).error().within(doing);
  return plan;
}

Result<Ladder::Plan> Ladder::plan_for(const Wanted& wanted, SteadyTime now) const {
  if (const auto shortfall = shortfall_of(wanted)) return no_room(*shortfall);
  Tally tally = tally_up_to(kAllOrders);
  Plan plan;
  if (wanted.entry) {
    tally.move(*wanted.entry, wanted.entry->at, wanted.to);
    plan.climb = {wanted.model, wanted.entry->at, wanted.to, false};
    plan.bytes = wanted.entry->footprint.whole(wanted.to);
    plan.climb_ms = wanted.entry->footprint.climb_ms(wanted.entry->at, wanted.to);
  } else {
    tally.add(wanted.bytes);
    tally.take(reserved(wanted.holder));
    plan.holder = wanted.holder;
    plan.bytes = wanted.bytes;
  }
  const Bytes before = tally.total();
  auto chosen = candidates(wanted.model, false, now);
  choose(tally, chosen, budget_, Rung::Absent);
  assert(tally.total() <= budget_);
  plan.frees = before - tally.total();
  plan.descents = steps_of(std::move(chosen));
  for (const Step& step : plan.descents)
    plan.back_ms += find(step.model)->footprint.climb_ms(step.to, step.from);
  plan.now = now;
  plan.generation = generation_;
  return plan;
}

// What is held when all has gone that may go, and `wanted` has come.
Ladder::Tally Ladder::least(const Wanted& wanted) const {
  Tally tally(parts_);
  for (const auto& [model, entry] : entries_) {
    const bool goes = idle(entry) && !entry.kept && model != wanted.model;
    if (!goes) tally.move(entry, Rung::Absent, rung_up_to(entry, kAllOrders));
  }
  for (const auto& [holder, its] : holders_) {
    if (holder != wanted.holder) tally.add(its.wants.value_or(its.bytes));
  }
  if (wanted.entry) {
    const Rung now = rung_up_to(*wanted.entry, kAllOrders);
    tally.move(*wanted.entry, now, std::max(now, wanted.to));
  }
  tally.add(wanted.bytes);
  return tally;
}

std::optional<Ladder::Shortfall> Ladder::shortfall_of(const Wanted& wanted) const {
  Shortfall shortfall;
  shortfall.needs = wanted.entry ? wanted.entry->footprint.whole(wanted.to) : wanted.bytes;
  const Bytes all = least(wanted).total();
  if (all <= budget_ && over_by().n == 0) return std::nullopt;
  shortfall.missing = all > budget_ ? all - budget_ : over_by();
  // the parts of the sum, each beside those before
  Tally tally(parts_);
  const auto add = [&](auto belongs) {
    const Bytes before = tally.total();
    for (const auto& [model, entry] : entries_) {
      if (model != wanted.model && belongs(entry))
        tally.move(entry, Rung::Absent, rung_up_to(entry, kAllOrders));
    }
    return tally.total() - before;
  };
  const auto in_use = [](const Entry& e) { return e.pins > 0; };
  const auto kept = [](const Entry& e) { return e.pins == 0 && e.kept && idle(e); };
  const auto moves = [](const Entry& e) { return e.pins == 0 && e.move != Move::Rests; };
  shortfall.by_answers = add(in_use);
  shortfall.by_person = add(kept);
  shortfall.by_moves = add(moves);
  for (const auto& [holder, its] : holders_) {
    if (holder != wanted.holder) shortfall.by_others += its.wants.value_or(its.bytes);
  }
  if (shortfall.needs > budget_) {
    shortfall.remedy = Remedy::Never;
    return shortfall;
  }
  // what waiting cannot change
  Tally stays(parts_);
  for (const auto& [model, entry] : entries_) {
    const Rung rung = rung_up_to(entry, kAllOrders);
    if (model == wanted.model) {
      stays.move(entry, Rung::Absent, std::max(rung, wanted.to));
    } else if (entry.kept) {
      stays.move(entry, Rung::Absent, rung);
    }
  }
  stays.add(wanted.bytes);
  if (stays.total() > budget_) shortfall.remedy = Remedy::Unkeep;
  return shortfall;
}

std::optional<Ladder::Shortfall> Ladder::shortfall(const ModelId& model, Rung to) const {
  const Entry* entry = find(model);
  assert(entry);
  return shortfall_of({model, entry, to, {}, {}});
}

Error Ladder::no_room(const Shortfall& shortfall) const {
  if (shortfall.remedy == Remedy::Never) {
    return {Code::NoRoom, cat("needs ", shortfall.needs, ", memory.budget is ", budget_,
                              "; choose a smaller context, cache type or model, or raise "
                              "memory.budget")};
  }
  if (const Bytes over = over_by(); over.n > 0) {
    return {Code::NoRoom, cat("memory.budget was lowered to ", budget_, ", and ", over,
                              " more than that is still held; retry when it has left")};
  }
  std::vector<std::string> holds;
  const auto say = [&](Bytes bytes, std::string_view by) {
    if (bytes.n > 0) holds.push_back(cat(bytes, holds.empty() ? " is held by " : " by ", by));
  };
  say(shortfall.by_answers, "answers in progress");
  say(shortfall.by_person, "models that you keep");
  say(shortfall.by_moves, "models on their way");
  say(shortfall.by_others, "caches, indexing and other work");
  std::string words = cat("needs ", shortfall.needs, ", but of ", budget_, " ");
  for (size_t i = 0; i < holds.size(); i++)
    words += cat(i == 0 ? "" : i + 1 == holds.size() ? " and " : ", ", holds[i]);
  words += cat("; ", shortfall.missing, " is missing");
  words += shortfall.remedy == Remedy::Unkeep
               ? "; release one with `lares models unpin`, or raise memory.budget"
               : "; retry when one has ended";
  return {Code::NoRoom, std::move(words)};
}

bool Ladder::fits(const ModelId& model, Rung to) const {
  const Entry* entry = find(model);
  if (!entry || entry->move != Move::Rests || over_by().n > 0) return false;
  if (to <= entry->at) return true;
  std::vector<uint64_t> orders = orders_waiting();
  orders.push_back(0);
  return std::all_of(orders.begin(), orders.end(), [&](uint64_t order) {
    Tally tally = tally_up_to(order);
    tally.move(*entry, entry->at, to);
    return tally.total() <= budget_;
  });
}

// What `footprint` holds more than `tally` does.
Bytes Ladder::beside(const Tally& tally, const Footprint& footprint, Rung rung) const {
  Bytes bytes = footprint.at(rung);
  if (rung < Rung::Warm) return bytes;
  for (const SharedPart& part : footprint.shared) {
    const auto known = std::find_if(parts_.begin(), parts_.end(),
                                    [&](const Part& its) { return its.key == part.key; });
    const bool held =
        known != parts_.end() && tally.holders(static_cast<size_t>(known - parts_.begin())) > 0;
    if (!held) bytes += part.bytes;
  }
  return bytes;
}

bool Ladder::could_fit(const ModelId& model, const Footprint& footprint, Rung to) const {
  if (footprint.whole(to) > budget_) return false;
  Tally tally(parts_);
  for (const auto& [other, entry] : entries_) {
    if (other != model && (!idle(entry) || entry.kept))
      tally.move(entry, Rung::Absent, rung_up_to(entry, kAllOrders));
  }
  for (const auto& [holder, its] : holders_) tally.add(its.wants.value_or(its.bytes));
  const Bytes more = beside(tally, footprint, to);
  return more <= budget_ && tally.total() <= budget_ - more;
}

std::vector<ModelId> Ladder::to_drain(const ModelId& model, Rung to) const {
  const Entry* entry = find(model);
  if (!entry || to <= entry->at) return {};
  const Wanted wanted{model, entry, to, {}, {}};
  Tally tally = least(wanted);
  std::vector<std::pair<uint64_t, const Entries::value_type*>> in_use;
  for (const auto& its : entries_) {
    if (its.second.pins > 0 && !its.second.kept && its.first != model)
      in_use.emplace_back(its.second.use, &its);
  }
  std::sort(in_use.begin(), in_use.end());
  std::vector<ModelId> drained;
  for (const auto& [use, its] : in_use) {
    if (tally.total() <= budget_) break;
    tally.move(its->second, its->second.counted, Rung::Absent);
    drained.push_back(its->first);
  }
  return tally.total() <= budget_ ? drained : std::vector<ModelId>{};
}

// --- pressure and a lower budget

std::vector<Ladder::Step> Ladder::shed(std::optional<Bytes> bytes, SteadyTime now) {
  Tally tally = tally_up_to(kAllOrders);
  Bytes limit;
  if (bytes && *bytes < tally.total()) limit = tally.total() - *bytes;
  auto chosen = candidates({}, true, now);
  choose(tally, chosen, limit, Rung::Parked);
  auto steps = steps_of(std::move(chosen));
  descend(steps);
  if (!steps.empty()) changed();
  return steps;
}

Ladder::Relief Ladder::set_budget(Bytes budget, SteadyTime now) {
  budget_ = budget;
  ceiling_ = std::max(budget, used());
  generation_++;
  return relieve(now);
}

Ladder::Relief Ladder::relieve(SteadyTime now) {
  Relief relief;
  const std::vector<Bytes> held = holdings();
  if (std::all_of(held.begin(), held.end(), [&](Bytes bytes) { return bytes <= budget_; }))
    return relief;
  std::vector<Candidate> chosen;
  for (bool more = true; more;) {
    Tally tally = tally_up_to(kAllOrders);
    chosen = candidates({}, true, now);
    choose(tally, chosen, budget_, Rung::Absent);
    relief.still_over = tally.total() > budget_ ? tally.total() - budget_ : Bytes{};
    more = relief.still_over.n > 0 && give_up_latest(relief);
  }
  relief.descents = steps_of(std::move(chosen));
  descend(relief.descents);
  renumber_waiting();
  changed();
  return relief;
}

// False: none waits.
bool Ladder::give_up_latest(Relief& relief) {
  const std::vector<uint64_t> orders = orders_waiting();
  if (orders.empty()) return false;
  for (auto& [model, entry] : entries_) {
    if (entry.move != Move::Waits || entry.order != orders.back()) continue;
    entry.move = Move::Rests;
    entry.to = entry.at;
    relief.given_up.push_back(model);
    return true;
  }
  for (auto its = holders_.begin(); its != holders_.end(); ++its) {
    if (!its->second.wants || its->second.order != orders.back()) continue;
    its->second.wants.reset();
    relief.holders_refused.push_back(its->first);
    if (its->second.bytes.n == 0) holders_.erase(its);
    return true;
  }
  return false;
}

// Those that go on waiting rely from now on on what was decided last.
void Ladder::renumber_waiting() {
  for (const uint64_t order : orders_waiting()) {
    const uint64_t anew = ++order_;
    for (auto& [model, entry] : entries_) {
      if (entry.move == Move::Waits && entry.order == order) entry.order = anew;
    }
    for (auto& [holder, its] : holders_) {
      if (its.wants && its.order == order) its.order = anew;
    }
  }
}

}  // namespace lares::sched
