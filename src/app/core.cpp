#include "app/core.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "api/media.h"
#include "app/answer_so_far.h"
#include "app/tool_fragments.h"
#include "base/text.h"
#include "host/conduct.h"
#include "inventory/adapters.h"
#include "wire/message.h"

namespace lares::app {

// One piece of work, from submit() to Ended.
struct Core::Doing {
  api::Work work;  // its body has moved to the payloads
  std::shared_ptr<api::Sink> sink;
  std::vector<std::string> payloads;  // of wire frames: one for each part, or one for all; kept
                                      // until it ends, for a worker that may have to begin again
  size_t inputs = 0;                  // of an embedding or a ranking
  wire::Type type = wire::Type::Generate;
  SteadyTime arrived;
  WallTime arrived_wall;

  route::Receipt receipt;
  ModelId model;
  std::vector<std::string> adapters;  // that it names
  bool media = false;                 // it has a picture or sound
  size_t ahead = 0;                   // requests that were before it in the queue
  unsigned handed = 0;
  unsigned ended = 0;
  unsigned deaths = 0;            // of workers that computed it
  std::deque<unsigned> again;     // the choices that were lost with one
  std::vector<AnswerSoFar> said;  // of each choice
  bool thinking_stopped = false;  // the person has read enough of the thoughts
  bool started = false;           // the sink knows
  bool waited_for_load = false;
  Loop::TimerId deadline = 0;
  Lane lane = Lane::Interactive;
  std::optional<Error> refused;  // found wrong before it reached the loop

  Tokens prompt_tokens = 0;
  Tokens reused_tokens = 0;
  Tokens counted_prompt = 0, counted_reused = 0;  // by the metrics; of the first answer
  std::vector<Tokens> written;       // of each choice: as its deltas say, and in the end its Done
  std::set<std::string> tools;       // that were offered
  std::vector<ToolFragments> calls;  // of each choice
  uint64_t reasoning_tokens = 0;
  // computed ahead, and how many of them came; of both, what a draft model said
  uint64_t drafted_tokens = 0, accepted_tokens = 0;
  uint64_t model_drafted_tokens = 0, model_accepted_tokens = 0;
  double prefill_ms = 0;  // of the first answer; the others share its prompt
  double cpu_ms = 0;      // of all answers
  Together decode;

