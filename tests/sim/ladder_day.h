// LadderDay: a day of models going up and down in one memory, from a seed: requests that want a
// model hot or warm, processes that take their time to climb and to descend and die wherever they
// stand, measurements that correct what was estimated, a person who keeps models, sends them away
// and changes the budget, pressure, idleness, and other work that reserves memory. A Ladder says
// what may happen.
//
// Held after every event, by sums of our own: what is held is within the budget or, after that was
// lowered, never grows; the ledger says just that; a model in use is hot and nobody's victim, one
// that a person keeps is no plan's and no idle time's; a plan changes nothing before it is adopted,
// and one that is stale changes nothing at all; a climb begins as soon as those have gone that its
// plan, and those before it, sent away. Held at the end: every request ended; and once nobody
// computes, keeps or reserves anything, each model that fits the budget alone gets to each rung.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "sched/ladder.h"
#include "sched/next_use.h"

namespace lares::sim {

class LadderDay {
 public:
  explicit LadderDay(uint64_t seed) : random_(seed), ladder_(first_budget(), next_use_) {}

  // Nothing wrong: "".
  std::string live() {
    const uint64_t count = 1 + chance(6);
    for (uint64_t i = 0; i < count; i++) enter(i);
    deaths_ = chance(3) == 0 ? 0 : 2 + chance(20);
    for (int i = 0; i < 150 && wrong_.empty(); i++) {
      now_ += milliseconds(chance(chance(10) == 0 ? 400'000 : 2'000));
      happen();
      settle();
    }
    evening();
    if (wrong_.empty()) all_get_their_turn();
    return wrong_;
  }

 private:
  using Ladder = sched::Ladder;
  using ModelId = sched::ModelId;
  using Move = Ladder::Move;

  struct Model {
    Rung at = Rung::Absent, to = Rung::Absent, holds = Rung::Absent;
    bool moves = false;
    bool kept = false;
    SteadyTime due{};
    std::vector<Ladder::Pin> pins;
  };
  enum class Stage { Queued, Waits, Climbs, Computes, Ended };
  struct Request {
    ModelId model;
    Rung to = Rung::Hot;
    Stage stage = Stage::Queued;
    SteadyTime ends{};
    std::set<ModelId> relies_on;  // models that have to go before
  };

  uint64_t chance(uint64_t of) { return random_() % of; }
  static Bytes first_budget() { return MiB(600); }
  Rung any_rung() { return static_cast<Rung>(1 + chance(3)); }

