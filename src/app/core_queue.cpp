// Which request is next, and what it is handed to its worker as.
#include <algorithm>
#include <cmath>

#include "app/core_doing.h"
#include "base/places.h"
#include "base/text.h"
#include "host/conduct.h"
#include "wire/message.h"

namespace lares::app {

void Core::schedule_pump() {
  if (pump_scheduled_) return;
  pump_scheduled_ = true;
  loop_.post_end([this] {
    pump_scheduled_ = false;
    pump();
  });
}

SteadyTime Core::arrived(api::WorkId id) const { return doing_.at(id)->arrived; }
Lane Core::lane_of(api::WorkId id) const { return doing_.at(id)->lane; }

size_t Core::computing(const ModelId& model) const {
  return static_cast<size_t>(std::count_if(parts_.begin(), parts_.end(), [&](const auto& entry) {
    return entry.second.model == model;
  }));
}

std::vector<sched::JobId> Core::waiting_for(const ModelId& model) const {
  std::vector<sched::JobId> ids = queue_.waiting_for(model);
  for (const auto& [wire_id, part] : parts_) {
    if (part.model != model || part.work == 0 || part.begun) continue;
    if (std::find(ids.begin(), ids.end(), part.work) == ids.end()) ids.push_back(part.work);
  }
  return ids;
}

void Core::pump() {
  if (stopping_) return;
  residents_.want(queue_.models());
  bool room = true;  // whoever waits for room keeps those behind from taking it
  bool someone_blocked = false;
  for (const ModelId& id : in_order_of_room()) {
    auto model = models_.find(id);
    if (!model || (*model)->id != id) {
      fail_waiting(id, {Code::NotFound, cat("model '", id, "' was removed"), "model"});
      continue;
    }
    if (!room && residents_.seen(id).rung < Rung::Hot) continue;
    auto coming = residents_.ensure(**model);
    if (!coming) {
      fail_waiting(id, coming.error());
      continue;
    }
    if (*coming == Residents::Coming::Ready && !draining_.contains(id)) hand_out(id);
    if (*coming == Residents::Coming::NoRoom) {
      room = false;
      someone_blocked = true;
      watch_blocked(**model);
    }
  }
  if (!someone_blocked && !blocked_.empty()) {
    blocked_.clear();
    draining_.clear();
    loop_.cancel(std::exchange(blocked_timer_, 0));
    schedule_pump();  // those that drained may go on
  }
}

// The models that somebody waits for, the one first that may take others' room: by the lane of its
// best request, but first of all whichever has waited too long for a part of it to be handed out.
std::vector<ModelId> Core::in_order_of_room() {
  std::vector<ModelId> ids = queue_.models();
  std::erase_if(unserved_since_, [&](const auto& entry) {
    return std::find(ids.begin(), ids.end(), entry.first) == ids.end();
  });
  for (const ModelId& id : ids) unserved_since_.try_emplace(id, now());
  const auto longest = std::min_element(ids.begin(), ids.end(), [&](const auto& a, const auto& b) {
    return unserved_since_.at(a) < unserved_since_.at(b);
  });
  if (longest != ids.end() && now() - unserved_since_.at(*longest) >= kRoomTurnAfter)
    std::rotate(ids.begin(), longest, longest + 1);
  return ids;
}

// The first model that waits for room: after a while nobody else begins on the models that would
// have to go, and after a long while its requests end.
void Core::watch_blocked(const inventory::Model& model) {
  if (blocked_ != model.id) {
    blocked_ = model.id;
    blocked_since_ = now();
    draining_.clear();
    loop_.cancel(std::exchange(blocked_timer_, 0));
  }
  const auto waited = now() - blocked_since_;
  if (waited >= kRoomWaitMax) {
    const Error error = residents_.no_room(model);
    blocked_.clear();
    draining_.clear();
    return fail_waiting(model.id, error);
  }
  if (waited >= kDrainAfter) {
    const std::vector<ModelId> ids = residents_.to_drain(model);
    draining_ = {ids.begin(), ids.end()};
  }
  if (blocked_timer_ == 0) {
    const auto next = waited >= kDrainAfter ? kRoomWaitMax : kDrainAfter;
    const auto left = std::chrono::ceil<milliseconds>(next - waited);
    blocked_timer_ = loop_.after(left, [this] {
      blocked_timer_ = 0;
      pump();
    });
  }
}

void Core::fail_waiting(const ModelId& model, const Error& error) {
  for (const sched::JobId id : queue_.waiting_for(model)) finish(id, error);
}

// True: somebody waits for an adapter that this worker was not handed. Nobody begins on it any
// more, and when it is at rest it is started again.
bool Core::must_renew(const ModelId& model) {
  for (const sched::JobId id : queue_.waiting_for(model)) {
    const Doing& doing = *doing_.at(id);
    if (doing.adapters.empty()) continue;
    auto ready = residents_.adapt(model, doing.adapters);
    if (!ready) {
      finish(id, std::move(ready).error());
    } else if (*ready == Residents::Adapting::Renew) {
      // a load pin may hold it for a moment; changed() comes when it is gone
      if (computing(model) == 0) static_cast<void>(static_cast<bool>(residents_.stop(model)));
      return true;
    }
  }
  return false;
}

void Core::hand_out(const ModelId& model) {
  if (must_renew(model)) return;
  const size_t places = options_.residents.shape.sequences;
  // One that may be what its workers died of is not to take others down that had the same luck.
  const auto may = [&](api::WorkId id) {
    return !suspected(id) || std::none_of(parts_.begin(), parts_.end(), [&](const auto& entry) {
      const Part& part = entry.second;
      return part.model == model && part.work != id && suspected(part.work);
    });
  };
  size_t open = computing(model);
  while (open < places) {
    const auto id = queue_.take(model, may);
    if (!id) return;
    if (hand_part(model, *id)) open++;
  }
  // all are taken: the worker gives some of those that wait another one's place
  for (;;) {
    const Places<std::string> taken = places_of(model);
    const auto id = queue_.take(model, may, [&](api::WorkId waiting) {
      const Doing& doing = *doing_.at(waiting);
      return taken.giver(doing.lane, doing.receipt.principal).has_value();
    });
    if (!id) return;
    hand_part(model, *id);
  }
}

Places<std::string> Core::places_of(const ModelId& model) const {
  Places<std::string> places(options_.residents.shape.sequences);
  for (const auto& [id, part] : parts_) {
    if (part.model == model) places.has_one(part.lane, part.owner);
  }
  for (const sched::JobId id : queue_.waiting_for(model)) {
    const Doing& doing = *doing_.at(id);
    places.waits(doing.lane, doing.receipt.principal);
  }
  return places;
}

// False: the work ended instead.
bool Core::hand_part(const ModelId& model, api::WorkId id) {
  Doing& doing = *doing_.at(id);
  const bool again = !doing.again.empty();
  const unsigned choice = again ? doing.again.front() : doing.handed;
  if (choice == 0 && !again) {
    residents_.asked(doing.receipt.principal, model);
    residents_.keep_alive(model, doing.work.keep_alive_s);
    const Residents::Seen seen = residents_.seen(model);
    const int64_t before = ms_between(doing.arrived, now());
    if (doing.waited_for_load) {
      doing.receipt.load_ms =
          std::min(before, ms_between(std::max(seen.begun, doing.arrived), seen.ready));
      std::string why =
          cat("load: waited ", doing.receipt.load_ms, " ms while '", model, "' was loaded");
      for (const ModelId& victim : seen.evicted_for_it)
        why += cat(", '", victim, "' made room for it");
      doing.receipt.why.push_back(std::move(why));
    }
    if (seen.rung < Rung::Hot) {
      doing.receipt.why.push_back(cat("memory: '", model, "' was ", name(seen.rung),
                                      " and is brought back, in about ",
                                      std::llround(std::max(seen.back_ms, 1.0)), " ms"));
    } else if (seen.came_back >= doing.arrived && seen.came_from < Rung::Hot) {
      doing.receipt.why.push_back(cat("memory: '", model, "' was ", name(seen.came_from),
                                      " and came back in ",
                                      std::llround(std::max(seen.last_move_ms, 1.0)), " ms"));
    }
    doing.receipt.queue_ms = before - doing.receipt.load_ms;
    doing.receipt.why.push_back(
        doing.ahead == 0 && doing.receipt.queue_ms < 2 ? "queue: did not wait"
        : doing.ahead == 0 ? cat("queue: waited ", doing.receipt.queue_ms, " ms")
                           : cat("queue: waited ", doing.receipt.queue_ms, " ms behind ",
                                 doing.ahead, doing.ahead == 1 ? " request" : " requests"));
  }
  wire::Frame frame = frame_of(doing, choice);
  if (frame.payload.size() > wire::kPayloadMax) {
    finish(id,
           Error{Code::WorkerDied, cat("model '", model, "': its worker died, and the prompt with ",
                                       doing.said[choice].tokens(),
                                       " tokens of the answer is too long to pass on; ask again")});
    return false;
  }
  unserved_since_.erase(model);
  const uint64_t wire_id = frame.id = next_wire_id_++;
  const double usual_ms = usual_ms_[model];
  queue_.charge(doing.receipt.principal, doing.lane, usual_ms);
  parts_.emplace(wire_id,
                 Part{id, choice, model, doing.lane, doing.receipt.principal, usual_ms,
                      residents_.pin(model), now(), 0, doing.type != wire::Type::Generate});
  tell_lane(model);  // before it can ask for its turn
  auto sent = residents_.send(model, std::move(frame));
  // one that died a moment ago is about to be told of, and then this goes on with the next
  if (!sent && sent.error().code != Code::WorkerDied) {
    parts_.erase(wire_id);
    tell_lane(model);
    finish(id, std::move(sent).error());
    return false;
  }
  if (again)
    doing.again.pop_front();
  else
    doing.handed++;
  if (doing.thinking_stopped)
    (void)residents_.send(model, wire::to_frame(wire::Type::StopThinking, wire_id));
  return true;
}

// What asks for an answer, from its beginning or from where another worker left it.
wire::Frame Core::frame_of(const Doing& doing, unsigned choice) {
  const std::string& payload = doing.payloads[doing.payloads.size() > 1 ? choice : 0];
  const AnswerSoFar& said = doing.said[choice];
  if (!said.begun()) return {static_cast<uint8_t>(doing.type), 0, payload};
  return wire::to_frame(said.resume(payload, doing.lane, number_of(doing.work.who)), 0);
}

// Its next worker is the last that it may have.
bool Core::suspected(api::WorkId id) const {
  const auto found = doing_.find(id);
  return found != doing_.end() && found->second->deaths == kResumesMax;
}

// The best lane of what a model's worker computes decides how soon its turn comes.
void Core::tell_lane(const ModelId& model) { residents_.allow(model, best_lane(model)); }

std::optional<Lane> Core::best_lane(const ModelId& model) const {
  std::optional<Lane> best;
  for (const auto& [wire_id, part] : parts_) {
    if (part.model != model || part.work == 0) continue;
    best = best ? std::min(*best, part.lane) : part.lane;
  }
  return best;
}

// What a part took in place of what was thought.
void Core::settle(const Part& part, double took_ms, bool whole) {
  // a worker that cannot have taken so long is ended for it
  if (!host::credible({.cpu_ms = took_ms}, now() - part.handed)) return;
  queue_.charge(part.owner, part.lane, took_ms - part.charged_ms);
  if (!whole) return;  // what was cancelled says nothing of what others take
  double& usual = usual_ms_[part.model];
  usual = usual > 0 ? 0.8 * usual + 0.2 * took_ms : took_ms;
}

}  // namespace lares::app
