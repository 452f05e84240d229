// Core's answers to the questions of /lares/v1 (api/service.h lists them). One function for each.

#include <algorithm>
#include <array>
#include <cmath>

#include "app/core.h"
#include "app/pull_files.h"
#include "base/text.h"
#include "inventory/catalogue.h"
#include "inventory/templates.h"

namespace lares::app {
namespace {

std::string text_in(const Json& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found != arguments.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What its chat template is known as; null for a model without one.
Json template_of(const Json& info) {
  const std::string digest = text_in(info, "template_sha256");
  if (digest.empty()) return nullptr;
  const std::string_view known = inventory::known_template(digest);
  return {{"sha256", digest}, {"known", known.empty() ? Json() : Json(known)}};
}

}  // namespace

Core::Answer Core::answer_named(std::string_view question) {
  struct Row {
    std::string_view name;
    Answer answer;
  };
  static constexpr std::array kAnswers = {
      Row{"answers.stop_thinking", &Core::stop_thinking},
      Row{"models.list", &Core::models_list},
      Row{"models.show", &Core::models_show},
      Row{"models.add", &Core::models_add},
      Row{"models.rm", &Core::models_rm},
      Row{"models.pin", &Core::models_pin},
      Row{"models.evict", &Core::models_evict},
      Row{"models.find", &Core::models_find},
      Row{"catalogue", &Core::catalogue},
      Row{"plan", &Core::plan},
      Row{"pulls.add", &Core::pulls_add},
      Row{"pulls.list", &Core::pulls_list},
      Row{"pulls.show", &Core::pulls_show},
      Row{"pulls.cancel", &Core::pulls_cancel},
      Row{"pulls.stop", &Core::pulls_stop},
      Row{"ps", &Core::ps},
      Row{"metrics", &Core::metrics},
      Row{"why", &Core::why},
      Row{"receipts", &Core::receipts},
      Row{"doctor", &Core::doctor},
      Row{"status", &Core::status},
      Row{"config", &Core::config},
      Row{"stop", &Core::stop},
  };
  for (const Row& row : kAnswers) {
    if (row.name == question) return row.answer;
  }
  return nullptr;
}

void Core::ask(const std::string& question, Json arguments, api::Reply reply) {
  const Answer answer = answer_named(question);
  auto run = [this, question, answer, arguments = std::move(arguments), reply] {
    const auto other = surroundings_.more.find(question);
    if (!answer && other != surroundings_.more.end()) {
      in_background([ask = other->second, arguments] { return ask(arguments); }, reply);
    } else if (!answer) {
      reply(Error{Code::NotFound, cat("there is no question '", question.substr(0, 80), "'")});
    } else {
      (this->*answer)(arguments, reply);
    }
  };
  if (loop_.post(std::move(run))) return;
  loop_.post_end([reply] {
    reply(Error{Code::Busy, "the daemon has more to do than it can queue; retry in a few seconds"});
  });
}

// Runs what may block, and brings the answer back to the loop.
void Core::in_background(std::function<Result<Json>()> work, const api::Reply& reply) {
  const bool taken = slow_.post([this, work = std::move(work), reply] {
    // shared, because a std::function must be copyable and a Result of Json is large
    auto result = std::make_shared<Result<Json>>(work());
    loop_.post_end([reply, result] { reply(std::move(*result)); });
  });
  if (!taken)
    reply(Error{Code::Busy, "too many such questions wait already; retry in a few seconds"});
}

namespace {

Json shown_projector(const inventory::Model& model) {
  if (!model.projector) return nullptr;
  const Json about = model.projector->info.value("projector", Json::object());
  return {{"file", model.projector->file.string()},
          {"size_bytes", model.projector->size.n},
          {"kind", about.is_object() ? about.value("kind", Json()) : Json()}};
}

}  // namespace

Json Core::shown(const inventory::Model& model) const {
  const Residents::Seen seen = residents_.seen(model.id);
  const auto standard = default_model(model.use);
  Json info = model.info;
  // the parts that other answers show in words
  for (const char* own : {"measured", "memory", "work", "dry_run", "template"}) info.erase(own);
  return {
      {"id", model.id},
      {"title", inventory::title_of(model)},
      {"use", inventory::use_name(model.use)},
      {"default", model.use != inventory::Use::Adapter && standard && (*standard)->id == model.id},
      {"size_bytes", model.size.n},
      {"needs_bytes", residents_.needs(model).n},
      {"file", model.file.string()},
      {"ours", model.ours},
      {"pinned", model.pinned},
      {"inputs", inventory::inputs_of(model)},
      {"projector", shown_projector(model)},
      {"info", std::move(info)},
      {"template", template_of(model.info)},
      {"sampling", inventory::recommended_sampling(model.id)},
      {"state", seen.quarantine.empty() ? name(seen.state) : "quarantined"},
      {"added_unix", model.added_unix}};
}

void Core::models_list(const Json&, const api::Reply& reply) {
  models_.look_again();
  Json all = Json::array();
  for (const inventory::Model& model : models_.all()) all.push_back(shown(model));
  reply(std::move(all));
}

void Core::models_show(const Json& arguments, const api::Reply& reply) {
  const auto model = models_.find(text_in(arguments, "name"));
  if (!model) return reply(model.error());
  Json answer = shown(**model);
  if (answer["template"].is_object())
    answer["template"]["text"] = text_in((*model)->info, "template");
  if (!pulls_) return reply(std::move(answer));
  in_background(
      [answer = std::move(answer), file = pulls_->besides((*model)->id)]() mutable -> Result<Json> {
        answer["pulled"] = read_besides(file);
        return std::move(answer);
      },
      reply);
}

void Core::models_add(const Json& arguments, const api::Reply& reply) {
  const std::filesystem::path file = text_in(arguments, "file");
  const std::string id = text_in(arguments, "name");
  if (!file.is_absolute())
    return reply(Error{Code::Invalid, "file must be a path that begins with '/'", "file"});
  const std::filesystem::path projector = text_in(arguments, "projector");
  if (!projector.empty() && !projector.is_absolute())
    return reply(
        Error{Code::Invalid, "projector must be a path that begins with '/'", "projector"});
  add_files(file, id, projector, reply);
}

// Both are looked into in workers that are thrown away. Opening may block (a network's disk), so it
// is not done on the loop.
void Core::add_files(const std::filesystem::path& file, const std::string& id,
                     std::filesystem::path projector, const api::Reply& reply) {
  struct Opened {
    std::filesystem::path projector;  // given, or found beside the file
    std::optional<Result<Fd>> model, second;
  };
  const bool taken = slow_.post([this, file, id, projector = std::move(projector), reply] {
    const auto open = [](const std::filesystem::path& path) {
      inventory::Model candidate;
      candidate.id = path.filename().string();
      candidate.file = path;
      return inventory::Models::open_file(candidate);
    };
    auto opened = std::make_shared<Opened>();
    opened->projector = projector;
    if (projector.empty() && !inventory::is_projector_name(file.filename().string()))
      opened->projector = inventory::projector_beside(file).value_or("");
    opened->model = open(file);
    if (!opened->projector.empty()) opened->second = open(opened->projector);
    loop_.post_end([this, file, id, reply, opened] {
      if (!*opened->model) return reply(opened->model->error());
      if (opened->second && !*opened->second) return reply(opened->second->error());
      const auto add = [this, file, id, reply](Json info,
                                               std::optional<inventory::Projector> more) {
        const auto added = models_.add(file, id, std::move(info), std::move(more));
        if (!added) return reply(added.error());
        log_.info("model added", {{"model", (*added)->id}});
        reply(shown(**added));
      };
      residents_.inspect(**std::move(opened->model), file.filename().string(), inventory::Use::Chat,
                         [this, opened, reply, add](Result<Json> info) {
                           if (!info) return reply(std::move(info).error());
                           if (!opened->second || info->value("type", "") == "projector")
                             return add(*std::move(info), std::nullopt);
                           inspect_projector(
                               opened->projector, **std::move(opened->second),
                               [add, reply, info = *info](Result<inventory::Projector> read) {
                                 if (!read) return reply(std::move(read).error());
                                 add(info, *std::move(read));
                               });
                         });
    });
  });
  if (!taken) reply(Error{Code::Busy, "too many files are being read; retry in a few seconds"});
}

void Core::inspect_projector(const std::filesystem::path& file, Fd opened,
                             std::function<void(Result<inventory::Projector>)> done) {
  std::error_code failed;
  const Bytes size{std::filesystem::file_size(file, failed)};
  residents_.inspect(std::move(opened), file.filename().string(), std::nullopt,
                     [file, size, done = std::move(done)](Result<Json> info) {
                       if (!info) return done(std::move(info).error());
                       if (auto good = inventory::check_projector(file, *info); !good)
                         return done(std::move(good).error());
                       done(inventory::Projector{file, size, *std::move(info)});
                     });
}

void Core::models_rm(const Json& arguments, const api::Reply& reply) {
  const std::string named = text_in(arguments, "name");
  if (named.empty()) return reply(Error{Code::Invalid, "name the model to remove", "name"});
  const auto found = models_.find(named);
  if (!found) return reply(found.error());
  const ModelId id = (*found)->id;
  if (lower(named) == inventory::kDefaultName) {
    return reply(Error{Code::Invalid,
                       cat("removing '", inventory::kDefaultName, "': this stands for '", id,
                           "' now, and only a model's own name removes it"),
                       "name"});
  }
  // a beginning is enough to ask a model, not to delete one
  if (id != lower(named)) {
    return reply(
        Error{Code::NotFound,
              cat("no model '", utf8_repaired(named.substr(0, 80)), "'; did you mean '", id, "'?"),
              "name"});
  }
  const std::string doing = cat("removing '", id, "'");
  if (computing(id) > 0)
    return reply(Error{Code::Busy, cat(doing, ": it is answering; retry when it has")});
  const Residents::State state = residents_.seen(id).state;
  if (state == Residents::State::Starting || state == Residents::State::Loading)
    return reply(Error{Code::Busy, cat(doing, ": it is being loaded; retry when it is there")});
  if (auto removed = models_.remove(id); !removed) return reply(std::move(removed).error());
  if (auto stopped = residents_.stop(id); !stopped)  // only one that loads would not stop
    return reply(std::move(stopped).error().within(doing));
  residents_.forget(id);
  if (pulls_) pulls_->forget_model(id);
  log_.info("model removed", {{"model", id}});
  schedule_pump();  // whoever waited for it hears of it
  reply(Json::object());
}

// Of one that is pinned already, or is no more: the same answer.
void Core::models_pin(const Json& arguments, const api::Reply& reply) {
  const auto found = models_.find(text_in(arguments, "name"));
  if (!found) return reply(found.error());
  const inventory::Model& model = **found;
  if (model.use == inventory::Use::Adapter)
    return reply(Error{
        Code::Invalid,
        cat("'", model.id, "' is an adapter, which stays as long as its model; pin that"), "name"});
  const bool pinned = arguments.value("pinned", true);
  if (pinned && residents_.needs(model) > residents_.ladder().budget())
    return reply(Error{Code::NoRoom, cat("pinning '", model.id, "': it needs ",
                                         residents_.needs(model), ", and memory.budget is ",
                                         residents_.ladder().budget(), "; raise that")});
  const ModelId id = model.id;
  if (auto set = models_.set_pinned(id, pinned); !set) return reply(std::move(set).error());
  residents_.keep(id, pinned);
  log_.info(pinned ? "model pinned" : "model unpinned", {{"model", id}});
  reply(Json{{"model", id}, {"pinned", pinned}, {"rung", name(residents_.seen(id).rung)}});
}

void Core::models_evict(const Json& arguments, const api::Reply& reply) {
  const auto found = models_.find(text_in(arguments, "name"));
  if (!found) return reply(found.error());
  const ModelId id = (*found)->id;
  const std::string word = arguments.value("rung", std::string("absent"));
  const auto rung = rung_named(word);
  if (!rung || *rung == Rung::Hot)
    return reply(Error{Code::Invalid,
                       cat("'rung' is '", utf8_repaired(word.substr(0, 40)),
                           "', but must be one to walk down to: absent, parked or warm"),
                       "rung"});
  const Residents::Seen before = residents_.seen(id);
  if (auto gone = residents_.evict(id, *rung); !gone)
    return reply(std::move(gone).error().within(cat("evicting '", id, "'")));
  log_.info("model evicted", {{"model", id}, {"rung", name(*rung)}});
  reply(Json{{"model", id},
             {"from", name(before.rung)},
             {"to", name(std::min(before.rung, *rung))},
             {"held_bytes", before.reserved.n}});
}

void Core::models_find(const Json&, const api::Reply& reply) {
  in_background(
      [person = surroundings_.person]() -> Result<Json> {
        Json all = Json::array();
        for (const inventory::Found& found : inventory::find_elsewhere(person)) {
          all.push_back({{"program", found.program},
                         {"name", found.name},
                         {"file", found.file.string()},
                         {"size_bytes", found.size.n}});
        }
        return all;
      },
      reply);
}

namespace {

Error no_pulls() {
  return {Code::Unsupported, "this daemon pulls no models; is lares-egress installed?"};
}

}  // namespace

void Core::inspect_pulled(Fd file, const std::string& name, Pulls::Inspected done) {
  residents_.inspect(std::move(file), name, inventory::Use::Chat, std::move(done));
}

Result<Json> Core::add_pulled(const std::filesystem::path& file, const std::string& id, Json info) {
  TRY_AS(const inventory::Model* model, models_.add(file, id, std::move(info)));
  schedule_pump();
  return shown(*model);
}

bool Core::has_model(const std::string& id) const {
  const auto& all = models_.all();
  return std::any_of(all.begin(), all.end(), [&](const auto& model) { return model.id == id; });
}

void Core::pulls_add(const Json& arguments, const api::Reply& reply) {
  if (!pulls_) return reply(no_pulls());
  reply(pulls_->add(text_in(arguments, "source"), text_in(arguments, "name"),
                    text_in(arguments, "sha256")));
}

void Core::pulls_list(const Json&, const api::Reply& reply) {
  reply(pulls_ ? pulls_->list() : Json::array());
}

void Core::pulls_show(const Json& arguments, const api::Reply& reply) {
  reply(pulls_ ? pulls_->show(text_in(arguments, "id")) : no_pulls());
}

void Core::pulls_cancel(const Json& arguments, const api::Reply& reply) {
  reply(pulls_ ? pulls_->cancel(text_in(arguments, "id")) : no_pulls());
}

void Core::pulls_stop(const Json& arguments, const api::Reply& reply) {
  reply(pulls_ ? pulls_->stop(text_in(arguments, "id")) : no_pulls());
}

void Core::ps(const Json&, const api::Reply& reply) {
  Json all = Json::array();
  for (const ModelId& id : residents_.present()) {
    const Residents::Seen seen = residents_.seen(id);
    const auto lane = best_lane(id);
    const std::vector<sched::JobId> waiting = waiting_for(id);
    const auto begun = std::count_if(parts_.begin(), parts_.end(), [&](const auto& entry) {
      return entry.second.model == id && entry.second.begun;
    });
    all.push_back(
        {{"model", id},
         {"state", name(seen.state)},
         {"rung", name(seen.rung)},
         {"to_rung", name(seen.to)},
         {"back_ms", std::round(seen.back_ms)},
         {"idle_s", seen.used == SteadyTime{} ? Json() : Json(ms_between(seen.used, now()) / 1000)},
         {"pinned", seen.pinned},
         {"pid", seen.pid},
         {"memory_bytes", seen.reserved.n},
         {"requests", begun},
         {"lane", lane ? Json(name(*lane)) : Json()},
         {"tokens_per_s", metrics_.tokens_per_s(id, now())},
         {"waiting", waiting.size()},
         {"waiting_ms", longest_wait_ms(waiting)},
         {"paused", restraint_.worst < Lane::Background ? Json(restraint_.why) : Json()},
         {"device_ms", seen.lease.held.count()},
         {"device_wait_ms", seen.lease.waited.count()},
         {"variant", seen.hello.variant},
         {"draft", seen.draft.empty() ? Json() : Json(seen.draft)},
         {"draft_refused", seen.draft_refused.empty() ? Json() : Json(seen.draft_refused)},
         {"load_ms", seen.load_ms},
         {"up_s", ms_between(seen.begun, now()) / 1000}});
  }
  reply(std::move(all));
}

// How long the first of them has waited.
int64_t Core::longest_wait_ms(const std::vector<sched::JobId>& waiting) const {
  int64_t longest = 0;
  for (const sched::JobId id : waiting) longest = std::max(longest, ms_between(arrived(id), now()));
  return longest;
}

void Core::metrics(const Json&, const api::Reply& reply) {
  Metrics::Now seen;
  seen.memory_used = residents_.ladder().used();
  seen.memory_budget = residents_.ladder().budget();
  if (const Leases* leases = options_.residents.leases) seen.lane_held = leases->lane_held();
  std::vector<ModelId> ids = residents_.present();
  for (const ModelId& id : queue_.models()) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  for (const ModelId& id : ids) {
    const Residents::Seen resident = residents_.seen(id);
    Metrics::Now::Model model{id, resident.reserved, {}, {}, {}, resident.lease};
    for (const auto& [wire_id, part] : parts_)
      model.computing[static_cast<size_t>(part.lane)] += part.model == id && part.begun ? 1 : 0;
    for (const sched::JobId waiting : waiting_for(id)) {
      const auto lane = static_cast<size_t>(lane_of(waiting));
      model.waiting[lane]++;
      model.longest_wait[lane] =
          std::max(model.longest_wait[lane], milliseconds(ms_between(arrived(waiting), now())));
    }
    seen.models.push_back(std::move(model));
  }
  reply(Json{{"text", metrics_.text(seen)}});
}

void Core::why(const Json& arguments, const api::Reply& reply) {
  const auto receipt = receipts_.find(text_in(arguments, "id"));
  if (!receipt) return reply(receipt.error());
  reply(route::to_json(**receipt));
}

void Core::receipts(const Json& arguments, const api::Reply& reply) {
  size_t limit = 20;
  if (const auto given = arguments.find("limit");
      given != arguments.end() && given->is_number_unsigned())
    limit = std::min<size_t>(given->get<size_t>(), kAskedReceiptsMax);
  Json all = Json::array();
  for (const route::Receipt* receipt : receipts_.newest(limit))
    all.push_back(route::to_json(*receipt));
  reply(std::move(all));
}

void Core::doctor(const Json&, const api::Reply& reply) {
  receipts_.flush();  // for whoever has just made room, and asks again
  DoctorFacts facts{models_.all(),
                    {},
                    residents_.engine(),
                    residents_.ladder().budget(),
                    residents_.ladder().used(),
                    surroundings_.status.value("address", ""),
                    receipts_.written()};
  if (pulls_) facts.pulls = pulls_->running();
  facts.restraint = restraint_.why;
  facts.background_waits = restraint_.worst < Lane::Background;
  for (const ModelId& id : residents_.present())
    facts.workers.emplace_back(id, residents_.seen(id).hello);
  for (const inventory::Model& model : models_.all()) {
    if (std::string why = residents_.seen(model.id).quarantine; !why.empty())
      facts.quarantined.emplace(model.id, std::move(why));
    else if (std::string died = residents_.died(model.id); !died.empty())
      facts.died.emplace(model.id, std::move(died));
  }
  facts.fetcher = options_.residents.fetcher;
  in_background(
      [this, facts = std::move(facts)]() -> Result<Json> { return surroundings_.doctor(facts); },
      reply);
}

void Core::status(const Json&, const api::Reply& reply) {
  Json answer = surroundings_.status;
  answer["uptime_s"] = ms_between(begun_, now()) / 1000;
  answer["models"] = models_.all().size();
  answer["resident"] = residents_.present().size();
  answer["requests"] = doing_.size();
  answer["waiting"] = queue_.size();
  answer["memory_bytes"] = residents_.ladder().used().n;
  answer["memory_budget_bytes"] = residents_.ladder().budget().n;
  const auto& engine = residents_.engine();
  answer["restraint"] = restraint_.why;
  answer["paused_lanes"] = Json::array();
  if (restraint_.worst < Lane::Background) answer["paused_lanes"].push_back(name(Lane::Background));
  answer["pulls"] = pulls_ ? pulls_->running() : 0;
  answer["engine"] = !engine   ? "being chosen"
                     : *engine ? (*engine)->variant
                               : engine->error().message;
  reply(std::move(answer));
}

void Core::config(const Json&, const api::Reply& reply) { reply(surroundings_.settings); }

void Core::stop(const Json&, const api::Reply& reply) {
  reply(Json::object());
  surroundings_.stop();
}

}  // namespace lares::app