  void enter(uint64_t i) {
    sched::Footprint footprint;
    footprint.parked = MiB(chance(20));
    footprint.warm = footprint.parked + MiB(chance(3) == 0 ? 0 : chance(200));
    footprint.hot = footprint.warm + MiB(chance(150));
    footprint.parked_ms = static_cast<double>(chance(400));
    footprint.warm_ms = static_cast<double>(chance(100));
    footprint.hot_ms = static_cast<double>(chance(3'000));
    if (chance(3) == 0) footprint.shared.push_back({"one", MiB(130)});
    if (chance(3) == 0) footprint.shared.push_back({"two", MiB(60)});
    const ModelId id = cat("m", i);
    if (!ladder_.know(id, footprint)) complain("a model could not be made known");
    models_[id];
  }
  ModelId any_model() {
    auto at = models_.begin();
    std::advance(at, chance(models_.size()));
    return at->first;
  }

  // --- what happens

  void happen() {
    switch (chance(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5: return ask();
      case 6: return die();
      case 7: return measure();
      case 8: return change_budget();
      case 9: return keep();
      case 10: return evict();
      case 11: return shed();
      case 12: return idle();
      case 13: return other_work();
      case 14: return stale_plan();
      default: return cancel();
    }
  }

  void ask() {
    const ModelId model = any_model();
    next_use_.used(chance(2) == 0 ? "chat" : "mail", model, now_);
    requests_.push_back({model, chance(5) == 0 ? any_rung() : Rung::Hot, Stage::Queued, {}, {}});
    asked_++;
  }

  void die() {
    if (deaths_ == 0) return;
    deaths_--;
    const ModelId id = any_model();
    Model& model = models_.at(id);
    ladder_.died(id);
    model.at = model.to = model.holds = Rung::Absent;
    model.moves = false;
    for (auto& pin : model.pins) stale_.push_back(std::move(pin));
    model.pins.clear();
    for (Request& request : requests_) {
      if (request.model == id && request.stage != Stage::Ended) request.stage = Stage::Queued;
    }
    gone(id);
  }

  void measure() {
    const ModelId id = any_model();
    Model& model = models_.at(id);
    const bool goes = model.moves && model.to < model.holds;
    if (model.at == Rung::Absent || goes) return;
    const Rung rung = chance(4) == 0 ? any_rung() : model.at;
    const Bytes was = ladder_.footprint(id)->at(rung);
    const Bytes bytes{was.n * (80 + chance(60)) / 100 + chance(1 << 20)};
    const Bytes used = ladder_.used();
    ladder_.climb_took(id, rung, static_cast<double>(chance(1'000)));
    if (ladder_.measured(id, rung, bytes)) {
      if (ladder_.footprint(id)->at(rung) != bytes) complain("what was measured does not count");
      return;
    }
    if (bytes <= was || ladder_.used() != used)
      complain("what was measured was refused for nothing");
    send_away(id);
  }

  void change_budget() {
    Bytes budget = MiB(chance(900));
    if (chance(6) == 0) budget = {1};
    if (chance(4) == 0) budget = MiB(2'000);
    relieved(ladder_.set_budget(budget, now_));
  }
  void relieved(const Ladder::Relief& relief) {
    for (const auto& step : relief.descents) {
      go(step, true);
      for (Request& request : requests_) {
        if (request.stage == Stage::Waits) request.relies_on.insert(step.model);
      }
    }
    // whoever goes on waiting relies on all that goes
    for (const auto& [id, model] : models_) {
      if (!model.moves || model.to >= model.holds) continue;
      for (Request& request : requests_) {
        if (request.stage == Stage::Waits) request.relies_on.insert(id);
      }
    }
    for (const ModelId& id : relief.given_up) {
      for (Request& request : requests_) {
        if (request.model == id && request.stage == Stage::Waits) request.stage = Stage::Queued;
      }
    }
    for (const auto& holder : relief.holders_refused) holder_waits_.erase(holder);
  }

  void keep() {
    const ModelId id = any_model();
    Model& model = models_.at(id);
    model.kept = !model.kept;
    ladder_.keep(id, model.kept);
    if (chance(3) == 0) ladder_.set_keep_alive(id, milliseconds(chance(3) * 60'000));
    if (chance(3) == 0) ladder_.set_keep_alive(id, milliseconds(-1));
    if (chance(3) == 0) ladder_.set_keep_alive(id, std::nullopt);
  }

  void evict() {
    const ModelId id = any_model();
    const auto rung = static_cast<Rung>(chance(3));
    const Model& model = models_.at(id);
    auto step = ladder_.evict(id, rung);
    if (!step) {
      const bool climbs = model.moves && model.to == model.holds;
      if (model.pins.empty() && !climbs) complain(cat(id, " may not go: ", step.error().message));
      return;
    }
    for (Request& request : requests_) {
      if (request.model == id && (request.stage == Stage::Waits || request.stage == Stage::Climbs))
        request.stage = Stage::Queued;
    }
    if (step->from == step->to) return;
    if (step->kept != model.kept) complain(cat(id, ": it is not said that a person keeps it"));
    go(*step, true);
  }
  void send_away(const ModelId& id) {
    Model& model = models_.at(id);
    for (Request& request : requests_) {
      if (request.model == id && request.stage != Stage::Ended) request.stage = Stage::Queued;
    }
    model.pins.clear();
    auto step = ladder_.evict(id, Rung::Absent);
    if (!step) return complain(cat(id, " may not be sent away: ", step.error().message));
    if (step->from != step->to) go(*step, true);
  }

  void shed() {
    std::optional<Bytes> bytes;
    if (chance(2) == 0) bytes = MiB(chance(300));
    for (const auto& step : ladder_.shed(bytes, now_)) {
      if (step.to < Rung::Parked) complain("pressure sends a model away for good");
      go(step, true);
    }
    if (bytes) return;
    for (const auto& [id, model] : models_) {
      const bool waits = ladder_.seen(id, now_).move == Move::Waits;
      const Bytes frees = ladder_.footprint(id)->at(model.at) - ladder_.footprint(id)->parked;
      if (!model.moves && !waits && model.pins.empty() && model.at > Rung::Parked && frees.n > 0)
        complain(cat(id, " is idle and ", name(model.at), " under pressure"));
    }
  }

  void idle() {
    for (const auto& step : ladder_.idle_steps({}, now_)) {
      if (static_cast<int>(step.from) - static_cast<int>(step.to) != 1)
        complain("an idle model goes more than a rung down");
      go(step, false);
    }
  }

  void other_work() {
    const std::string holder = chance(2) == 0 ? "index" : "training";
    if (chance(3) == 0) {
      ladder_.release(holder);
      holders_.erase(holder);
      holder_waits_.erase(holder);
      return;
    }
    const Bytes bytes = MiB(chance(200));
    if (chance(2) == 0) {
      holder_waits_.erase(holder);
      if (ladder_.reserve(holder, bytes)) holders_[holder] = bytes;
      return;
    }
    auto plan = ladder_.plan_reserve(holder, bytes, now_);
    if (!plan) return;
    if (!ladder_.adopt(*plan)) return complain("a fresh plan is refused");
    for (const auto& step : plan->descents) go(step, false);
    holder_waits_[holder] = bytes;
  }

  // One that the world has left behind.
  void stale_plan() {
    auto plan = ladder_.plan(any_model(), Rung::Hot, now_);
    if (!plan) return;
    const uint64_t generation = ladder_.generation();
    ladder_.keep(any_model(), true);
    for (auto& [id, model] : models_) ladder_.keep(id, model.kept);
    if (ladder_.generation() == generation) complain("a change is no change");
    const std::string before = shown();
    if (ladder_.adopt(*plan)) complain("a stale plan is adopted");
    if (shown() != before) complain("a stale plan changes something");
  }

  void cancel() {
    if (requests_.empty()) return;
    Request& request = requests_[chance(requests_.size())];
    if (request.stage == Stage::Waits) ladder_.give_up(request.model);
    if (request.stage == Stage::Waits || request.stage == Stage::Queued) end(request);
  }
  void end(Request& request) {
    if (request.stage == Stage::Ended) complain("a request ends twice");
    request.stage = Stage::Ended;
    ended_++;
  }

  // --- how it goes on

  // A descent begins.
  void go(const Ladder::Step& step, bool kept_too) {
    Model& model = models_.at(step.model);
    if (!model.pins.empty()) complain(cat(step.model, " is in use and has to go"));
    if (model.kept && !kept_too) complain(cat(step.model, " is kept and has to go"));
    if (step.to >= model.holds) complain(cat(step.model, " goes down to where it is"));
    model.to = step.to;
    model.moves = true;
    model.due = now_ + milliseconds(chance(3'000));
  }
  void gone(const ModelId& id) {
    for (Request& request : requests_) request.relies_on.erase(id);
  }

  // Whatever is due, and then whatever may begin.
  void settle() {
    for (auto& [id, model] : models_) {
      if (model.moves && model.due <= now_) arrive(id, model);
    }
    for (Request& request : requests_) {
      if (request.stage == Stage::Computes && request.ends <= now_) {
        models_.at(request.model).pins.pop_back();
        end(request);
      }
    }
    if (chance(4) == 0) stale_.clear();
    if (ladder_.over_by().n > 0) relieved(ladder_.relieve(now_));
    std::erase_if(requests_, [](const Request& r) { return r.stage == Stage::Ended; });
    for (Request& request : requests_) {
      if (request.stage == Stage::Queued) attempt(request);
    }
    begin();
    check();
  }

  void arrive(const ModelId& id, Model& model) {
    const bool down = model.to < model.holds;
    if (!down && model.to == Rung::Hot && chance(2) == 0) ladder_.arrived(id, Rung::Parked);
    ladder_.arrived(id, model.to);
    model.at = model.holds = model.to;
    model.moves = false;
    if (down) return gone(id);
    for (Request& request : requests_) {
      if (request.model == id && request.stage == Stage::Climbs) compute(request);
    }
  }
  void compute(Request& request) {
    if (request.to != Rung::Hot) return end(request);
    auto pin = ladder_.pin(request.model, now_);
    if (!pin) return complain(cat(request.model, " is hot and cannot be pinned"));
    models_.at(request.model).pins.push_back(std::move(*pin));
    request.stage = Stage::Computes;
    request.ends = now_ + milliseconds(chance(20'000));
  }

  void attempt(Request& request) {
    const std::string before = shown();
    const uint64_t generation = ladder_.generation();
    auto plan = ladder_.plan(request.model, request.to, now_);
    if (shown() != before || ladder_.generation() != generation)
      complain("planning changes something");
    if (!plan) return refused(request, plan.error());
    if (plan->climb.from == plan->climb.to) return compute(request);
    if (!ladder_.adopt(*plan)) return complain("a fresh plan is refused");
    request.stage = Stage::Waits;
    for (const auto& step : plan->descents) go(step, false);
    for (const auto& [id, model] : models_) {
      if (model.moves && model.to < model.holds) request.relies_on.insert(id);
    }
  }
  void refused(Request& request, const Error& error) {
    if (error.code == Code::Busy) return;
    if (error.code != Code::NoRoom) return complain(error.message);
    const auto shortfall = ladder_.shortfall(request.model, request.to);
    if (!shortfall) return complain(cat("no room, but nothing is missing: ", error.message));
    if (shortfall->missing.n == 0) complain(cat("nothing is missing: ", error.message));
    const bool never = whole(request.model, request.to) > ladder_.budget();
    if (never != (shortfall->remedy == Ladder::Remedy::Never))
      complain(cat("whether it ever fits is wrong: ", error.message));
    if (shortfall->remedy != Ladder::Remedy::Wait) end(request);
  }
  Bytes whole(const ModelId& id, Rung rung) const { return ladder_.footprint(id)->whole(rung); }

  void begin() {
    const auto begun = ladder_.begin();
    for (const auto& step : begun.climbs) {
      Model& model = models_.at(step.model);
      if (step.from != model.at) complain(cat(step.model, " climbs from where it is not"));
      model.to = model.holds = step.to;
      model.moves = true;
      model.due = now_ + milliseconds(chance(3'000));
      for (Request& request : requests_) {
        if (request.model == step.model && request.stage == Stage::Waits)
          request.stage = Stage::Climbs;
      }
    }
    for (const auto& holder : begun.holders) {
      if (!holder_waits_.contains(holder)) complain(cat(holder, " never asked"));
      holders_[holder] = holder_waits_[holder];
      holder_waits_.erase(holder);
    }
    if (ladder_.over_by().n > 0 && !begun.climbs.empty()) complain("it climbs over the budget");
    for (const Request& request : requests_) {
      if (request.stage == Stage::Waits && request.relies_on.empty() && ladder_.over_by().n == 0)
        complain(cat(request.model, " waits, though all have gone that its plan sends away"));
    }
  }

  // --- what always holds

  Bytes held() const {
    Bytes sum;
    std::set<std::string> parts;
    for (const auto& [id, model] : models_) {
      const sched::Footprint& footprint = *ladder_.footprint(id);
      sum += footprint.at(model.holds);
      if (model.holds < Rung::Warm) continue;
      for (const auto& part : footprint.shared) {
        if (parts.insert(part.key).second) sum += part.bytes;
      }
    }
    for (const auto& [name, bytes] : holders_) sum += bytes;
    return sum;
  }

  void check() {
    const Bytes sum = held();
    if (ladder_.used() != sum)
      complain(cat("the ledger says ", ladder_.used().n, " B, and ", sum.n, " B are held"));
    const Bytes budget = ladder_.budget();
    if (sum > budget && (budget == budget_seen_ || budget > budget_seen_) && sum > held_seen_)
      complain(cat(sum, " is held, more than before, and the budget is ", budget));
    if (sum > budget && held_seen_ <= budget_seen_ && budget >= budget_seen_)
      complain(cat(sum, " is held, and the budget is ", budget));
    held_seen_ = sum;
    budget_seen_ = budget;
    for (const auto& [id, model] : models_) {
      const auto seen = ladder_.seen(id, now_);
      if (seen.in_use != !model.pins.empty())
        complain(cat(id, model.pins.empty() ? " is said to be in use" : " is in use, unknown"));
      if (!model.pins.empty() && model.holds != Rung::Hot) complain(cat(id, " is in use, not hot"));
      if (!model.moves && seen.at != model.at) complain(cat(id, " is said to be ", name(seen.at)));
    }
  }

  void evening() {
    for (auto& [id, model] : models_) ladder_.keep(id, model.kept = false);
    for (const char* holder : {"index", "training"}) ladder_.release(holder);
    holders_.clear();
    holder_waits_.clear();
    if (ladder_.budget() < MiB(200)) relieved(ladder_.set_budget(MiB(200 + chance(500)), now_));
    for (int i = 0; i < 2'000 && wrong_.empty() && (!requests_.empty() || anything_moves()); i++) {
      now_ += milliseconds(500);
      settle();
    }
    if (!requests_.empty())
      complain(cat(requests_.front().model, "'s request never ends; ", requests_.size(), " of ",
                   asked_, " are left; ", shown()));
    if (asked_ != ended_) complain(cat(asked_, " requests, and ", ended_, " ended"));
  }

  bool anything_moves() const {
    return std::any_of(models_.begin(), models_.end(),
                       [](const auto& m) { return m.second.moves; });
  }

  // Nobody computes: each model that fits alone gets to each rung, from wherever the others are.
  void all_get_their_turn() {
    for (int i = 0; i < 8 && wrong_.empty(); i++) {
      const ModelId id = any_model();
      const Rung rung = any_rung();
      const bool may = whole(id, rung) <= ladder_.budget();
      requests_.push_back({id, rung, Stage::Queued, {}, {}});
      for (int n = 0; n < 50 && !requests_.empty(); n++) {
        now_ += milliseconds(3'000);
        settle();
        if (may && !models_.at(id).moves && models_.at(id).at >= rung) break;
      }
      if (may && models_.at(id).at < rung && !models_.at(id).moves)
        complain(cat(id, " never gets to ", name(rung), "; ", shown()));
      while (!requests_.empty() && wrong_.empty()) {
        now_ += milliseconds(3'000);
        settle();
      }
    }
  }

  std::string shown() const {
    std::string all = cat("held ", ladder_.used().n, " promised ", ladder_.promised().n, " of ",
                          ladder_.budget().n);
    for (const auto& [id, model] : models_) {
      const auto seen = ladder_.seen(id, now_);
      all += cat("; ", id, " ", name(seen.at), "-", name(seen.to), " ", static_cast<int>(seen.move),
                 seen.in_use ? " in use" : "", " ", seen.held.n);
    }
    return all;
  }
  void complain(std::string what) {
    if (wrong_.empty()) wrong_ = cat("ladder: ", what);
  }

  std::mt19937_64 random_;
  sched::NextUse next_use_;
  Ladder ladder_;
  SteadyTime now_{};
  std::map<ModelId, Model> models_;
  std::vector<Ladder::Pin> stale_;
  std::vector<Request> requests_;
  std::map<std::string, Bytes> holders_, holder_waits_;
  uint64_t deaths_ = 0;
  size_t asked_ = 0, ended_ = 0;
  Bytes held_seen_, budget_seen_;
  std::string wrong_;
};

}  // namespace lares::sim
