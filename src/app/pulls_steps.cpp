// What becomes of a pull, step by step, from resolving to done.
#include <fcntl.h>

#include <algorithm>

#include "app/pulls_state.h"
#include "app/residents.h"
#include "base/file.h"
#include "base/text.h"
#include "inventory/models.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kWireId = 1;
constexpr size_t kTextMax = 1u << 20;
constexpr size_t kWordsMax = 600;
constexpr uint64_t kSizeMax = uint64_t{1} << 42;

bool may_pass(Code code) {
  return code == Code::Offline || code == Code::Timeout || code == Code::Busy ||
         code == Code::WorkerDied;
}

}  // namespace

void Pulls::start(Pull& pull) {
  pull.error.reset();
  pull.waiting.clear();
  if (pull.retry) loop_.cancel(std::exchange(pull.retry, 0));
  if (running() >= kRunningMax && !pull.active()) {
    pull.state = State::Waiting;
    pull.queued = true;
    pull.error = Error{Code::Busy, cat("waits until one of ", kRunningMax, " others is there")};
    return;
  }
  pull.queued = false;
  pull.run++;
  pull.state = State::Resolving;
  pull.seen.clear();
  pull.done_before = pull.done;
  // posted, so that whoever asked hears of it first
  loop_.post_end([this, id = pull.id, run = pull.run] {
    Pull* still = find(id);
    if (still && still->run == run && still->state == State::Resolving && !stopping_) begin(*still);
  });
}

void Pulls::start_waiting() {
  for (auto& [id, pull] : pulls_) {
    if (pull->queued && running() < kRunningMax) start(*pull);
  }
}

void Pulls::begin(Pull& pull) {
  if (pull.source.kind == PullSource::Kind::Disk) return inspect(pull);
  save(pull);
  on_disk<PullOpened>(
      pull,
      [folder = folder_of(pull), authorities = options_.authorities_file,
       token = options_.hub_token_file,
       hub = options_.hub_url] { return open_pull(folder, authorities, token, hub); },
      [this](Pull& here, Result<PullOpened> opened) {
        if (!opened) return fail(here, std::move(opened).error());
        wire::Resolve order{
            .kind = here.source.kind == PullSource::Kind::Hub        ? "hub"
                    : here.source.kind == PullSource::Kind::Registry ? "registry"
                                                                     : "url",
            .name = here.source.name,
            .detail = here.source.detail,
            .hub_url = options_.hub_url,
            .registry_url = options_.registry_url,
            .token = here.source.kind == PullSource::Kind::Hub ? std::move(opened->token) : "",
            .hosts = options_.hosts,
            .name_servers = options_.name_servers,
            .authorities = std::move(opened->authorities),
            .private_addresses = options_.private_addresses,
            .plain_http = options_.plain_http,
            .stall_s = options_.stall_s};
        spawn(here, std::move(opened->part), std::move(opened->journal), order);
      });
}

void Pulls::spawn(Pull& pull, Fd part, Fd journal, const wire::Resolve& order) {
  host::WorkerSpec spec{options_.program.string(), {}, std::move(part), cat("pull ", pull.id)};
  pull.hashing = !journal;
  if (pull.hashing) {
    spec.arguments = {"--hash"};
  } else {
    spec.more.push_back(std::move(journal));
  }
  auto made =
      spawn_(std::move(spec), [this, id = pull.id, run = pull.run](host::WorkerEvent event) {
        on_event(id, run, std::move(event));
      });
  if (!made) return fail(pull, std::move(made).error());
  pull.worker = *std::move(made);
  auto sent = pull.worker->send(pull.hashing ? wire::to_frame(wire::Type::Hash, kWireId)
                                             : wire::to_frame(order, kWireId));
  if (!sent) fail(pull, std::move(sent).error());
}

