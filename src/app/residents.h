// Residents: the worker processes of this house, one for each model that is in memory, and how each
// comes and goes. It starts workers when there is room, makes room by sending idle ones away,
// notices what becomes of them, and refuses a model whose worker keeps dying. It knows no requests:
// its Owner (app/core) has the queue, and holds a pin on each model that computes for it.
//
//                                                        .---- died: Owner::lost() ----.
//   absent --ensure()--> starting --Hello--> loading --Loaded--> ready (hot)            |
//      ^                    '-----------------'--- died or Failed: Owner::lost() ------+
//      |                                                  '--evicted, stop()--> stopping --ended-->
//      absent
//      '--- deaths: kept for kDeathsWithin; kDeathsMax of them: quarantined for kQuarantine
//
// A ready one stands on a rung (base/rung.h) that sched/ladder.h decides: others take its room, or
// it is idle, and it walks down as far as is needed; ensure() brings it back.
//
// A quarantine is kept in memory only: whoever ends the daemon has changed something, or wants it
// tried again.
//
// Bytes are reserved before a worker is started and given back when its process is gone.
// Owned by the run-loop thread; nothing here blocks but the opening of a model's file.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/draft_models.h"
#include "app/leases.h"
#include "app/thinking_max.h"
#include "base/log.h"
#include "base/loop.h"
#include "host/worker.h"
#include "inventory/models.h"
#include "inventory/needs.h"
#include "sched/ladder.h"
#include "sched/next_use.h"

namespace lares::app {

using sched::ModelId;

// The worker program and how it is told to compute; found once (app/variants).
struct EngineChoice {
  std::string program;
  std::vector<std::string> arguments;                // "--engine=llama", "--variant=..."
  std::vector<std::string> embedder_arguments = {};  // besides, for an embedding model
  std::string variant;                               // for showing: "haswell"
  bool hands_model = true;                           // the fake engine reads no file
  std::vector<std::string> ranker_arguments = {};    // besides, for a model that ranks
  std::vector<std::string> adapter_arguments = {};   // besides, to look into an adapter
  // Besides, for a model with a projector, and to look into one.
  std::vector<std::string> projector_arguments = {};
  std::vector<std::string> projector_file_arguments = {};
};

class Residents {
 public:
  enum class State { Absent, Starting, Loading, Ready, Stopping };
  enum class Lost { WhileLoading, WhileReady };

