#include "app/core.h"

#include <algorithm>

#include "api/media.h"
#include "app/core_doing.h"
#include "base/text.h"
#include "host/conduct.h"
#include "inventory/adapters.h"
#include "wire/message.h"

namespace lares::app {
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

}  // namespace

Bytes size_of(const std::vector<std::string>& payloads) {
  Bytes size;
  for (const std::string& payload : payloads) size += Bytes{payload.size()};
  return size;
}

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