void Pulls::on_event(const std::string& id, uint64_t run, host::WorkerEvent event) {
  Pull* pull = find(id);
  if (!pull || pull->run != run || !pull->worker || stopping_) return;
  if (const auto* frame = std::get_if<wire::Frame>(&event)) return on_frame(*pull, *frame);
  if (auto* ended = std::get_if<host::WorkerEnded>(&event))
    lost(*pull, from_worker(std::move(ended->error)));
}

void Pulls::on_frame(Pull& pull, const wire::Frame& frame) {
  const auto take = [&]<class Message>(auto then, const Message&) {
    auto message = wire::from_frame<Message>(frame);
    if (!message) return fail(pull, std::move(message).error());
    (this->*then)(pull, *std::move(message));
  };
  switch (static_cast<wire::Type>(frame.type)) {
    case wire::Type::Found:
      if (pull.state == State::Resolving) take(&Pulls::on_found, wire::Found{});
      return;
    case wire::Type::Fetched:
      if (pull.state == State::Fetching) take(&Pulls::on_fetched, wire::Fetched{});
      return;
    case wire::Type::Pulled:
      if (pull.state == State::Fetching) {
        pull.done = pull.total;
        verify(pull);
      }
      return;
    case wire::Type::Hashed:
      if (pull.state == State::Verifying && pull.hashing) take(&Pulls::on_hashed, wire::Hashed{});
      return;
    case wire::Type::Failed: {
      auto failed = wire::from_frame<wire::Failed>(frame);
      if (!failed) return fail(pull, std::move(failed).error());
      Error error{failed->error.code, utf8_repaired(failed->error.message.substr(0, kWordsMax))};
      return lost(pull, std::move(error));
    }
    case wire::Type::Hello:
    case wire::Type::Load:
    case wire::Type::Inspect:
    case wire::Type::Loaded:
    case wire::Type::Progress:
    case wire::Type::Generate:
    case wire::Type::Embed:
    case wire::Type::Rank:
    case wire::Type::Resume:
    case wire::Type::Cancel:
    case wire::Type::StopThinking:
    case wire::Type::Move:
    case wire::Type::Moved:
    case wire::Type::Started:
    case wire::Type::Delta:
    case wire::Type::Done:
    case wire::Type::Beat:
    case wire::Type::Shutdown:
    case wire::Type::Resolve:
    case wire::Type::Fetch:
    case wire::Type::Hash: break;
  }
  fail(pull, Error{Code::Corrupt, cat("lares-egress sent a message of type ", frame.type)});
}

// What the person asked for, else what the catalogue says, else what came from there before.
Pulls::Expected Pulls::expected(const Pull& pull, const std::string& place) const {
  if (!pull.sha256.empty()) return {pull.sha256, 0, "was asked for", false};
  Expected expected;
  if (const auto known = options_.catalogue ? options_.catalogue(place) : std::nullopt)
    expected = {known->sha256, known->size_bytes, "stands in the catalogue", false};
  if (const PullDigests::Seen* seen = digests_.find(place); seen && expected.sha256.empty()) {
    expected.sha256 = seen->sha256;
    expected.by = cat("came from there on ", day_of(seen->seen_ms));
    expected.first_seen = true;
  }
  return expected;
}

namespace {

Error changed(const PullSource& source, const std::string& sha256, const std::string& expected,
              const std::string& by) {
  return {Code::Corrupt,
          cat("pulling '", source.text(), "': its SHA-256 is ", sha256, ", and ", expected, " ", by,
              "; it was changed there: when this one is meant, "
              "pull it with --sha256 ",
              sha256)};
}

}  // namespace

