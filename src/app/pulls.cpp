#include "app/pulls.h"

#include <algorithm>
#include <cerrno>

#include "app/pulls_state.h"
#include "base/file.h"
#include "base/text.h"
#include "inventory/models.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

bool flag_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

Json error_json(const std::optional<Error>& error) {
  if (!error) return nullptr;
  return {{"message", error->message}, {"code", row(error->code).name}};
}

// Why a pull failed, as its order says; those of an earlier version do not.
Error why_failed(const Json& order) {
  const auto why = order.find("why");
  if (why == order.end() || !why->is_object())
    return {Code::Io, "it ended with an error; the same pull tries again"};
  const CodeRow* known = row_named(text_in_order(*why, "code"));
  return {known ? known->code : Code::Io, text_in_order(*why, "message")};
}

}  // namespace

std::string_view name(Pulls::State state) {
  switch (state) {
    case Pulls::State::Resolving: return "resolving";
    case Pulls::State::Reserving: return "reserving";
    case Pulls::State::Fetching: return "fetching";
    case Pulls::State::Verifying: return "verifying";
    case Pulls::State::Inspecting: return "inspecting";
    case Pulls::State::Done: return "done";
    case Pulls::State::Failed: return "failed";
    case Pulls::State::Cancelled: return "cancelled";
    case Pulls::State::Waiting: return "waiting";
  }
  return "failed";
}

std::string model_name_from(std::string_view found_name) {
  std::string id = inventory::id_from(utf8_repaired(found_name));
  return id == inventory::kDefaultName ? "" : id;
}

Pulls::Pulls(Loop& loop, Log& log, Background& disk, Spawn spawn, Options options, Owner& owner)
    : loop_(loop),
      log_(log),
      disk_(disk),
      spawn_(std::move(spawn)),
      options_(std::move(options)),
      owner_(owner) {}

Pulls::~Pulls() = default;

fs::path Pulls::folder_of(const Pull& pull) const {
  return options_.models / kPullsFolder / pull.id;
}

Pulls::Pull* Pulls::find(const std::string& id) const {
  const auto found = pulls_.find(id);
  return found == pulls_.end() ? nullptr : found->second.get();
}

// ---- what is kept

void Pulls::save(const Pull& pull) {
  const Json order = {{"format", 1},
                      {"source", pull.source.text()},
                      {"name", pull.wanted_name},
                      {"sha256", pull.sha256},
                      {"model", pull.model},
                      {"size_bytes", pull.total},
                      {"done_bytes", pull.done},
                      {"fetched", pull.ever_fetched},
                      {"paused", pull.paused},
                      {"failed", pull.state == State::Failed},
                      {"why", error_json(pull.error)},
                      {"boot", pull.boot},
                      {"begun_ms", pull.begun_ms}};
  const fs::path folder = folder_of(pull);
  const bool taken = disk_.post([folder, text = dump(order), this] {
    auto made = make_private_folder(folder);
    if (made) made = write_file(folder / kPullOrder, text + "\n");
    if (!made) log_.warn("a pull's order could not be kept", {{"why", made.error().message}});
  });
  if (!taken) log_.warn("a pull's order could not be kept", {{"why", "the queue is full"}});
}

void Pulls::read_digests() {
  const fs::path file = options_.models / kPullsFolder / kPullDigests;
  const auto text = read_file(file);
  if (!text && text.error().code == Code::NotFound) return;
  auto read = text ? PullDigests::from(*text) : Result<PullDigests>(text.error());
  if (read) {
    digests_ = *std::move(read);
    return;
  }
  std::error_code failed;
  fs::rename(file, damaged_name(file), failed);
  log_.warn("which digests earlier pulls had is not known any more",
            {{"why", read.error().message}});
}

void Pulls::remember(const std::string& place, const std::string& sha256) {
  const PullDigests::Seen* seen = digests_.find(place);
  if (seen && seen->sha256 == sha256) return;
  digests_.learn(place, {sha256, unix_ms(loop_.clock().wall())});
  const fs::path folder = options_.models / kPullsFolder;
  const bool taken = disk_.post([folder, text = digests_.text(), this] {
    auto written = make_private_folder(folder);
    if (written) written = write_file(folder / kPullDigests, text);
    if (!written)
      log_.warn("a pull's digest could not be kept", {{"why", written.error().message}});
  });
  if (!taken) log_.warn("a pull's digest could not be kept", {{"why", "the queue is full"}});
}

