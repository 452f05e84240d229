// How models walk up and down in memory: what sched/ladder.h decided is told to their workers, and
// what they say of it comes back.
#include <algorithm>
#include <cmath>

#include "app/residents.h"
#include "app/residents_resident.h"
#include "base/text.h"
#include "inventory/info.h"

namespace lares::app {

// Towards hot: those that have to make room for it descend, and it climbs when they have arrived.
Result<Residents::Coming> Residents::climb(const inventory::Model& model, Resident& resident) {
  using Move = sched::Ladder::Move;
  const auto how_far = [&] {
    const auto seen = ladder_.seen(model.id, now());
    if (seen.move == Move::Descends) return Coming::NotNow;
    if (seen.move == Move::Waits || seen.to < Rung::Hot) return Coming::NoRoom;
    return resident.state == State::Ready ? Coming::Ready : Coming::Soon;
  };
  if (const auto seen = ladder_.seen(model.id, now());
      seen.move == Move::Rests && seen.at < Rung::Hot) {
    const auto plan = ladder_.plan(model.id, Rung::Hot, now());
    if (!plan) return Coming::NoRoom;
    if (!ladder_.adopt(*plan)) return Coming::NotNow;
    resident.seen.evicted_for_it.clear();
    for (const sched::Ladder::Step& step : plan->descents) {
      log_.info("model makes room",
                {{"model", step.model}, {"rung", name(step.to)}, {"for", model.id}});
      resident.seen.evicted_for_it.push_back(step.model);
      descend(step);
    }
  }
  begin_climbs();
  if (resident.not_started) return *std::exchange(resident.not_started, std::nullopt);
  return how_far();
}

void Residents::descend(const sched::Ladder::Step& step, bool for_others) {
  Resident& resident = at(step.model);
  if (resident.state == State::Stopping) return;  // its process is about to be gone
  if (step.to == Rung::Absent) return begin_stop(resident);
  if (auto sent = resident.worker->send(wire::to_frame(wire::Move{step.to, for_others})); !sent)
    end(step.model, std::move(sent).error());
}

Result<> Residents::evict(const ModelId& model, Rung to) {
  const auto found = residents_.find(model);
  if (found == residents_.end() || !found->second.worker || found->second.state == State::Stopping)
    return Unit{};
  if (found->second.state != State::Ready)
    return Error{Code::Busy, cat("model '", model, "' is being loaded; retry when it is there")};
  TRY_AS(const sched::Ladder::Step step, ladder_.evict(model, to));
  if (step.from != step.to) descend(step);
  return Unit{};
}

void Residents::relieve(std::string_view why) {
  for (const sched::Ladder::Step& step : ladder_.shed(std::nullopt, now())) {
    log_.warn("memory is short; a model rests",
              {{"model", step.model}, {"rung", name(step.to)}, {"why", why}});
    descend(step, true);
  }
}

void Residents::keep_alive(const ModelId& model, std::optional<int64_t> seconds) {
  ladder_.set_keep_alive(model,
                         seconds ? std::optional(milliseconds(1'000 * *seconds)) : std::nullopt);
}

void Residents::keep(const ModelId& model, bool pinned) {
  const auto known = ladder_.models();
  if (std::find(known.begin(), known.end(), model) != known.end()) ladder_.keep(model, pinned);
}

void Residents::begin_climbs() {
  for (const sched::Ladder::Step& step : ladder_.begin().climbs) {
    Resident& resident = at(step.model);
    if (step.to == Rung::Hot) resident.climb_pin.emplace(*ladder_.pin(step.model, now()));
    if (resident.state == State::Ready) {
      if (auto sent = resident.worker->send(wire::to_frame(wire::Move{step.to})); !sent)
        end(step.model, std::move(sent).error());
      continue;
    }
    auto started = [&]() -> Result<> {
      TRY_AS(const inventory::Model* const model, models_.find(step.model));
      return start(*model, resident);
    }();
    if (started) continue;
    resident.climb_pin.reset();
    ladder_.died(step.model);
    resident.not_started = std::move(started).error();
    loop_.post_end([this] { owner_.changed(); });
  }
}

void Residents::want(const std::vector<ModelId>& models) {
  for (const ModelId& id : ladder_.models()) {
    if (ladder_.seen(id, now()).move != sched::Ladder::Move::Waits) continue;
    if (std::find(models.begin(), models.end(), id) == models.end()) ladder_.give_up(id);
  }
}

// As far as it is known before the model has stood on these rungs.
sched::Footprint Residents::footprint(const inventory::Model& model, Bytes bytes) const {
  const auto parts = model.info.find("memory");
  const Bytes copied = parts == model.info.end() || !parts->is_object()
                           ? Bytes{}
                           : Bytes{inventory::count_in(*parts, "copied_bytes")};
  sched::Footprint footprint;
  footprint.hot = bytes;
  footprint.parked = std::min(bytes, inventory::kProcess + copied);
  footprint.warm = std::min(bytes, footprint.parked + model.size);
  // until they were measured: a process with its tokenizer, pages of a file in the cache, buffers
  footprint.parked_ms = 300;
  footprint.warm_ms = 1 + static_cast<double>(model.size.n) / 10e6;
  footprint.hot_ms = 20;
  return footprint;
}

void Residents::on_moved(const ModelId& model, Resident& resident, const wire::Moved& moved) {
  const auto seen = ladder_.seen(model, now());
  const bool expected =
      seen.move == sched::Ladder::Move::Climbs || seen.move == sched::Ladder::Move::Descends;
  if (!expected || moved.rung != seen.to)
    return end(model, {Code::Corrupt, cat("the worker says that it is ", name(moved.rung),
                                          ", and was told to be ", name(seen.to))});
  const Bytes bytes = claimed(moved.memory_bytes) + inventory::kProcess;
  const double ms = std::isfinite(moved.ms) ? std::max(moved.ms, 0.0) : 0;
  const bool fits = moved.rung == Rung::Hot || ladder_.measured(model, moved.rung, bytes);
  if (seen.move == sched::Ladder::Move::Climbs) ladder_.climb_took(model, moved.rung, ms);
  ladder_.arrived(model, moved.rung);
  if (moved.rung == Rung::Hot) {
    resident.seen.came_from = resident.rung;
    resident.seen.came_back = now();
  }
  resident.rung = moved.rung;
  resident.seen.last_move_ms = ms;
  log_.info("model moved",
            {{"model", model}, {"rung", name(moved.rung)}, {"ms", ms}, {"memory", bytes}});
  resident.climb_pin.reset();
  if (!fits) {
    log_.warn("a model holds more than is left for it, and goes farther down", {{"model", model}});
    static_cast<void>(evict(model, moved.rung == Rung::Warm ? Rung::Parked : Rung::Absent));
  }
  begin_climbs();  // who waited for this room
  owner_.changed();
}

Result<sched::Ladder::Plan> Residents::plan(const inventory::Model& model, Bytes bytes) const {
  if (seen(model.id).state != State::Absent) return ladder_.plan(model.id, Rung::Hot, now());
  return ladder_.plan_reserve(model.id, bytes, now());
}

void Residents::watch_idle() {
  if (idle_timer_ != 0 || all_stopped_ || present().empty()) return;
  idle_timer_ = loop_.after(kIdleLook, [this] {
    idle_timer_ = 0;
    for (const sched::Ladder::Step& step : ladder_.idle_steps(options_.idle, now())) {
      log_.info("model rests", {{"model", step.model}, {"rung", name(step.to)}});
      descend(step);
    }
    watch_idle();
  });
}

}  // namespace lares::app