Result<> Pulls::agrees(const Pull& pull, const wire::Found& found) const {
  const Expected& expected = pull.expected;
  if (!expected.sha256.empty() && !found.sha256.empty() && expected.sha256 != found.sha256)
    return changed(pull.source, found.sha256, expected.sha256, expected.by);
  if (expected.size_bytes == 0 || expected.size_bytes == found.size_bytes) return Unit{};
  return Error{Code::Corrupt,
               cat("pulling '", pull.source.text(), "': it has ", found.size_bytes,
                   " bytes, and the catalogue knows it with ", expected.size_bytes,
                   "; it was changed there: when this one is meant, name its digest with --sha256",
                   found.sha256.empty() ? "" : " ", found.sha256)};
}

void Pulls::on_found(Pull& pull, wire::Found found) {
  const std::string what = cat("'", pull.source.text(), "'");
  if (!found.sha256.empty() && !wire::is_sha256(found.sha256))
    return fail(pull, Error{Code::Corrupt, cat("pulling ", what, ": its digest is none")});
  if (found.size_bytes == 0 || found.size_bytes > kSizeMax)
    return fail(
        pull, Error{Code::Corrupt, cat("pulling ", what, ": it has ", found.size_bytes, " bytes")});
  pull.place = place_of(pull.source, utf8_repaired(found.name));
  pull.expected = expected(pull, pull.place);
  if (auto right = agrees(pull, found); !right) return fail(pull, std::move(right).error());
  const std::string model =
      pull.wanted_name.empty() ? model_name_from(found.name) : pull.wanted_name;
  if (model.empty()) {
    return fail(pull, Error{Code::Invalid,
                            cat("pulling ", what,
                                ": its name there is no name for a "
                                "model; give one with --name"),
                            "name"});
  }
  for (const auto& [id, other] : pulls_) {
    if (other.get() != &pull && other->model == model && other->active())
      return fail(pull, Error{Code::Busy, cat("pulling ", what, ": '", model,
                                              "' is being pulled already (pull ", id, ")")});
  }
  pull.model = model;
  if (owner_.has_model(model)) {
    on_disk<Json>(
        pull, [file = besides(model)]() -> Result<Json> { return read_besides(file); },
        [this, sha256 = found.sha256.empty() ? pull.expected.sha256 : found.sha256,
         size = found.size_bytes](Pull& here, Result<Json> besides) {
          const bool same = besides && !sha256.empty() &&
                            text_in_order(*besides, "sha256") == sha256 &&
                            count_in_order(*besides, "size_bytes") == size;
          if (!same) {
            return fail(here, Error{Code::Invalid,
                                    cat("pulling '", here.source.text(),
                                        "': there is another model '", here.model,
                                        "'; give a name with --name, or remove that one with "
                                        "`lares models rm ",
                                        here.model, "`"),
                                    "name"});
          }
          here.total = here.done = count_in_order(*besides, "size_bytes");
          remember(here.place, sha256);
          finish(here);
        });
    return;
  }
  pull.total = found.size_bytes;
  pull.found = std::move(found);
  pull.state = State::Reserving;
  on_disk<Unit>(
      pull,
      [file = folder_of(pull) / kPullPart, size = pull.total, what] {
        return reserve(file, size, what);
      },
      [this](Pull& here, Result<Unit> reserved) {
        if (!reserved) return fail(here, std::move(reserved).error());
        const std::string boot = boot_id();
        const bool check = here.ever_fetched && boot != here.boot;
        here.boot = boot;
        here.ever_fetched = true;
        here.state = State::Fetching;
        save(here);
        if (!here.worker) return;
        if (auto sent = here.worker->send(wire::to_frame(wire::Fetch{check}, kWireId)); !sent)
          fail(here, std::move(sent).error());
      });
}

void Pulls::on_fetched(Pull& pull, const wire::Fetched& fetched) {
  if (fetched.bytes_done > pull.total)
    return fail(pull, Error{Code::Corrupt, "lares-egress has fetched more than there is"});
  if (fetched.bytes_done > pull.done_before) pull.tries = 0;
  pull.done = fetched.bytes_done;
  pull.waiting = utf8_repaired(fetched.waiting.substr(0, kWordsMax));
  const SteadyTime now = loop_.clock().now();
  pull.seen.emplace_back(now, pull.done);
  while (pull.seen.size() > 2 && now - pull.seen.front().first > kRateOver) pull.seen.pop_front();
  if (now - pull.kept < kKeepEvery) return;
  pull.kept = now;
  save(pull);
}