void Pulls::resume() {
  read_digests();
  for (const fs::path& folder : kept_pulls(options_.models)) {
    const auto order = read_order(folder);
    const std::string id = folder.filename().string();
    if (!order || pulls_.size() >= kKeptMax) {
      log_.warn("an unfinished pull cannot be read and is left where it is", {{"pull", id}});
      continue;
    }
    auto pull = std::make_unique<Pull>();
    pull->id = id;
    pull->source = *pull_source_from(text_in_order(*order, "source"));
    pull->wanted_name = text_in_order(*order, "name");
    pull->sha256 = text_in_order(*order, "sha256");
    pull->model = text_in_order(*order, "model");
    pull->total = count_in_order(*order, "size_bytes");
    pull->done = std::min(pull->total, count_in_order(*order, "done_bytes"));
    pull->ever_fetched = flag_in(*order, "fetched");
    pull->paused = flag_in(*order, "paused");
    pull->boot = text_in_order(*order, "boot");
    pull->begun_ms = static_cast<int64_t>(count_in_order(*order, "begun_ms"));
    pull->state = State::Waiting;
    Pull& kept = *pulls_.emplace(id, std::move(pull)).first->second;
    if (kept.paused) {
      kept.error = Error{Code::Cancelled, std::string(kStopped)};
    } else if (flag_in(*order, "failed")) {
      kept.state = State::Failed;
      kept.error = why_failed(*order);
    } else {
      log_.info("going on with a pull", {{"pull", id}});
      start(kept);
    }
  }
}

// ---- orders

Result<Json> Pulls::add(const std::string& written, std::string wanted_name, std::string sha256) {
  if (stopping_) return Error{Code::Offline, "the daemon is stopping; ask again when it is back"};
  std::string meant = written;
  const bool named = !wanted_name.empty();  // by the caller, not by the catalogue
  if (options_.catalogue) {
    if (const auto known = options_.catalogue(written); known && known->source != written) {
      meant = known->source;
      if (wanted_name.empty()) wanted_name = written;
    }
  }
  TRY_AS(PullSource source, pull_source_from(meant));
  if (!wanted_name.empty())
    TRY(inventory::check_name(wanted_name, cat("pulling '", source.text(), "'")));
  if (!sha256.empty() && !wire::is_sha256(sha256))
    return Error{Code::Invalid, "sha256 takes 64 hexadecimal digits in lower case", "sha256"};
  if (source.kind == PullSource::Kind::Disk) {
    TRY_AS(const fs::path file, model_on_disk(source.name));
    source.name = file.string();
  }
  for (auto& [id, pull] : pulls_) {
    if (pull->source != source || pull->state == State::Done || pull->state == State::Cancelled)
      continue;
    if (!pull->active()) {  // it goes on
      if (named) pull->model = pull->wanted_name = wanted_name;
      if (!sha256.empty()) pull->sha256 = sha256;
      pull->paused = false;
      start(*pull);
      return shown(*pull);
    }
    const bool renamed = named && wanted_name != pull->wanted_name && wanted_name != pull->model;
    if (renamed || (!sha256.empty() && sha256 != pull->sha256))
      return Error{Code::Busy, cat("'", source.text(), "' is being pulled ",
                                   renamed ? "under another name" : "without this digest",
                                   " (pull ", id, "); let it end, or cancel it")};
    return shown(*pull);
  }
  if (pulls_.size() >= kKeptMax) forget_oldest();
  if (pulls_.size() >= kKeptMax)
    return Error{Code::Busy,
                 cat(pulls_.size(), " models are being pulled; retry when one is there")};
  auto made = std::make_unique<Pull>();
  Pull& pull = *made;
  pull.id = "p-" + random_hex(6);
  pull.source = std::move(source);
  pull.model = wanted_name;
  pull.wanted_name = std::move(wanted_name);
  pull.sha256 = std::move(sha256);
  pull.begun_ms = unix_ms(loop_.clock().wall());
  pulls_.emplace(pull.id, std::move(made));
  log_.info("pull begun", {{"pull", pull.id}});
  pull.state = State::Waiting;
  start(pull);
  return shown(pull);
}

void Pulls::forget_oldest() {
  auto oldest = pulls_.end();
  for (auto it = pulls_.begin(); it != pulls_.end(); ++it) {
    const Pull& pull = *it->second;
    const bool over = pull.state == State::Done || pull.state == State::Cancelled ||
                      (pull.state == State::Failed && !pull.ever_fetched);
    if (over && (oldest == pulls_.end() || pull.begun_ms < oldest->second->begun_ms)) oldest = it;
  }
  if (oldest != pulls_.end()) pulls_.erase(oldest);
}

