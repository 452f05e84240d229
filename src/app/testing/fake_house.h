// A house for tests: models that are small files in a temporary folder, workers that a test or a
// seed plays, a clock that stands still until it is moved, and the real Core over the real Loop.
// Not for the daemon. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/core.h"

namespace lares::app::testing {

// A process that is none. The test says what it answers.
class FakeWorker final : public host::Worker {
 public:
  FakeWorker(host::WorkerSpec spec, Loop& loop, OnEvent on_event)
      : name(std::move(spec.name)),
        arguments(std::move(spec.arguments)),
        loop_(loop),
        on_event_(std::make_shared<OnEvent>(std::move(on_event))) {}
  ~FakeWorker() override {
    *on_event_ = {};
    if (on_gone) on_gone(*this);
  }

  Result<> send(wire::Frame frame) override {
    if (deaf) return Error{Code::Busy, "the worker does not read"};
    sent.push_back(std::move(frame));
    const bool move = sent.back().type == static_cast<uint8_t>(wire::Type::Move);
    if (move && !rooted) moves_to(wire::from_frame<wire::Move>(sent.back())->rung);
    if (on_sent) on_sent(*this, sent.back());
    return Unit{};
  }
  void moves_to(Rung rung) {
    const uint64_t held = rung == Rung::Hot ? memory.n : memory.n / (rung == Rung::Warm ? 7 : 8);
    say(wire::Moved{rung, 1, held});
  }
  void stop() override {
    stopped = true;
    if (!stubborn) die({Code::WorkerDied, "asked to stop"}, /*asked=*/true);
  }
  void kill() override {
    if (!dead) die({Code::WorkerDied, "killed"}, /*asked=*/true);
  }
  pid_t pid() const override { return 4711; }

  // What the process says. Posted, as a reader thread would.
  void say(host::WorkerEvent event) {
    if (dead) return;
    post(std::move(event));
  }
  void hello(std::vector<std::string> sandbox = {"seccomp"}) {
    say(wire::Hello{"fake", "none", std::move(sandbox), {}});
  }
  void loaded(Bytes takes, Json info = Json::object()) {
    memory = takes;
    say(wire::Loaded{std::move(info), 1, takes.n});
  }
  template <class Message>
  void answer(const Message& message, uint64_t id) {
    say(wire::to_frame(message, id));
  }
  void die(Error error, bool asked = false) {
    if (dead) return;
    dead = true;
    post(host::WorkerEnded{std::move(error), {}, asked});
  }

  std::function<void(FakeWorker&)> on_gone;
  std::function<void(FakeWorker&, const wire::Frame&)> on_sent;
  std::string name;
  std::vector<std::string> arguments;
  std::vector<wire::Frame> sent;
  bool stopped = false;
  bool stubborn = false;  // does not end when it is asked to
  bool deaf = false;
  bool rooted = false;  // does not answer when it is told to move
  Bytes memory;         // hot, as it says
  bool dead = false;

 private:
  void post(host::WorkerEvent event) {
    auto held = std::make_shared<host::WorkerEvent>(std::move(event));
    loop_.post_end([on_event = on_event_, held] {
      if (*on_event) (*on_event)(std::move(*held));
    });
  }
  Loop& loop_;
  std::shared_ptr<OnEvent> on_event_;
};

// Keeps everything that one piece of work was told.
struct Heard final : api::Sink {
  void on(api::Event event) override {
    if (ended) twice = true;
    if (auto* started = std::get_if<api::Started>(&event)) {
      starts++;
      id = started->id;
    } else if (auto* delta = std::get_if<api::Delta>(&event)) {
      if (texts.size() <= delta->choice) texts.resize(delta->choice + 1);
      texts[delta->choice] += delta->text;
    } else if (std::holds_alternative<api::ChoiceDone>(event)) {
      choices_done++;
    } else if (auto* embedded = std::get_if<api::Embedded>(&event)) {
      vector_length = embedded->length;
    } else if (auto* end = std::get_if<api::Ended>(&event)) {
      ended = std::move(*end);
    }
  }
  std::string error() const { return ended && !ended->result ? ended->result.error().message : ""; }
  int starts = 0;
  int choices_done = 0;
  uint32_t vector_length = 0;
  bool twice = false;
  std::string id;
  std::vector<std::string> texts;
  std::optional<api::Ended> ended;
};

// The temporary folder with the models, removed with it.
class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "lares-house-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// What every model says of itself once it was measured to take `memory`.
inline Json measured_info(const inventory::Shape& shape, Bytes memory, bool embedding = false,
                          bool ranking = false) {
  Json info = {{"pooling", ranking     ? "rank"
                           : embedding ? "mean"
                                       : "none"},
               {"embedding_length", 4u}};
  return inventory::with_measured(std::move(info), shape, memory);
}

class House {
 public:
  struct ModelSpec {
    std::string id;
    Bytes memory;  // with the process
    bool embedding = false;
    bool ranking = false;
    bool adapter = false;
  };

  enum class Engine { Chosen, Later };  // later: by choose_engine()