void Pulls::verify(Pull& pull) {
  end_worker(pull);
  pull.state = State::Verifying;
  pull.waiting.clear();
  on_disk<Fd>(
      pull, [file = folder_of(pull) / kPullPart] { return open_part(file, O_RDONLY); },
      [this](Pull& here, Result<Fd> part) {
        if (!part) return fail(here, std::move(part).error());
        spawn(here, *std::move(part), Fd(), {});
      });
}

void Pulls::on_hashed(Pull& pull, const wire::Hashed& hashed) {
  end_worker(pull);
  const bool promised = !pull.found.sha256.empty();
  const std::string& wanted = promised ? pull.found.sha256 : pull.expected.sha256;
  const bool whole = hashed.size_bytes == pull.total && wire::is_sha256(hashed.sha256);
  if (whole && !promised && pull.expected.first_seen && hashed.sha256 != wanted)
    return fail(pull, changed(pull.source, hashed.sha256, wanted, pull.expected.by));
  if (!whole || (!wanted.empty() && hashed.sha256 != wanted)) {
    // nothing tells which part of it is wrong, so all of it is
    const fs::path folder = folder_of(pull);
    static_cast<void>(disk_.post([folder] {
      std::error_code ignored;
      fs::remove(folder / kPullJournal, ignored);  // first: it speaks of the other
      fs::remove(folder / kPullPart, ignored);
    }));
    pull.done = 0;
    return fail(
        pull,
        Error{Code::Corrupt,
              cat("pulling '", pull.source.text(),
                  "': what came is not what was promised: its "
                  "SHA-256 is ",
                  hashed.sha256.substr(0, 64), ", and ", wanted,
                  " was to come; it was thrown away: pull it again, and if it happens again, do "
                  "not trust the source")});
  }
  pull.learned = hashed.sha256;
  inspect(pull);
}

void Pulls::inspect(Pull& pull) {
  pull.state = State::Inspecting;
  const bool here_already = pull.source.kind == PullSource::Kind::Disk;
  const fs::path file = here_already ? fs::path(pull.source.name) : folder_of(pull) / kPullPart;
  // a link of the person's own may lead to the file
  on_disk<Fd>(
      pull,
      [file, here_already]() -> Result<Fd> {
        if (!here_already) return open_pulled(file);
        inventory::Model candidate;
        candidate.id = file.filename().string();
        candidate.file = file;
        return inventory::Models::open_file(candidate);
      },
      [this](Pull& here, Result<Fd> opened) {
        if (!opened) return fail(here, std::move(opened).error());
        const std::string called =
            here.model.empty() ? fs::path(here.source.name).filename().string() : here.model;
        owner_.inspect_pulled(*std::move(opened), called,
                              [this, id = here.id, run = here.run](Result<Json> info) {
                                Pull* still = find(id);
                                if (!still || still->run != run || stopping_) return;
                                if (!info && info.error().code == Code::Busy) {
                                  // the engine is being chosen, or other files are looked into
                                  loop_.after(kLookAgain, [this, id, run] {
                                    Pull* later = find(id);
                                    if (later && later->run == run && !stopping_) inspect(*later);
                                  });
                                  return;
                                }
                                if (!info) return fail(*still, std::move(info).error());
                                move_in(*still, *std::move(info));
                              });
      });
}