Json Pulls::list() const {
  std::vector<const Pull*> all;
  all.reserve(pulls_.size());
  for (const auto& [id, pull] : pulls_) all.push_back(pull.get());
  std::sort(all.begin(), all.end(), [](const Pull* a, const Pull* b) {
    return std::pair(a->begun_ms, a->id) < std::pair(b->begun_ms, b->id);
  });
  Json list = Json::array();
  for (const Pull* pull : all) list.push_back(shown(*pull));
  return list;
}

namespace {

Error no_pull(const std::string& id) {
  return {Code::NotFound,
          cat("there is no pull '", utf8_repaired(id.substr(0, 80)),
              "'; `lares models pull --list` names them"),
          "id"};
}

}  // namespace

Result<Json> Pulls::show(const std::string& id) const {
  const Pull* pull = find(id);
  if (!pull) return no_pull(id);
  return shown(*pull);
}

Result<Json> Pulls::cancel(const std::string& id) {
  Pull* pull = find(id);
  if (!pull) return no_pull(id);
  if (pull->state == State::Done) {
    Json over = shown(*pull);
    pulls_.erase(id);
    return over;
  }
  end_worker(*pull);
  pull->state = State::Cancelled;
  pull->error.reset();
  pull->queued = false;
  pull->done = 0;
  const bool taken = disk_.post([this, id = pull->id, folder = folder_of(*pull)] {
    remove_folder(folder);
    loop_.post_end([this, id] { pulls_.erase(id); });
  });
  if (!taken) log_.warn("what was fetched could not be removed", {{"pull", id}});
  log_.info("pull cancelled", {{"pull", id}});
  start_waiting();
  return shown(*pull);
}

Result<Json> Pulls::stop(const std::string& id) {
  Pull* pull = find(id);
  if (!pull) return no_pull(id);
  if (pull->state == State::Done || pull->state == State::Cancelled ||
      pull->state == State::Failed || pull->state == State::Inspecting)
    return shown(*pull);
  // it saves what it has before it ends
  if (pull->worker && !pull->hashing) {
    pull->worker->stop();
    buried_.push_back(std::move(pull->worker));
    loop_.after(host::kStopGrace, [this] { buried_.clear(); });
  }
  end_worker(*pull);
  pull->state = State::Waiting;
  pull->paused = true;
  pull->queued = false;
  pull->error = Error{Code::Cancelled, std::string(kStopped)};
  save(*pull);
  start_waiting();
  return shown(*pull);
}

size_t Pulls::running() const {
  return static_cast<size_t>(std::count_if(
      pulls_.begin(), pulls_.end(), [](const auto& entry) { return entry.second->active(); }));
}

void Pulls::stop_all() {
  stopping_ = true;
  for (auto& [id, pull] : pulls_) end_worker(*pull);
}

fs::path Pulls::besides(const std::string& model) const {
  return options_.models / (model + std::string(kBesides));
}

void Pulls::forget_model(const std::string& id) {
  std::erase_if(pulls_, [&](const auto& entry) {
    return entry.second->state == State::Done && entry.second->model == id;
  });
  const fs::path folder = options_.models;
  static_cast<void>(disk_.post([folder, id, besides = besides(id)] {
    std::error_code ignored;
    fs::remove(besides, ignored);
    for (const auto& [_, end] : kTexts) fs::remove(folder / (id + std::string(end)), ignored);
  }));
}

Json Pulls::shown(const Pull& pull) const {
  uint64_t rate = 0;
  if (pull.state == State::Fetching && pull.seen.size() > 1) {
    const auto& [from, before] = pull.seen.front();
    const auto& [to, after] = pull.seen.back();
    const int64_t ms = ms_between(from, to);
    if (ms > 0 && after > before) rate = (after - before) * 1000 / static_cast<uint64_t>(ms);
  }
  Json json = {{"id", pull.id},           {"source", pull.source.text()},
               {"model", pull.model},     {"state", name(pull.state)},
               {"bytes_done", pull.done}, {"bytes_total", pull.total},
               {"bytes_per_s", rate},     {"begun_ms", pull.begun_ms}};
  if (rate > 0 && pull.total > pull.done) json["eta_s"] = (pull.total - pull.done) / rate;
  if (pull.error) {
    json["error"] = error_json(pull.error);
  } else if (!pull.waiting.empty()) {
    json["error"] = error_json(Error{Code::Busy, pull.waiting});
  }
  return json;
}

}  // namespace lares::app