  Tokens completion_tokens() const {
    uint64_t sum = 0;
    for (const Tokens tokens : written) sum += tokens;
    return static_cast<Tokens>(std::min<uint64_t>(sum, UINT32_MAX));
  }
};

namespace {

std::string_view kind_name(const api::Work& work) {
  if (work.body.contains("input_prefix")) return "infill";
  return work.kind == api::Work::Kind::Chat ? "chat" : "completion";
}

// The messages and the uses that belong to a kind of work, and its inputs.
wire::Type type_of(api::Work::Kind kind) {
  switch (kind) {
    case api::Work::Kind::Chat:
    case api::Work::Kind::Completion: return wire::Type::Generate;
    case api::Work::Kind::Embedding: return wire::Type::Embed;
    case api::Work::Kind::Rerank: return wire::Type::Rank;
  }
  return wire::Type::Generate;
}
inventory::Use use_of(api::Work::Kind kind) {
  switch (kind) {
    case api::Work::Kind::Chat:
    case api::Work::Kind::Completion: return inventory::Use::Chat;
    case api::Work::Kind::Embedding: return inventory::Use::Embedding;
    case api::Work::Kind::Rerank: return inventory::Use::Rerank;
  }
  return inventory::Use::Chat;
}
std::vector<std::string> adapters_of(const api::Work& work) {
  std::vector<std::string> names;
  const auto found = work.body.find("lora");
  if (found == work.body.end() || !found->is_array()) return names;
  for (const Json& each : *found) {
    if (each.is_object() && each.contains("id") && each["id"].is_string())
      names.push_back(each["id"].get<std::string>());
  }
  return names;
}
size_t inputs_of(const api::Work& work) {
  const auto found = work.body.find(work.kind == api::Work::Kind::Rerank ? "documents" : "inputs");
  return found != work.body.end() && found->is_array() ? found->size() : 0;
}

// The bytes that a worker gets for each answer. Answers of one request differ by their seeds.
std::vector<std::string> payloads_of(api::Work& work, uint32_t owner) {
  const Lane lane = lane_named(work.lane).value_or(Lane::Background);  // accept() refuses others
  if (work.kind == api::Work::Kind::Embedding)
    return {wire::to_frame(wire::Embed{std::move(work.body["inputs"]), lane, owner}, 0).payload};
  if (work.kind == api::Work::Kind::Rerank)
    return {wire::to_frame(wire::Rank{work.body.value("query", ""),
                                      std::move(work.body["documents"]), lane, owner},
                           0)
                .payload};
  const auto encode = [&] {
    return wire::to_frame(wire::Generate{std::string(kind_name(work)), work.body, lane, owner}, 0)
        .payload;
  };
  std::vector<std::string> payloads = {encode()};
  const auto seed = work.body.find("seed");
  if (work.choices == 1 || seed == work.body.end() || !seed->is_number_integer()) return payloads;
  const auto first = seed->get<int64_t>();
  for (unsigned choice = 1; choice < work.choices; choice++) {
    *seed = static_cast<int64_t>((static_cast<uint64_t>(first) + choice) & 0x7FFFFFFF);
    payloads.push_back(encode());
  }
  return payloads;
}

// Of a worker whose end may have nothing to do with what it computed, unlike one that spoke
// nonsense.
bool is_death(const Error& error) {
  return error.code == Code::WorkerDied || error.code == Code::Timeout;
}

Bytes size_of(const std::vector<std::string>& payloads) {
  Bytes size;
  for (const std::string& payload : payloads) size += Bytes{payload.size()};
  return size;
}

}  // namespace

Core::Core(Loop& loop, Log& log, inventory::Models models, route::Receipts receipts,
           Background& slow, Residents::Spawn spawn, Options options, Surroundings surroundings)
    : loop_(loop),
      log_(log),
      slow_(slow),
      models_(std::move(models)),
      receipts_(std::move(receipts)),
      options_(std::move(options)),
      surroundings_(std::move(surroundings)),
      residents_(loop, log, models_, spawn, options_.residents, *this),
      spawn_(std::move(spawn)),
      queue_(options_.background_share),
      begun_(loop.clock().now()) {}

Core::~Core() = default;

// ---- work comes and goes

api::WorkId Core::submit(api::Work work, std::shared_ptr<api::Sink> sink) {
  const api::WorkId id = next_work_++;
  auto doing = std::make_unique<Doing>();
  doing->sink = std::move(sink);
  doing->arrived = now();
  doing->arrived_wall = loop_.clock().wall();
  if (work.choices == 0 || work.choices > api::kChoicesMax) {
    doing->refused =
        Error{Code::Invalid, cat("n is ", work.choices, "; it takes 1 to ", api::kChoicesMax), "n"};
  } else {
    doing->type = type_of(work.kind);
    if (doing->type != wire::Type::Generate) {
      work.choices = 1;
      doing->inputs = inputs_of(work);
    }
    doing->adapters = adapters_of(work);
    if (const auto messages = work.body.find("messages"); messages != work.body.end())
      doing->media = api::has_media(*messages);
    if (const auto tools = work.body.find("tools"); tools != work.body.end()) {
      for (const Json& tool : *tools) doing->tools.insert(tool.value("name", ""));
    }
    // here, and not on the loop: a prompt may have megabytes
    doing->payloads = payloads_of(work, number_of(work.who));
    if (doing->payloads.front().size() > wire::kPayloadMax)
      doing->refused = Error{
          Code::Invalid, cat("the prompt takes ", grouped(doing->payloads.front().size()),
                             " bytes, at most ", grouped(wire::kPayloadMax), " can be passed on")};
  }
  work.body = nullptr;
  doing->written.resize(work.choices);
  doing->calls.resize(work.choices);
  doing->said.resize(work.choices);
  doing->work = std::move(work);

  // a shared_ptr because a refused task is destroyed, and the work in it must still end
  auto held = std::make_shared<std::unique_ptr<Doing>>(std::move(doing));
  if (!loop_.post([this, id, held] { accept(id, std::move(*held)); })) {
    loop_.post_end([this, id, held] {
      (*held)->refused =
          Error{Code::Busy, "the daemon has more to do than it can queue; retry in a few seconds"};
      accept(id, std::move(*held));
    });
  }
  return id;
}

// By which workers share their time among those who ask. 0 for all that are too many.
uint32_t Core::number_of(const consent::Principal& who) {
  const MutexLock lock(owners_mutex_);
  if (const auto known = owners_.find(who.id); known != owners_.end()) return known->second;
  if (owners_.size() >= kOwnersMax) return 0;
  const auto number = static_cast<uint32_t>(owners_.size() + 1);
  owners_.emplace(who.id, number);
  return number;
}

void Core::cancel(api::WorkId work) {
  loop_.post_end([this, work] {
    if (doing_.contains(work)) finish(work, Error{Code::Cancelled, "the request was cancelled"});
  });
}

Result<const inventory::Model*> Core::default_model(inventory::Use use) const {
  if (use == inventory::Use::Chat && !options_.models_default.empty()) {
    auto chosen = models_.find(options_.models_default);
    if (!chosen) return std::move(chosen).error().within("models.default");
    return chosen;
  }
  auto found = models_.default_for(use);
  if (found || options_.residents.fetcher.empty()) return found;
  Error error = std::move(found).error();
  error.message +=
      cat(", `", options_.residents.fetcher, " models",
          use == inventory::Use::Embedding ? " embedder" : "", "` fetches a small one");
  return error;
}

Result<const inventory::Model*> Core::model_for(const api::Work& work) const {
  using inventory::Use;
  const Use use = use_of(work.kind);
  if (work.model.empty() || work.model == "default") return default_model(use);
  TRY_AS(const inventory::Model* model, models_.find(work.model));
  const bool fits = use == Use::Chat ? !inventory::pools(model->use) : model->use == use;
  if (fits && model->use != Use::Adapter) return model;
  if (model->use == Use::Adapter) {
    return Error{Code::Invalid,
                 cat("'", model->id,
                     "' is an adapter and no model; name the model that it was made for, and the "
                     "adapter in 'lora'"),
                 "model"};
  }
  const auto other = default_model(use);
  const std::string instead = other ? cat("; '", (*other)->id, "' is one") : "";
  const std::string_view does = model->use == Use::Embedding ? "makes embeddings"
                                : model->use == Use::Rerank  ? "ranks documents"
                                                             : "is a chat model without pooling";
  const std::string_view lacks = use == Use::Embedding
                                     ? "makes no embeddings; name an embedding model"
                                 : use == Use::Rerank ? "does not rank; name a reranker"
                                                      : "does not chat; name a chat model";
  return Error{Code::Invalid, cat("model '", model->id, "' ", does, " and ", lacks, instead),
               "model"};
}

void Core::accept(api::WorkId id, std::unique_ptr<Doing> owned) {
  Doing& doing = *owned;
  doing_.emplace(id, std::move(owned));
  doing.receipt.id = "r-" + random_hex(8);
  doing.receipt.endpoint = doing.work.endpoint;
  doing.receipt.principal = doing.work.who.id;
  doing.receipt.started_unix_ms = unix_ms(doing.arrived_wall);
  if (stopping_)
    return finish(id, Error{Code::Offline, "the daemon is stopping; ask again when it is back"});
  if (doing.refused) return finish(id, *std::move(doing.refused));

  const auto lane = lane_named(doing.work.lane);
  if (!lane) {
    return finish(id, Error{Code::Invalid,
                            cat("priority is '", utf8_repaired(doing.work.lane.substr(0, 40)),
                                "'; choose interactive, agent or background"),
                            "lares.priority"});
  }
  auto found = model_for(doing.work);
  const auto missing = [](const auto& result) {
    return !result && result.error().code == Code::NotFound;
  };
  if (missing(found) ||
      (found && missing(inventory::adapters_named(models_, **found, doing.adapters)))) {
    models_.look_again();  // it may have been put into the folder meanwhile
    found = model_for(doing.work);
  }
  if (!found) return finish(id, std::move(found).error());
  const inventory::Model& model = **found;
  doing.model = model.id;
  doing.receipt.model = model.id;
  doing.receipt.why.push_back("place: local, because no cloud is configured");
  doing.receipt.why.push_back(doing.work.model.empty() || doing.work.model == "default"
                                  ? cat("model: '", model.id, "' is the default")
                                  : cat("model: '", model.id, "' was asked for"));

  if (doing.media && !model.projector) {
    return finish(
        id, Error{Code::Invalid,
                  cat("model '", model.id,
                      "' takes text only, and the request has a picture or sound; choose a model "
                      "whose 'inputs' in /v1/models have it, or add this one's projector: lares "
                      "models add ",
                      model.file.filename().string(), " --projector FILE"),
                  "messages"});
  }
  if (auto adapters = inventory::adapters_named(models_, model, doing.adapters); !adapters)
    return finish(id, std::move(adapters).error());
  for (const std::string& name : doing.adapters)
    doing.receipt.why.push_back(cat("adapter: '", name, "' was asked for"));

  doing.lane = *lane;
  const sched::Job job{
      id, model.id, *lane, doing.work.choices, size_of(doing.payloads), doing.receipt.principal};
  if (auto queued = queue_.add(job); !queued) return finish(id, std::move(queued).error());
  doing.ahead = queue_.ahead_of(id);
  doing.waited_for_load = residents_.seen(model.id).state != Residents::State::Ready;
  if (doing.work.deadline_ms > 0) {
    const int64_t limit = std::min(doing.work.deadline_ms, kDeadlineMaxMs);
    const auto left = std::max<int64_t>(0, limit - ms_between(doing.arrived, now()));
    doing.deadline = loop_.after(milliseconds(left), [this, id, limit] {
      finish(id, Error{Code::Timeout,
                       cat("the answer was not complete after ", limit,
                           " ms, its deadline_ms; allow more, or ask for less"),
                       "lares.deadline_ms"});
    });
  }
  pump();
}

// What the draft model did, where one was named.
void Core::explain_draft(Doing& doing) const {
  const Residents::Seen seen = residents_.seen(doing.model);
  if (seen.draft.empty()) return;
  doing.receipt.why.push_back(
      !seen.draft_refused.empty() ? cat("draft: none; ", seen.draft_refused)
      : doing.model_drafted_tokens == 0
          ? cat("draft: '", seen.draft, "' said nothing ahead, since it would not have paid")
          : cat("draft: '", seen.draft, "' said ", doing.model_drafted_tokens,
                " tokens ahead, of which ", doing.model_accepted_tokens, " came"));
}

void Core::complete_receipt(Doing& doing, const Ended& result) const {
  route::Receipt& receipt = doing.receipt;
  receipt.total_ms = ms_between(doing.arrived, now());
  receipt.cpu_ms = std::llround(doing.cpu_ms);
  receipt.prompt_tokens = doing.prompt_tokens;
  receipt.prompt_tokens_reused = doing.reused_tokens;
  receipt.completion_tokens = doing.completion_tokens();
  receipt.drafted_tokens = doing.drafted_tokens;
  receipt.accepted_tokens = doing.accepted_tokens;
  const Tokens computed = doing.prompt_tokens - std::min(doing.reused_tokens, doing.prompt_tokens);
  if (doing.prefill_ms > 0) receipt.prefill_tokens_per_s = computed * 1000.0 / doing.prefill_ms;
  // several answers at once say nothing of how fast one is
  if (doing.decode.ms() > 0 && doing.work.choices == 1)
    receipt.decode_tokens_per_s = doing.completion_tokens() * 1000.0 / doing.decode.ms();
  if (doing.type == wire::Type::Generate && doing.started && doing.prompt_tokens > 0)
    receipt.why.push_back(cat("reuse: ", doing.reused_tokens, " of ", doing.prompt_tokens,
                              " prompt tokens were in memory"));
  if (doing.type == wire::Type::Generate && doing.started) explain_draft(doing);
  if (!result) {
    receipt.outcome = row(result.error().code).name;
    receipt.error = result.error().message;
  }
}

void Core::finish(api::WorkId id, Ended result) {
  const auto found = doing_.find(id);
  assert(found != doing_.end());  // ends exactly once
  const std::unique_ptr<Doing> doing = std::move(found->second);
  doing_.erase(found);
  queue_.remove(id);
  if (doing->deadline) loop_.cancel(doing->deadline);
  if (doing->handed > doing->ended) {
    for (auto& [wire_id, part] : parts_) {
      if (part.work != id) continue;
      part.work = 0;
      // if it does not arrive, its worker is gone or does not read, and is noticed for that
      (void)residents_.send(part.model, wire::to_frame(wire::Type::Cancel, wire_id));
      part.limit = loop_.after(kCancelMax, [this, model = part.model, part_id = wire_id] {
        parts_.at(part_id).limit = 0;
        residents_.end(model, {Code::WorkerDied,
                               cat("model '", model, "': its worker did not stop an answer within ",
                                   kCancelMax.count() / 1000, " s of being told")});
      });
    }
  }
  complete_receipt(*doing, result);
  const route::Receipt& receipt = doing->receipt;
  log_.info("request ended", {{"id", receipt.id},
                              {"endpoint", receipt.endpoint},
                              {"model", receipt.model},
                              {"outcome", receipt.outcome},
                              {"total_ms", receipt.total_ms},
                              {"tokens", receipt.completion_tokens}});
  metrics_.ended(doing->lane, receipt);
  receipts_.add(receipt);
  api::Ended end{
      std::move(result),          receipt,           doing->prompt_tokens, doing->reused_tokens,
      doing->completion_tokens(), doing->prefill_ms, doing->decode.ms()};
  end.drafted_tokens = static_cast<Tokens>(std::min<uint64_t>(doing->drafted_tokens, UINT32_MAX));
  end.accepted_tokens = static_cast<Tokens>(std::min<uint64_t>(doing->accepted_tokens, UINT32_MAX));
  end.reasoning_tokens =
      static_cast<Tokens>(std::min<uint64_t>(doing->reasoning_tokens, end.completion_tokens));
  doing->sink->on(std::move(end));
  schedule_pump();
}

// ---- who is next

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

void Core::pump() {
  if (stopping_) return;
  bool room = true;  // whoever waits for room keeps those behind from taking it
  bool someone_blocked = false;
  for (const ModelId& id : in_order_of_room()) {
    auto model = models_.find(id);
    if (!model || (*model)->id != id) {
      fail_waiting(id, {Code::NotFound, cat("model '", id, "' was removed"), "model"});
      continue;
    }
    if (!room && residents_.seen(id).state == Residents::State::Absent) continue;
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
  parts_.emplace(wire_id, Part{id, choice, model, doing.lane, doing.receipt.principal, usual_ms,
                               residents_.pin(model), now()});
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
void Core::settle(const Part& part, const wire::Done& done) {
  if (!host::credible(done, now() - part.handed)) return;  // its worker is ended for that
  const double took_ms = done.cpu_ms;
  queue_.charge(part.owner, part.lane, took_ms - part.charged_ms);
  double& usual = usual_ms_[part.model];
  usual = usual > 0 ? 0.8 * usual + 0.2 * took_ms : took_ms;
}

// ---- what becomes of models

void Core::loaded(const ModelId& model) {
  // Even while it drains: whoever waited for it has its turn before it may be sent away again.
  hand_out(model);
}

void Core::lost(const ModelId& model, const Error& error, Residents::Lost lost) {
  std::map<api::WorkId, std::vector<unsigned>> works;
  for (auto it = parts_.begin(); it != parts_.end();) {
    if (it->second.model != model) {
      ++it;
      continue;
    }
    if (it->second.work != 0) works[it->second.work].push_back(it->second.choice);
    if (it->second.limit) loop_.cancel(it->second.limit);
    it = parts_.erase(it);
  }
  for (const auto& [id, choices] : works) {
    if (goes_on(id, choices, error)) continue;
    Doing& doing = *doing_.at(id);
    doing.ended = doing.handed;  // nothing is left to cancel
    finish(id, doing.deaths > kResumesMax ? too_often(doing, error) : error);
  }
  if (lost == Residents::Lost::WhileReady) return;
  for (const sched::JobId id : queue_.waiting_for(model)) {
    Doing& doing = *doing_.at(id);
    // one that waits to go on can wait for another
    if (doing.deaths > 0 && is_death(error) && ++doing.deaths <= kResumesMax) continue;
    finish(id, doing.deaths > kResumesMax ? too_often(doing, error) : error);
  }
}

// The worker that computed these parts of it is gone. Puts them back into the queue, so that the
// next worker goes on with them; false when that cannot be.
bool Core::goes_on(api::WorkId id, const std::vector<unsigned>& choices, const Error& error) {
  Doing& doing = *doing_.at(id);
  if (!is_death(error)) return false;
  size_t tokens = 0;
  for (const unsigned choice : choices) {
    if (!doing.said[choice].lost()) return false;
    tokens += doing.said[choice].tokens();
  }
  if (++doing.deaths > kResumesMax) return false;
  doing.receipt.why.push_back(
      tokens == 0 ? "worker: it died, and the next one computes this anew"
                  : cat("worker: it died, and the answer goes on with the next one after ", tokens,
                        tokens == 1 ? " token" : " tokens"));
  doing.again.insert(doing.again.end(), choices.begin(), choices.end());
  queue_.give_back({id, doing.model, doing.lane, static_cast<unsigned>(choices.size()),
                    size_of(doing.payloads), doing.receipt.principal});
  schedule_pump();
  return true;
}

Error Core::too_often(const Doing& doing, const Error& error) const {
  return {error.code,
          cat("model '", doing.model, "': ", doing.deaths,
              " of its workers died one after another while they computed this request, which is "
              "not tried again; change it, or choose another model; the last one: ",
              error.message)};
}

void Core::frame(const ModelId& model, wire::Frame frame) {
  const auto found = parts_.find(frame.id);
  if (found == parts_.end() || found->second.model != model) return;  // ended a moment ago
  Part& part = found->second;
  const auto type = static_cast<wire::Type>(frame.type);
  const bool ends = type == wire::Type::Done || type == wire::Type::Failed;
  const api::WorkId id = part.work;
  const unsigned choice = part.choice;
  const SteadyTime handed = part.handed;
  if (ends) {
    if (part.limit) loop_.cancel(part.limit);
    if (type == wire::Type::Done) {
      if (const auto done = wire::from_frame<wire::Done>(frame)) settle(part, *done);
    }
    parts_.erase(found);
    tell_lane(model);
    schedule_pump();
  }
  if (id == 0) return;  // nobody listens any more
  Doing& doing = *doing_.at(id);
  const auto broken = [&](const Error& error) {
    if (ends) finish(id, Error{Code::Corrupt, error.message});
    residents_.end(model,
                   {Code::Corrupt,
                    cat("model '", model, "': its worker broke the protocol: ", error.message)});
  };
  switch (type) {
    case wire::Type::Started: {
      auto started = wire::from_frame<wire::Started>(frame);
      if (!started) return broken(started.error());
      doing.said.at(choice).started(*started);
      if (!doing.started && started->thinking_max >= 0)
        doing.receipt.why.push_back(
            cat("thinking: at most ", grouped(started->thinking_max), " tokens"));
      report_started(doing, started->prompt_tokens);
      if (choice == 0) count_prompt(doing, started->reused_tokens, started->reused_tokens);
      return;
    }
    case wire::Type::Progress: {
      auto progress = wire::from_frame<wire::Progress>(frame);
      if (!progress) return broken(progress.error());
      // what is no number is nothing yet
      const double there = progress->fraction > 0 ? std::min(progress->fraction, 1.0) : 0;
      if (choice == 0) count_prompt(doing, static_cast<uint64_t>(there * doing.prompt_tokens), 0);
      return;
    }
    case wire::Type::Delta: {
      auto delta = wire::from_frame<wire::Delta>(frame);
      if (!delta) return broken(delta.error());
      auto told = doing.said.at(choice).heard(*std::move(delta));
      if (!told) return broken(told.error());
      if (auto passed = pass_on(doing, choice, *std::move(told)); !passed)
        return broken(passed.error());
      return;
    }
    case wire::Type::Done: {
      auto done = wire::from_frame<wire::Done>(frame);
      if (!done) return broken(done.error());
      if (auto can_be = host::credible(*done, now() - handed); !can_be)
        return broken(can_be.error());
      if (auto passed = pass_on(doing, choice, doing.said.at(choice).done()); !passed)
        return broken(passed.error());
      return on_done(id, doing, choice, *std::move(done));
    }
    case wire::Type::Failed: {
      auto failed = wire::from_frame<wire::Failed>(frame);
      if (!failed) return broken(failed.error());
      doing.ended++;
      return finish(id, from_worker(std::move(failed->error)));
    }
    case wire::Type::Hello:
    case wire::Type::Load:
    case wire::Type::Inspect:
    case wire::Type::Loaded:
    case wire::Type::Generate:
    case wire::Type::Embed:
    case wire::Type::Rank:
    case wire::Type::Resume:
    case wire::Type::Cancel:
    case wire::Type::StopThinking:
    case wire::Type::Beat:
    case wire::Type::Resolve:
    case wire::Type::Found:
    case wire::Type::Fetch:
    case wire::Type::Fetched:
    case wire::Type::Pulled:
    case wire::Type::Hash:
    case wire::Type::Hashed:
    case wire::Type::Shutdown: break;
  }
  broken({Code::Corrupt, cat("a message of type ", frame.type, " in an answer")});
}

void Core::report_started(Doing& doing, Tokens prompt_tokens) {
  if (doing.started) return;
  doing.started = true;
  doing.prompt_tokens = prompt_tokens;
  doing.sink->on(api::Started{doing.receipt.id, doing.model, prompt_tokens});
}

// Corrupt for a call that was not offered.
Result<> Core::pass_on(Doing& doing, unsigned choice, std::vector<wire::Delta> deltas) {
  for (wire::Delta& delta : deltas) {
    TRY(doing.calls.at(choice).check(delta.tool_calls, doing.tools));
    on_delta(doing, choice, std::move(delta));
  }
  return Unit{};
}

void Core::on_delta(Doing& doing, unsigned choice, wire::Delta delta) {
  report_started(doing, 0);
  if (doing.receipt.ttft_ms == 0)
    doing.receipt.ttft_ms = std::max<int64_t>(1, ms_between(doing.arrived, now()));
  Tokens& written = doing.written.at(choice);
  written += std::min(delta.tokens, UINT32_MAX - written);
  metrics_.wrote(doing.model, doing.lane, delta.tokens, now());
  if (choice == 0) count_prompt(doing, doing.prompt_tokens, 0);
  for (std::string* text : {&delta.text, &delta.reasoning}) {
    if (!is_utf8(*text)) *text = utf8_repaired(*text);
  }
  doing.sink->on(api::Delta{choice, std::move(delta.text), std::move(delta.logprobs),
                            std::move(delta.reasoning), std::move(delta.tool_calls)});
}

// So many tokens of its prompt are there by now, of which so many were reused, as far as is known.
// Another worker that begins anew says less for a while.
void Core::count_prompt(Doing& doing, uint64_t there, uint64_t reused) {
  const auto count = [&](Tokens& counted, uint64_t by_now) {
    const auto most = static_cast<Tokens>(std::min<uint64_t>(by_now, doing.prompt_tokens));
    const Tokens before = std::exchange(counted, std::max(counted, most));
    return counted - before;
  };
  const Tokens tokens = count(doing.counted_prompt, there);
  const Tokens again = count(doing.counted_reused, reused);
  if (tokens > 0 || again > 0) metrics_.read(doing.model, doing.lane, tokens, again);
}

void Core::on_done(api::WorkId id, Doing& doing, unsigned choice, wire::Done done) {
  report_started(doing, done.prompt_tokens);
  doing.ended++;
  doing.prompt_tokens = std::max(doing.prompt_tokens, done.prompt_tokens);
  if (choice == 0) doing.reused_tokens = std::min(done.reused_tokens, done.prompt_tokens);
  if (choice == 0) count_prompt(doing, doing.prompt_tokens, doing.reused_tokens);
  if (const Tokens told = doing.written.at(choice); done.completion_tokens > told)
    metrics_.wrote(doing.model, doing.lane, done.completion_tokens - told, now());
  doing.written.at(choice) = done.completion_tokens;
  if (choice == 0) doing.prefill_ms = std::max(0.0, done.prefill_ms);
  doing.cpu_ms += done.cpu_ms;
  doing.decode.add(now(), done.decode_ms);
  if (doing.type != wire::Type::Generate) {
    const bool ranks = doing.type == wire::Type::Rank;
    const size_t length =
        doing.inputs == 0 ? 0 : done.vectors.size() / sizeof(float) / doing.inputs;
    if (length == 0 || length > UINT32_MAX || (ranks && length != 1) ||
        done.input_tokens.size() != doing.inputs ||
        done.vectors.size() != length * sizeof(float) * doing.inputs)
      return finish(id, Error{Code::Corrupt, cat("model '", doing.model, "': ", done.vectors.size(),
                                                 " bytes of ", ranks ? "scores" : "vectors",
                                                 " for ", doing.inputs, " texts make no sense")});
    doing.receipt.outcome = ranks ? "ranked" : "embedded";
    doing.sink->on(api::Embedded{std::move(done.vectors), static_cast<uint32_t>(length),
                                 std::move(done.input_tokens)});
    return finish(id, Unit{});
  }
  const bool called = done.reason == "tool_calls" && doing.calls.at(choice).calls() > 0;
  const std::string reason = done.reason == "length" ? "length" : called ? "tool_calls" : "stop";
  const Tokens reasoning = std::min(done.reasoning_tokens, done.completion_tokens);
  doing.reasoning_tokens += reasoning;
  doing.drafted_tokens += done.drafted_tokens;
  doing.accepted_tokens += std::min(done.accepted_tokens, done.drafted_tokens);
  doing.model_drafted_tokens += done.model_drafted_tokens;
  doing.model_accepted_tokens += std::min(done.model_accepted_tokens, done.model_drafted_tokens);
  if (choice == 0) doing.receipt.outcome = done.reason == "repeats" ? "repeats" : reason;
  doing.sink->on(
      api::ChoiceDone{choice, reason, utf8_repaired(done.stop), done.completion_tokens, reasoning});
  if (doing.ended == doing.work.choices) finish(id, Unit{});
}

// Of the caller's own answers only: another's is not there.
void Core::stop_thinking(const Json& arguments, const api::Reply& reply) {
  std::string id = arguments.value("id", "");
  const std::string_view hex = std::string_view(id).substr(std::min(id.size(), id.rfind('-') + 1));
  const std::string receipt = cat("r-", hex);
  const std::string who = arguments.value("who", "");
  for (const auto& [work, doing] : doing_) {
    if (doing->receipt.id != receipt || doing->receipt.principal != who) continue;
    doing->thinking_stopped = true;  // for a worker that has to begin again
    for (const auto& [wire_id, part] : parts_) {
      if (part.work != work) continue;
      if (auto sent =
              residents_.send(part.model, wire::to_frame(wire::Type::StopThinking, wire_id));
          !sent)
        return reply(std::move(sent).error());
    }
    return reply(Json::object());
  }
  reply(Error{Code::NotFound,
              cat("there is no answer '", utf8_repaired(id.substr(0, 64)),
                  "' of yours on its way; its id stands in the first piece of its stream"),
              "id"});
}

// ---- beginning and end

void Core::set_engine(Result<EngineChoice> engine) {
  residents_.set_engine(std::move(engine));
  preload();
  loop_.after(kLookAfter, [this] { look_inside(); });
}

void Core::set_restraint(const sched::Restraint::Decision& decision) {
  restraint_ = decision;
  log_.info("computing is restrained", {{"why", decision.why.empty() ? "no longer" : decision.why},
                                        {"threads", decision.threads},
                                        {"worst_lane", name(decision.worst)}});
}

void Core::set_address(std::string address) {
  surroundings_.status["address"] = std::move(address);
}

void Core::set_pulls(Background& disk, Pulls::Options options) {
  pulls_ = std::make_unique<Pulls>(loop_, log_, disk, spawn_, std::move(options),
                                   static_cast<Pulls::Owner&>(*this));
  pulls_->resume();
}

void Core::preload() {
  if (!options_.models_preload || stopping_ || !residents_.present().empty()) return;
  auto model = default_model(inventory::Use::Chat);
  if (!model) return;
  if (auto coming = residents_.ensure(**model); !coming)
    log_.warn("the default model was not loaded in advance", {{"why", coming.error().message}});
}

namespace {

// Looking into a file forgets nothing of what loading it has shown.
Json with_what_was_measured(const inventory::Models& models, const ModelId& id, Json info) {
  for (const inventory::Model& model : models.all()) {
    if (model.id != id) continue;
    for (const char* own : {"measured", "memory"}) {
      if (model.info.contains(own)) info[own] = model.info[own];
    }
  }
  return info;
}

}  // namespace

// Files that were put into the folder by hand are known by their names only. One after another they
// are read, each in a worker that is thrown away.
void Core::look_inside() {
  if (stopping_) return;
  for (const inventory::Model& model : models_.all()) {
    if (model.projector && model.projector->info.empty() && look_inside_projector(model)) return;
    // one that was looked at by an earlier version told less
    const auto& engine = residents_.engine();
    const bool reads = engine && *engine && (**engine).hands_model;
    const bool known = !model.info.empty() && (!reads || model.info.contains("work") ||
                                               model.use == inventory::Use::Adapter);
    if (known || looked_inside_.contains(model.id)) continue;
    if (residents_.seen(model.id).state != Residents::State::Absent)
      continue;  // it tells by itself
    looked_inside_.insert(model.id);
    auto file = inventory::Models::open_file(model);
    if (!file) continue;  // whoever asks for it will hear
    residents_.inspect(
        *std::move(file), model.id, model.use, [this, id = model.id](const Result<Json>& info) {
          if (!info && info.error().code == Code::Busy) {
            looked_inside_.erase(id);
            loop_.after(kLookAfter, [this] { look_inside(); });
            return;
          }
          if (!info) {
            log_.warn("a model's file cannot be used",
                      {{"model", id}, {"why", info.error().message}});
          } else if (auto kept = models_.set_info(id, with_what_was_measured(models_, id, *info));
                     !kept) {
            log_.warn("what a model says of itself could not be kept",
                      {{"model", id}, {"why", kept.error().message}});
          }
          look_inside();
        });
    return;
  }
}

// True: a worker reads it, and look_inside() goes on behind it.
bool Core::look_inside_projector(const inventory::Model& model) {
  const std::string key = cat(model.id, " ", model.projector->file.string());
  if (looked_inside_.contains(key)) return false;
  looked_inside_.insert(key);
  auto file = inventory::Models::open_projector(model);
  if (!file) return false;
  inspect_projector(model.projector->file, *std::move(file),
                    [this, key, id = model.id](const Result<inventory::Projector>& read) {
                      if (!read && read.error().code == Code::Busy) {
                        looked_inside_.erase(key);
                        loop_.after(kLookAfter, [this] { look_inside(); });
                        return;
                      }
                      if (!read) {
                        log_.warn("a model's projector cannot be used",
                                  {{"model", id}, {"why", read.error().message}});
                      } else if (auto kept = models_.set_projector_info(id, read->info); !kept) {
                        log_.warn("what a projector says of itself could not be kept",
                                  {{"model", id}, {"why", kept.error().message}});
                      }
                      look_inside();
                    });
  return true;
}

void Core::shut_down(std::function<void()> done) {
  stopping_ = true;
  while (!doing_.empty())
    finish(doing_.begin()->first,
           Error{Code::Offline, "the daemon is stopping; ask again when it is back"});
  for (auto& [wire_id, part] : parts_) {
    if (part.limit) loop_.cancel(part.limit);
  }
  parts_.clear();
  if (pulls_) pulls_->stop_all();
  receipts_.flush();
  residents_.stop_all(std::move(done));
}

}  // namespace lares::app
