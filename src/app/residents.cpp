#include "app/residents.h"

#include <algorithm>
#include <set>

#include "app/residents_resident.h"
#include "base/text.h"
#include "inventory/adapters.h"

namespace lares::app {

struct Residents::Inspection {
  std::string doing;
  std::unique_ptr<host::Worker> worker;
  std::function<void(Result<Json>)> done;
  Loop::TimerId limit = 0;
};

namespace {

// What the engine wants to be told of a model's use.
void add_arguments(const EngineChoice& engine, std::optional<inventory::Use> use,
                   std::vector<std::string>& arguments) {
  using inventory::Use;
  if (use == Use::Chat || use == Use::Completion) return;
  const auto& more = !use                  ? engine.projector_file_arguments
                     : use == Use::Rerank  ? engine.ranker_arguments
                     : use == Use::Adapter ? engine.adapter_arguments
                                           : engine.embedder_arguments;
  arguments.insert(arguments.end(), more.begin(), more.end());
}

}  // namespace

std::string_view name(Residents::State state) {
  switch (state) {
    case Residents::State::Absent: return "absent";
    case Residents::State::Starting: return "starting";
    case Residents::State::Loading: return "loading";
    case Residents::State::Ready: return "ready";
    case Residents::State::Stopping: return "stopping";
  }
  return "absent";
}

std::string how_to_mend(const inventory::Model& model, std::string_view fetcher) {
  const std::string file = cat("'", model.file.string(), "'");
  const bool chats = model.id.starts_with(inventory::kEmbedded);
  if (model.ours && !fetcher.empty() && (chats || model.id.starts_with(inventory::kEmbedder)))
    return cat("fetch its file anew with: rm -f ", file, " && ", fetcher, " models",
               chats ? "" : " embedder");
  return cat("put a good file in the place of ", file, ", or remove it with `lares models rm ",
             model.id, "`, which deletes ", model.ours ? "that file" : "no file");
}

Error from_worker(Error error) {
  switch (error.code) {
    case Code::Invalid:
    case Code::Busy:
    case Code::NoRoom:
    case Code::Cancelled:
    case Code::Timeout:
    case Code::Corrupt:
    case Code::Io:
    case Code::WorkerDied:
    case Code::TooLong:
    case Code::Unsupported: break;
    // what only the daemon can know
    case Code::NotFound:
    case Code::Denied:
    case Code::Offline: error.code = Code::Io; break;
  }
  error.message = utf8_repaired(error.message);
  if (error.message.size() > kWorkerErrorMax) {
    error.message.resize(kWorkerErrorMax);
    error.message.resize(error.message.size() - utf8_tail(error.message));
  }
  if (error.param.size() > 64) error.param.clear();
  return error;
}

Residents::Residents(Loop& loop, Log& log, inventory::Models& models, Spawn spawn, Options options,
                     Owner& owner)
    : loop_(loop),
      log_(log),
      models_(models),
      spawn_(std::move(spawn)),
      options_(std::move(options)),
      owner_(owner),
      ladder_(options_.budget, next_use_) {}

Residents::~Residents() = default;

Residents::Resident& Residents::at(const ModelId& model) { return residents_[model]; }

void Residents::set_engine(Result<EngineChoice> engine) {
  engine_ = std::move(engine);
  owner_.changed();
}

Bytes Residents::needs(const inventory::Model& model) const {
  return inventory::needs(model, options_.shape) + draft_for(model).bytes;
}

std::string Residents::quarantine_of(const Resident& resident) const {
  if (!resident.quarantined_until || now() >= *resident.quarantined_until) return "";
  const auto wait =
      std::chrono::ceil<std::chrono::seconds>(*resident.quarantined_until - now()).count();
  return cat("its worker died ", kDeathsMax, " times within ", kDeathsWithin.count() / 1000,
             " s and is not started again for ", wait, " s; the last time: ",
             resident.last_death ? resident.last_death->message.substr(0, 300) : "");
}

Result<> Residents::quarantine_over(const inventory::Model& model, Resident& resident) {
  if (const std::string why = quarantine_of(resident); !why.empty()) {
    return Error{Code::WorkerDied,
                 cat("model '", model.id, "': ", why,
                     "; choose another model, or retry then, or at once after `lares stop`; if it "
                     "goes on so, ",
                     how_to_mend(model, options_.fetcher))};
  }
  if (resident.quarantined_until) resident.deaths.clear();
  resident.quarantined_until.reset();
  return Unit{};
}

Result<Residents::Coming> Residents::ensure(const inventory::Model& model) {
  if (all_stopped_) return Error{Code::Offline, "the daemon is stopping"};
  Resident& resident = at(model.id);
  switch (resident.state) {
    case State::Ready: return climb(model, resident);
    case State::Starting:
    case State::Loading: return Coming::Soon;
    case State::Stopping: return Coming::NotNow;
    case State::Absent: break;
  }
  TRY(quarantine_over(model, resident));
  if (!engine_) return Coming::NotNow;
  if (!*engine_) return engine_->error();
  const Bytes bytes = needs(model);
  if (bytes > ladder_.budget()) {
    return Error{Code::NoRoom,
                 cat("loading '", model.id, "': needs ", bytes, ", but memory.budget allows ",
                     ladder_.budget(), " of this machine's ", options_.machine,
                     "; choose a smaller model or quantisation, or raise memory.budget")};
  }
  if (now() < resident.not_before) return Coming::NotNow;
  if (ladder_.seen(model.id, now()).move == sched::Ladder::Move::Rests) {
    resident.footprint = footprint(model, bytes);
    TRY(ladder_.know(model.id, resident.footprint));
    ladder_.keep(model.id, model.pinned);
  }
  return climb(model, resident);
}

Result<> Residents::start(const inventory::Model& model, Resident& resident) {
  const std::string doing = cat("loading '", model.id, "'");
  auto file = inventory::Models::open_file(model);
  if (!file) return std::move(file).error().within(doing);
  const EngineChoice& engine = **engine_;
  host::WorkerSpec spec{engine.program, engine.arguments, {}, model.id};
  add_arguments(engine, model.use, spec.arguments);
  spec.arguments.push_back(cat("--name=", model.id));
  if (engine.hands_model) spec.model = *std::move(file);
  if (model.projector && model.use == inventory::Use::Chat) {
    auto projector = inventory::Models::open_projector(model);
    if (!projector) return std::move(projector).error().within(doing);
    if (engine.hands_model) {
      spec.projector = *std::move(projector);
      spec.arguments.emplace_back("--projector");
    }
    spec.arguments.insert(spec.arguments.end(), engine.projector_arguments.begin(),
                          engine.projector_arguments.end());
  }
  offer_adapters(model, resident, engine.hands_model, spec);
  offer_draft(model, resident, engine.hands_model, spec);

  TRY(hand_lease(resident, spec));

  auto worker = spawn_(std::move(spec), [this, id = model.id](host::WorkerEvent event) {
    on_event(id, std::move(event));
  });
  if (!worker) {
    leave_lease(resident);
    return std::move(worker).error().within(doing);
  }
  resident.worker = *std::move(worker);
  if (resident.lease) options_.leases->set_pid(*resident.lease, resident.worker->pid());
  resident.state = State::Starting;
  resident.file_size = model.size + (model.projector ? model.projector->size : Bytes{});
  resident.seen.begun = now();
  resident.load_limit = loop_.after(kLoadMax, [this, id = model.id] {
    at(id).load_limit = 0;
    end(id, {Code::Timeout, cat("loading '", id, "': not done after ", kLoadMax.count() / 60'000,
                                " minutes; the file may be damaged, add it again")});
  });
  log_.info("worker started", {{"model", model.id},
                               {"pid", resident.worker->pid()},
                               {"reserved", ladder_.size_of(model.id)}});
  return Unit{};
}

Result<> Residents::hand_lease(Resident& resident, host::WorkerSpec& spec) {
  if (!options_.leases) return Unit{};
  auto joined = options_.leases->join();
  if (!joined) return std::move(joined).error().within(cat("loading '", spec.name, "'"));
  resident.lease = joined->first;
  spec.lease = std::move(joined->second.page);
  spec.bell = std::move(joined->second.bell);
  return Unit{};
}

void Residents::leave_lease(Resident& resident) {
  if (resident.lease) options_.leases->leave(*resident.lease);
  resident.lease.reset();
}

void Residents::allow(const ModelId& model, std::optional<Lane> best) {
  const Resident& resident = at(model);
  if (resident.lease) options_.leases->allow(*resident.lease, best);
}

// Descriptors cost nothing, and a worker that runs is never handed another: it gets those of all
// adapters that may go with its model.
void Residents::offer_adapters(const inventory::Model& model, Resident& resident, bool hand,
                               host::WorkerSpec& spec) {
  resident.offered.clear();
  resident.adapted.clear();
  resident.not_opened.clear();
  if (inventory::pools(model.use)) return;
  for (const inventory::Model* adapter :
       inventory::adapters_for(models_, model, resident.wanted, wire::kAdaptersMax)) {
    auto file = inventory::Models::open_file(*adapter);
    if (!file) {
      resident.not_opened.insert_or_assign(adapter->id, std::move(file).error());
      continue;
    }
    resident.offered.push_back(adapter->id);
    if (hand) spec.adapters.push_back(*std::move(file));
  }
  if (!spec.adapters.empty()) spec.arguments.push_back(cat("--adapters=", spec.adapters.size()));
}

// The model answers without it where it cannot draft.
void Residents::offer_draft(const inventory::Model& model, Resident& resident, bool hand,
                            host::WorkerSpec& spec) {
  const Draft draft = draft_for(model);
  resident.seen.draft = draft.name;
  resident.draft_size = {};
  if (!draft.refused.empty()) draft_refused(model.id, resident, draft.refused);
  if (!draft.model) return;
  auto file = inventory::Models::open_file(*draft.model);
  if (!file) {
    const std::string doing = cat("drafting for '", model.id, "' with '", draft.name, "'");
    return draft_refused(model.id, resident, std::move(file).error().within(doing).message);
  }
  resident.draft_size = draft.model->size;
  if (!hand) return;
  spec.draft = *std::move(file);
  spec.arguments.emplace_back("--draft");
}

void Residents::draft_refused(const ModelId& model, Resident& resident, std::string why) {
  resident.draft_size = {};
  resident.seen.draft_refused = std::move(why);
  log_.warn("a model answers without its draft model",
            {{"model", model}, {"why", resident.seen.draft_refused}});
}

Result<Residents::Adapting> Residents::adapt(const ModelId& model,
                                             const std::vector<std::string>& adapters) {
  Resident& resident = at(model);
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& name : adapters) {
    if (has(resident.offered, name)) continue;
    if (const auto why = resident.not_opened.find(name); why != resident.not_opened.end())
      return why->second;
    resident.wanted = adapters;
    return Adapting::Renew;
  }
  for (const std::string& name : adapters) {
    if (resident.adapted.contains(name)) continue;
    TRY_AS(const inventory::Model* adapter, models_.find(name));
    sched::Footprint more = resident.footprint;
    for (Bytes* const rung : {&more.parked, &more.warm, &more.hot}) *rung += adapter->size;
    if (!ladder_.know(model, more)) {
      return Error{Code::NoRoom,
                   cat("adapter '", name, "': needs ", adapter->size, " beside '", model, "', but ",
                       ladder_.used(), " of ", ladder_.budget(),
                       " is held; retry when another model has left, or raise memory.budget"),
                   "lora"};
    }
    resident.footprint = more;
    resident.adapted.insert(name);
  }
  return Adapting::Ready;
}