  // One request may take its worker down thrice (Core::kResumesMax): of two such.
  static constexpr size_t kDeathsMax = 6;
  static constexpr milliseconds kDeathsWithin{60'000};
  static constexpr milliseconds kQuarantine{600'000};
  static constexpr milliseconds kBackoff{500};      // before the start after a second death
  static constexpr milliseconds kLoadMax{600'000};  // for a worker that only pretends to progress
  static constexpr milliseconds kInspectMax{30'000};
  static constexpr milliseconds kIdleLook{5'000};  // how often idle models are looked for
  static constexpr size_t kInspectionsMax = 2;
  static constexpr size_t kInfoMax = 64u << 10;  // bytes of what a file says of itself, as JSON

  // Is told what becomes of models, on the loop. It may call anything here but the destructor.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void loaded(const ModelId& model) = 0;
    // The worker is gone, or cannot be started: give back every pin on it before this returns.
    virtual void lost(const ModelId& model, const Error& error, Lost lost) = 0;
    virtual void frame(const ModelId& model, wire::Frame frame) = 0;
    // Room or an engine has appeared: whoever waits may ask again.
    virtual void changed() = 0;
  };

  using Spawn =
      std::function<Result<std::unique_ptr<host::Worker>>(host::WorkerSpec, host::Worker::OnEvent)>;
  struct Options {
    Bytes budget;
    Bytes machine;  // memory of this machine, for the words of an error
    inventory::Shape shape;
    uint32_t threads = 0;
    std::string fetcher = "";  // as how_to_mend() takes it
    Leases* leases = nullptr;  // gives out the device; nullptr: everyone computes when they like
    ThinkingMax thinking_max = {};
    DraftModels drafts = {};
    sched::Ladder::IdleTimes idle = {};
  };

  // All references must outlive it.
  Residents(Loop& loop, Log& log, inventory::Models& models, Spawn spawn, Options options,
            Owner& owner);
  ~Residents();

  // Which engine to use; until it is known, models wait. Again when another is chosen.
  void set_engine(Result<EngineChoice> engine);
  const std::optional<Result<EngineChoice>>& engine() const { return engine_; }

  enum class Coming {
    Ready,   // compute on it, though it may just be coming back into memory
    Soon,    // it is being started: loaded() or lost() will tell
    NoRoom,  // it waits for room: ask again after changed()
    NotNow,  // it waits for its last process to go, for the engine, or after a death: as NoRoom
  };
  // Whose climbs are still wanted: of others those that wait for room are given up.
  void want(const std::vector<ModelId>& models);
  // Brings a model towards ready, and hot. NoRoom: it can never fit; WorkerDied: it is quarantined;
  // and whatever keeps its file or its worker from being opened.
  Result<Coming> ensure(const inventory::Model& model);

  // `app` asked for it: what is likely to be asked again stays longer.
  void asked(std::string_view app, const ModelId& model) { next_use_.used(app, model, now()); }
  // Keeps a ready model in memory, and counts as a use. Requires: Ready.
  sched::Ladder::Pin pin(const ModelId& model);
  // The models in use that must come to rest before this one has room.
  std::vector<ModelId> to_drain(const inventory::Model& model) const;
  // Why there is no room now, in words.
  Error no_room(const inventory::Model& model) const;

  // Sees to it that the ready worker of `model` may be asked with these adapters, all of which are
  // listed (inventory/adapters.h). Ready: their bytes are reserved now, until the worker ends.
  // Renew: it was started without one of them, and has to start again. NoRoom: beside it there are
  // not so many bytes; and what kept an adapter's file from being opened.
  enum class Adapting { Ready, Renew };
  Result<Adapting> adapt(const ModelId& model, const std::vector<std::string>& adapters);

  // The best lane of what it is asked, for its turns; nullopt: nothing.
  void allow(const ModelId& model, std::optional<Lane> best);
  // Busy, Io: the worker did not take it.
  Result<> send(const ModelId& model, wire::Frame frame);
  // Ends a worker that broke the rules: lost() with `error`, and a death counted.
  void end(const ModelId& model, Error error);
  // Sends an idle model away; Busy when it is in use. No effect when it is not there.
  Result<> stop(const ModelId& model);
  // Sends one that rests down to a lower rung, a pinned one too; no effect when it is there or
  // lower. Busy: it is in use, or on its way.
  Result<> evict(const ModelId& model, Rung to);
  // Other programs lack memory: models that rest give theirs back, to the machine too.
  void relieve(std::string_view why);
  // As its newest request says: seconds after its last use, negative for ever; nullopt: the
  // settings' times.
  void keep_alive(const ModelId& model, std::optional<int64_t> seconds);
  void keep(const ModelId& model, bool pinned);  // as Model::pinned says now
  void forget(const ModelId& model);  // its deaths too; after it was removed from the list
  // Stops every worker. `done` is called when the last process is gone.
  void stop_all(std::function<void()> done);

  // Asks a file what it is, in a worker that is thrown away. `done` gets wire::Loaded::info.
  // `use` is a guess; nullopt: a projector.
  void inspect(Fd file, const std::string& name, std::optional<inventory::Use> use,
               std::function<void(Result<Json>)> done);

  struct Seen {  // for `lares ps`, receipts and doctor
    State state = State::Absent;
    Rung rung = Rung::Absent;  // on which it stands, or from which it is moving
    Rung to = Rung::Absent;    // to which
    double back_ms = 0;        // that coming back to hot would take, as far as is known
    bool pinned = false;
    Rung came_from = Rung::Hot;  // the last time that it came back
    SteadyTime came_back{};      // when that was
    double last_move_ms = 0;     // 0: it has not moved yet
    SteadyTime used{};           // the last time; begun where it was not
    pid_t pid = 0;
    Bytes reserved;
    wire::Hello hello;
    int64_t load_ms = 0;
    double load_fraction = 0;
    SteadyTime begun;  // of the start
    SteadyTime ready;
    std::vector<ModelId> evicted_for_it;
    Leases::Seen lease;
    std::string draft;          // the model that drafts for it, or should; "": none
    std::string draft_refused;  // why it does not
    std::string quarantine;     // why its worker is not started for a while; "" when it would be
  };
  Seen seen(const ModelId& model) const;
  std::string died(const ModelId& model) const;  // how often, and why the last time; "": never
  std::vector<ModelId> present() const;          // not Absent, by name
  const sched::Ladder& ladder() const { return ladder_; }
  // What would happen first if it were asked now: who makes room for it. NoRoom: nobody can now.
  Result<sched::Ladder::Plan> plan(const inventory::Model& model, Bytes bytes) const;
  // With what drafts for it.
  Bytes needs(const inventory::Model& model) const;

  struct Draft {
    const inventory::Model* model = nullptr;  // that drafts; nullptr: none
    Bytes bytes;                              // what it needs beside the other
    std::string name;                         // as it was named; "": none was
    std::string refused;                      // why there is none though one was named
  };
  // As the setting has it, before the worker has looked at it.
  Draft draft_for(const inventory::Model& model) const;

 private:
  struct Resident;
  struct Inspection;

  Resident& at(const ModelId& model);
  Result<> start(const inventory::Model& model, Resident& resident);
  sched::Footprint footprint(const inventory::Model& model, Bytes bytes) const;
  Result<Coming> climb(const inventory::Model& model, Resident& resident);
  void descend(const sched::Ladder::Step& step, bool for_others = false);
  void begin_climbs();
  void watch_idle();
  void on_moved(const ModelId& model, Resident& resident, const wire::Moved& moved);
  void offer_adapters(const inventory::Model& model, Resident& resident, bool hand,
                      host::WorkerSpec& spec);
  void offer_draft(const inventory::Model& model, Resident& resident, bool hand,
                   host::WorkerSpec& spec);
  void draft_refused(const ModelId& model, Resident& resident, std::string why);
  Result<> quarantine_over(const inventory::Model& model, Resident& resident);
  std::string quarantine_of(const Resident& resident) const;
  void on_event(const ModelId& model, host::WorkerEvent event);
  void on_hello(const ModelId& model, Resident& resident, wire::Hello hello);
  void on_loaded(const ModelId& model, Resident& resident, wire::Loaded loaded);
  void on_ended(const ModelId& model, Resident& resident, host::WorkerEnded ended);
  void begin_stop(Resident& resident);
  void count_death(const ModelId& model, Resident& resident, const Error& error);
  void on_inspection(uint64_t id, host::WorkerEvent event);
  void end_inspection(uint64_t id, Result<Json> result);
  void bury(std::unique_ptr<host::Worker> worker);
  Result<> hand_lease(Resident& resident, host::WorkerSpec& spec);
  void leave_lease(Resident& resident);
  void check_all_stopped();
  SteadyTime now() const { return loop_.clock().now(); }

  Loop& loop_;
  Log& log_;
  inventory::Models& models_;
  const Spawn spawn_;
  const Options options_;
  Owner& owner_;
  sched::NextUse next_use_;
  sched::Ladder ladder_;
  std::optional<Result<EngineChoice>> engine_;
  std::map<ModelId, Resident> residents_;
  Loop::TimerId idle_timer_ = 0;
  std::map<ModelId, Bytes> drafts_measured_;  // what each took that has drafted
  std::map<uint64_t, Inspection> inspections_;
  uint64_t next_inspection_ = 1;
  std::vector<std::unique_ptr<host::Worker>> buried_;  // destroyed outside their own call
  std::function<void()> all_stopped_;                  // set: nothing is started any more
};

std::string_view name(Residents::State state);

// What to do about a model whose file may be damaged, as half a sentence. `fetcher`: the command
// that fetches what is missing of the models that come with Lares, as a shell takes it; "" where
// there is none.
std::string how_to_mend(const inventory::Model& model, std::string_view fetcher);

// An error that came from a worker, hostile perhaps: its code is one that a worker may give, its
// words are short and well-formed.
Error from_worker(Error error);
inline constexpr size_t kWorkerErrorMax = 600;

}  // namespace lares::app