void Pulls::move_in(Pull& pull, Json info) {
  if (pull.source.kind == PullSource::Kind::Disk) {
    auto added = owner_.add_pulled(pull.source.name, pull.wanted_name, std::move(info));
    if (!added) return fail(pull, std::move(added).error());
    pull.model = text_in_order(*added, "id");
    pull.total = pull.done = count_in_order(*added, "size_bytes");
    return finish(pull);
  }
  const Json pulled = {
      {"format", 1},
      {"source", pull.source.text()},
      {"sha256", pull.learned},
      {"known_in_advance", !pull.found.sha256.empty() || !pull.expected.sha256.empty()},
      {"size_bytes", pull.total},
      {"pulled_ms", unix_ms(loop_.clock().wall())},
      {"licence", utf8_repaired(pull.found.licence.substr(0, 64))}};
  Texts texts;
  texts.emplace_back(besides(pull.model), dump(pulled) + "\n");
  for (size_t i = 0; i < pull.found.texts.size(); i++) {
    for (const auto& [called, end] : kTexts) {
      if (pull.found.text_names[i] == called && pull.found.texts[i].size() <= kTextMax)
        texts.emplace_back(options_.models / (pull.model + std::string(end)), pull.found.texts[i]);
    }
  }
  const fs::path file = options_.models / (pull.model + ".gguf");
  on_disk<Unit>(
      pull,
      [from = folder_of(pull) / kPullPart, file, texts] { return move_pulled(from, file, texts); },
      [this, file, info, texts](Pull& here, Result<Unit> moved) {
        if (!moved) return fail(here, std::move(moved).error());
        auto added = owner_.add_pulled(file, here.model, info);
        if (!added) {
          // among the models the next daemon would list it
          move_pulled_back(folder_of(here) / kPullPart, file, texts);
          return fail(here, std::move(added).error());
        }
        remember(here.place, here.learned);
        finish(here);
      });
}

void Pulls::finish(Pull& pull) {
  end_worker(pull);
  pull.state = State::Done;
  pull.error.reset();
  pull.found = {};
  const fs::path folder = folder_of(pull);
  static_cast<void>(disk_.post([folder] { remove_folder(folder); }));
  log_.info("model pulled", {{"pull", pull.id}, {"model", pull.model}, {"bytes", pull.total}});
  start_waiting();
}

// What may pass is waited for, once something had come; else the person is told at once.
void Pulls::lost(Pull& pull, Error error) {
  const bool worth_waiting = may_pass(error.code) && pull.ever_fetched;
  if (!worth_waiting) return fail(pull, std::move(error));
  end_worker(pull);
  pull.state = State::Waiting;
  const milliseconds pause = std::min(kRetryMax, kRetryFirst * (1 << std::min(pull.tries, 6)));
  pull.tries++;
  error.message += cat("; it is tried again in ", pause.count() / 1000, " s");
  log_.warn("a pull waits", {{"pull", pull.id}, {"why", error.message}});
  pull.error = std::move(error);
  pull.retry = loop_.after(pause, [this, id = pull.id] {
    Pull* still = find(id);
    if (!still || still->state != State::Waiting || still->paused || stopping_) return;
    still->retry = 0;
    start(*still);
  });
  start_waiting();
}

void Pulls::fail(Pull& pull, Error error) {
  end_worker(pull);
  pull.state = State::Failed;
  log_.warn("a pull ended", {{"pull", pull.id}, {"why", error.message}});
  pull.error = std::move(error);
  if (pull.source.kind != PullSource::Kind::Disk) {
    if (pull.ever_fetched) {
      save(pull);  // it can go on from there
    } else {
      const fs::path folder = folder_of(pull);
      static_cast<void>(disk_.post([folder] { remove_folder(folder); }));
    }
  }
  start_waiting();
}

void Pulls::end_worker(Pull& pull) {
  pull.run++;  // whatever comes from now on is not heard
  if (pull.retry) loop_.cancel(std::exchange(pull.retry, 0));
  if (!pull.worker) return;
  pull.worker->kill();
  buried_.push_back(std::move(pull.worker));
  loop_.post_end([this] { buried_.clear(); });
}

}  // namespace lares::app