void Residents::on_event(const ModelId& model, host::WorkerEvent event) {
  const auto found = residents_.find(model);
  if (found == residents_.end() || !found->second.worker) return;
  Resident& resident = found->second;
  if (auto* ended = std::get_if<host::WorkerEnded>(&event))
    return on_ended(model, resident, std::move(*ended));
  if (resident.state == State::Stopping) return;  // what it still says does not matter
  if (auto* hello = std::get_if<wire::Hello>(&event)) {
    on_hello(model, resident, std::move(*hello));
  } else if (auto* loaded = std::get_if<wire::Loaded>(&event)) {
    on_loaded(model, resident, std::move(*loaded));
  } else if (auto* moved = std::get_if<wire::Moved>(&event)) {
    on_moved(model, resident, *moved);
  } else if (auto* progress = std::get_if<wire::Progress>(&event)) {
    resident.seen.load_fraction = progress->fraction;
  } else if (auto* frame = std::get_if<wire::Frame>(&event)) {
    owner_.frame(model, std::move(*frame));
  }
}

void Residents::on_hello(const ModelId& model, Resident& resident, wire::Hello hello) {
  if (resident.state != State::Starting)
    return end(model, {Code::Corrupt, "the worker said hello twice"});
  const bool sealed = std::any_of(hello.sandbox.begin(), hello.sandbox.end(),
                                  [](const std::string& s) { return s.starts_with("seccomp"); });
  if (!sealed) {
    return end(model,
               {Code::Unsupported, cat("loading '", model,
                                       "': the worker has no seccomp sandbox here, and "
                                       "without it no model file is opened; see `lares doctor`")});
  }
  resident.seen.hello = std::move(hello);
  resident.state = State::Loading;
  bool pools = false;
  for (const inventory::Model& known : models_.all()) {
    if (known.id == model) pools = inventory::pools(known.use);
  }
  wire::Load load{model,
                  options_.shape.context,
                  options_.shape.sequences,
                  options_.threads,
                  options_.shape.batch,
                  pools,
                  resident.offered,
                  options_.thinking_max.of(model),
                  options_.thinking_max.seconds};
  if (resident.draft_size.n > 0) load.draft = resident.seen.draft;
  if (auto sent = resident.worker->send(wire::to_frame(load)); !sent)
    end(model, std::move(sent).error());
}