  House(const std::vector<ModelSpec>& models, Bytes budget, bool preload = false,
        uint32_t sequences = 8, std::function<void(FakeWorker&)> spawned = {},
        Engine engine = Engine::Chosen, DraftModels drafts = {}, double background_share = 0.05)
      : on_spawn(std::move(spawned)), loop(clock) {
    options.residents = {budget, GiB(16), {.sequences = sequences}, 0};
    options.residents.drafts = std::move(drafts);
    options.models_preload = preload;
    options.background_share = background_share;
    auto list = inventory::Models::open(folder.path(), log);
    assert(list);
    for (const ModelSpec& spec : models) {
      const auto file = folder.path() / (spec.id + ".gguf");
      assert(write_file(file, "GGUF????"));
      if (spec.adapter) {
        auto listed = list->add(file, spec.id, {{"type", "adapter"}});
        assert(listed);
        continue;
      }
      auto added =
          list->add(file, spec.id,
                    measured_info(options.residents.shape, spec.memory - inventory::kProcess,
                                  spec.embedding, spec.ranking));
      assert(added);
      memory[spec.id] = spec.memory - inventory::kProcess;
      embeds[spec.id] = spec.embedding;
      ranks[spec.id] = spec.ranking;
    }
    build(*std::move(list));
    if (engine == Engine::Chosen) choose_engine();
  }

  void choose_engine() {
    core->set_engine(EngineChoice{"lares-worker", {"--engine=fake"}, {}, "none", false});
  }

  ~House() { slow.end(); }  // what it does refers to the core

  // Tells of a worker that was started; the test may answer at once.
  std::function<void(FakeWorker&)> on_spawn;

  void settle() {
    while (loop.run_one()) check();
    check();
  }
  void advance(milliseconds by) {
    clock.advance(by);
    settle();
  }
  // The newest living worker of that model; nullptr when there is none.
  FakeWorker* worker(const std::string& model) {
    for (auto it = workers.rbegin(); it != workers.rend(); ++it) {
      if ((*it)->name == model && !(*it)->dead) return *it;
    }
    return nullptr;
  }
  void load(const std::string& model) {
    settle();
    FakeWorker* started = worker(model);
    assert(started);
    started->hello();
    settle();
    started->loaded(memory.at(model), measured_info(options.residents.shape, memory.at(model),
                                                    embeds.at(model), ranks.at(model)));
    settle();
  }
  std::shared_ptr<Heard> chat(const std::string& model, api::Work work = {}) {
    work.model = model;
    if (work.endpoint.empty()) work.endpoint = "/v1/chat/completions";
    if (work.body.is_null()) work.body = {{"messages", Json::array()}};
    auto heard = std::make_shared<Heard>();
    last_work = core->submit(std::move(work), heard);
    settle();
    return heard;
  }
  Result<Json> ask(const std::string& question, Json arguments = Json::object()) {
    std::optional<Result<Json>> answer;
    core->ask(question, std::move(arguments), [&](Result<Json> got) { answer = std::move(got); });
    for (int i = 0; i < 1000 && !answer; i++) {
      settle();
      if (!answer) std::this_thread::sleep_for(milliseconds(1));  // for the background thread
    }
    return answer ? *answer : Result<Json>(Error{Code::Timeout, "no answer"});
  }
  // Of the frames that a worker was sent: those of one type.
  static std::vector<wire::Frame> frames(const FakeWorker& worker, wire::Type type) {
    std::vector<wire::Frame> found;
    std::copy_if(worker.sent.begin(), worker.sent.end(), std::back_inserter(found),
                 [&](const wire::Frame& f) { return f.type == static_cast<uint8_t>(type); });
    return found;
  }
  void check() const { assert(core->ladder().used() <= core->ladder().budget()); }

  Folder folder;
  FakeClock clock;
  Log log = Log::silent();
  Loop loop;
  Background slow;
  Core::Options options;
  std::map<std::string, Bytes> memory;
  std::map<std::string, bool> embeds, ranks;
  std::vector<FakeWorker*> workers;  // oldest first; owned by the core
  std::unique_ptr<Core> core;
  api::WorkId last_work = 0;
  bool asked_to_stop = false;
  Json speeds;  // what measuring the machine gives; null: it cannot be measured
  std::function<void()> measuring = [] {};  // before that, on another thread

 private:
  void build(inventory::Models list) {
    auto receipts = route::Receipts::open(folder.path(), [](Task) { return true; }, log);
    assert(receipts);
    Core::Surroundings surroundings;
    options.residents.fetcher = "'/clone/lares'";
    surroundings.stop = [this] { asked_to_stop = true; };
    surroundings.speeds = [this](const EngineChoice&, Measure) -> Result<Json> {
      measuring();
      if (speeds.is_null()) return Error{Code::NotFound, "not measured"};
      return speeds;
    };
    surroundings.doctor = [](const DoctorFacts& facts) -> Json {
      Json quarantined = Json::array();
      for (const auto& [model, why] : facts.quarantined) quarantined.push_back(model);
      return {{"models", facts.models.size()},
              {"quarantined", std::move(quarantined)},
              {"died", Json(facts.died)},
              {"restraint", facts.restraint},
              {"background_waits", facts.background_waits}};
    };
    core = std::make_unique<Core>(
        loop, log, std::move(list), *std::move(receipts), slow,
        [this](host::WorkerSpec spec,
               host::Worker::OnEvent on_event) -> Result<std::unique_ptr<host::Worker>> {
          auto made = std::make_unique<FakeWorker>(std::move(spec), loop, std::move(on_event));
          FakeWorker& fake = *made;
          workers.push_back(made.get());
          made->on_gone = [this](FakeWorker& gone) { std::erase(workers, &gone); };
          if (on_spawn) on_spawn(fake);
          return std::unique_ptr<host::Worker>(std::move(made));
        },
        options, std::move(surroundings));
  }
};

}  // namespace lares::app::testing