void Residents::on_loaded(const ModelId& model, Resident& resident, wire::Loaded loaded) {
  if (resident.state != State::Loading)
    return end(model, {Code::Corrupt, "the worker loaded a model that it was not asked for"});
  const Bytes measured = claimed(loaded.memory_bytes);
  Bytes bytes = std::max(measured, resident.file_size) + inventory::kProcess;
  if (!loaded.draft_refused.empty())
    draft_refused(model, resident,
                  from_worker({Code::Invalid, std::move(loaded.draft_refused)}).message);
  if (resident.draft_size.n > 0) {
    Bytes& its = drafts_measured_[resident.seen.draft];
    its = std::max(claimed(loaded.draft_memory_bytes), resident.draft_size);
    bytes += its;
  }
  // what a dry run said when the file was looked into stays known
  for (const inventory::Model& known : models_.all()) {
    if (known.id == model && loaded.info.is_object() && known.info.contains("dry_run"))
      loaded.info["dry_run"] = known.info["dry_run"];
  }
  if (dump(loaded.info).size() > kInfoMax || !loaded.info.is_object()) {
    log_.warn("a model says too much of itself; it was not kept", {{"model", model}});
  } else if (auto kept = models_.set_info(
                 model, inventory::with_measured(std::move(loaded.info), options_.shape, measured));
             !kept) {
    log_.warn("what a model needs could not be kept",
              {{"model", model}, {"why", kept.error().message}});
  }
  resident.footprint.hot = bytes;
  resident.footprint.warm = std::min(resident.footprint.warm, bytes);
  resident.footprint.parked = std::min(resident.footprint.parked, bytes);
  const Bytes reserved = ladder_.size_of(model);
  const bool fits = ladder_.measured(model, Rung::Hot, bytes);
  ladder_.arrived(model, Rung::Hot);
  resident.rung = Rung::Hot;
  if (!fits) {
    // It took more than was reserved. Now its real size is known: once more, with that.
    log_.warn("a model took more memory than estimated",
              {{"model", model}, {"reserved", reserved}, {"took", bytes}});
    if (resident.measured_again)
      return end(model,
                 {Code::NoRoom, cat("loading '", model, "': it took ", bytes, ", more each time")});
    resident.measured_again = true;
    resident.climb_pin.reset();
    static_cast<void>(ladder_.evict(model, Rung::Absent));
    begin_stop(resident);
    return;
  }
  resident.measured_again = false;
  resident.state = State::Ready;
  resident.seen.ready = now();
  resident.seen.load_ms = ms_between(resident.seen.begun, now());
  loop_.cancel(std::exchange(resident.load_limit, 0));
  log_.info("model ready", {{"model", model},
                            {"load_ms", resident.seen.load_ms},
                            {"variant", resident.seen.hello.variant},
                            {"memory", bytes}});
  ladder_.climb_took(model, Rung::Parked,
                     std::max(1.0, static_cast<double>(resident.seen.load_ms)));
  watch_idle();
  owner_.loaded(model);        // whoever waited for it pins it now,
  resident.climb_pin.reset();  // before this
  begin_climbs();
  owner_.changed();
}

void Residents::on_ended(const ModelId& model, Resident& resident, host::WorkerEnded ended) {
  if (resident.state != State::Stopping) {
    const Lost lost = resident.state == State::Ready ? Lost::WhileReady : Lost::WhileLoading;
    const Error error = from_worker(std::move(ended.error));
    // a worker that says why it cannot load a file works as it should
    const bool refused =
        lost == Lost::WhileLoading && error.code != Code::WorkerDied && error.code != Code::Timeout;
    if (!refused) count_death(model, resident, error);
    owner_.lost(model, error, lost);
  }
  loop_.cancel(std::exchange(resident.load_limit, 0));
  leave_lease(resident);
  resident.climb_pin.reset();
  ladder_.died(model);
  resident.state = State::Absent;
  resident.rung = Rung::Absent;
  resident.seen = {};
  bury(std::move(resident.worker));
  check_all_stopped();
  if (!all_stopped_) begin_climbs();
  owner_.changed();
}

void Residents::count_death(const ModelId& model, Resident& resident, const Error& error) {
  auto& deaths = resident.deaths;
  deaths.push_back(now());
  while (deaths.front() + kDeathsWithin < now()) deaths.pop_front();
  resident.deaths_in_all++;
  resident.last_death = error;
  log_.warn("worker died", {{"model", model}, {"deaths", deaths.size()}, {"why", error.message}});
  if (deaths.size() >= kDeathsMax) {
    resident.quarantined_until = now() + kQuarantine;
    log_.error("a model's worker keeps dying; it is not started for a while", {{"model", model}});
  } else if (deaths.size() > 1) {
    resident.not_before = now() + kBackoff;
    loop_.after(kBackoff, [this] { owner_.changed(); });
  }
}

void Residents::begin_stop(Resident& resident) {
  assert(resident.worker);
  assert(resident.state != State::Stopping);
  loop_.cancel(std::exchange(resident.load_limit, 0));
  resident.state = State::Stopping;
  resident.worker->stop();
}

void Residents::end(const ModelId& model, Error error) {
  Resident& resident = at(model);
  if (!resident.worker || resident.state == State::Stopping) return;
  const Lost lost = resident.state == State::Ready ? Lost::WhileReady : Lost::WhileLoading;
  error = from_worker(std::move(error));
  count_death(model, resident, error);
  owner_.lost(model, error, lost);
  ladder_.give_up(model);
  begin_stop(resident);
  resident.worker->kill();
}

Result<> Residents::stop(const ModelId& model) {
  const auto found = residents_.find(model);
  if (found == residents_.end() || !found->second.worker || found->second.state == State::Stopping)
    return Unit{};
  return evict(model, Rung::Absent);
}

void Residents::forget(const ModelId& model) {
  const auto found = residents_.find(model);
  if (found == residents_.end()) return;
  if (!found->second.worker) {
    residents_.erase(found);
    return;
  }
  found->second.deaths.clear();
  found->second.quarantined_until.reset();
}

void Residents::stop_all(std::function<void()> done) {
  all_stopped_ = std::move(done);
  for (auto& [model, resident] : residents_) {
    if (resident.worker && resident.state != State::Stopping) begin_stop(resident);
  }
  while (!inspections_.empty())
    end_inspection(inspections_.begin()->first, Error{Code::Offline, "the daemon is stopping"});
  check_all_stopped();
}

void Residents::check_all_stopped() {
  if (!all_stopped_) return;
  for (const auto& [model, resident] : residents_) {
    if (resident.worker) return;
  }
  loop_.post_end([done = all_stopped_] { done(); });
  all_stopped_ = [] {};
}

sched::Ladder::Pin Residents::pin(const ModelId& model) {
  auto pin = ladder_.pin(model, now());
  assert(pin);
  return *std::move(pin);
}

std::vector<ModelId> Residents::to_drain(const inventory::Model& model) const {
  return ladder_.to_drain(model.id, Rung::Hot);
}

Error Residents::no_room(const inventory::Model& model) const {
  const std::string doing = cat("loading '", model.id, "'");
  auto plan = ladder_.plan(model.id, Rung::Hot, now());
  if (!plan && plan.error().code == Code::NoRoom) return std::move(plan).error();
  return {Code::NoRoom, cat(doing, ": the models that make room for it have not left yet; retry")};
}

Result<> Residents::send(const ModelId& model, wire::Frame frame) {
  Resident& resident = at(model);
  if (!resident.worker)
    return Error{Code::WorkerDied, cat("model '", model, "': its worker is gone")};
  return resident.worker->send(std::move(frame));
}

Residents::Seen Residents::seen(const ModelId& model) const {
  const auto found = residents_.find(model);
  if (found == residents_.end()) return {};
  Seen seen = found->second.seen;
  seen.state = found->second.state;
  seen.pid = found->second.worker ? found->second.worker->pid() : 0;
  seen.rung = found->second.rung;
  if (seen.state != State::Absent) {
    const auto place = ladder_.seen(model, now());
    seen.reserved = place.held;
    seen.to = place.to;
    seen.back_ms = place.back_ms;
    seen.pinned = place.kept;
    seen.used = place.used_at;
  }
  seen.quarantine = quarantine_of(found->second);
  if (found->second.lease) seen.lease = options_.leases->seen(*found->second.lease);
  return seen;
}

std::string Residents::died(const ModelId& model) const {
  const auto found = residents_.find(model);
  if (found == residents_.end() || !found->second.last_death) return "";
  const size_t times = found->second.deaths_in_all;
  return cat(
      "its worker died ", times, times == 1 ? " time" : " times",
      " since Lares began; the last time: ", found->second.last_death->message.substr(0, 300));
}

std::vector<ModelId> Residents::present() const {
  std::vector<ModelId> ids;
  for (const auto& [model, resident] : residents_) {
    if (resident.state != State::Absent) ids.push_back(model);
  }
  return ids;
}

void Residents::bury(std::unique_ptr<host::Worker> worker) {
  buried_.push_back(std::move(worker));
  if (buried_.size() == 1) loop_.post_end([this] { buried_.clear(); });
}

void Residents::inspect(Fd file, const std::string& name, std::optional<inventory::Use> use,
                        std::function<void(Result<Json>)> done) {
  const std::string doing = cat("reading '", name, "'");
  if (all_stopped_) return done(Error{Code::Offline, "the daemon is stopping"});
  if (!engine_)
    return done(Error{Code::Busy,
                      cat(doing, ": the engine is still being chosen; retry in a few seconds")});
  if (!*engine_) return done(engine_->error());
  if (inspections_.size() >= kInspectionsMax)
    return done(Error{Code::Busy, cat(doing, ": ", kInspectionsMax,
                                      " files are being read already; retry when one is done")});
  const EngineChoice& engine = **engine_;
  host::WorkerSpec spec{engine.program, engine.arguments, {}, name};
  add_arguments(engine, use, spec.arguments);
  spec.arguments.push_back(cat("--name=", name));
  if (engine.hands_model) spec.model = std::move(file);
  const uint64_t id = next_inspection_++;
  auto worker = spawn_(std::move(spec), [this, id](host::WorkerEvent event) {
    on_inspection(id, std::move(event));
  });
  if (!worker) return done(std::move(worker).error().within(doing));
  Inspection& inspection = inspections_[id];
  inspection.doing = doing;
  inspection.worker = *std::move(worker);
  inspection.done = std::move(done);
  inspection.limit = loop_.after(kInspectMax, [this, id, doing] {
    end_inspection(id,
                   Error{Code::Timeout, cat(doing, ": not done after ", kInspectMax.count() / 1000,
                                            " s; the file may be damaged")});
  });
}

void Residents::on_inspection(uint64_t id, host::WorkerEvent event) {
  const auto found = inspections_.find(id);
  if (found == inspections_.end()) return;
  if (std::holds_alternative<wire::Hello>(event)) {
    if (auto sent = found->second.worker->send(wire::to_frame(wire::Type::Inspect, 0)); !sent)
      end_inspection(id, std::move(sent).error());
  } else if (auto* loaded = std::get_if<wire::Loaded>(&event)) {
    if (!loaded->info.is_object() || dump(loaded->info).size() > kInfoMax)
      return end_inspection(id, Error{Code::Corrupt, cat("the file says more than ",
                                                         kInfoMax / 1024, " KiB of itself")});
    end_inspection(id, std::move(loaded->info));
  } else if (auto* ended = std::get_if<host::WorkerEnded>(&event)) {
    end_inspection(id, from_worker(std::move(ended->error)).within(found->second.doing));
  }
}

void Residents::end_inspection(uint64_t id, Result<Json> result) {
  const auto found = inspections_.find(id);
  if (found == inspections_.end()) return;
  Inspection inspection = std::move(found->second);
  inspections_.erase(found);
  loop_.cancel(inspection.limit);
  inspection.worker->kill();
  bury(std::move(inspection.worker));
  inspection.done(std::move(result));
}

}  // namespace lares::app
