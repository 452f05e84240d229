// Core: the daemon's middle, which answers api::Service. It takes work, queues it per model
// (sched::Queue), has models brought into memory (app/residents), hands parts of the work to
// workers as slots come free, and sees to it that each piece of work ends exactly once, whatever
// happens.
//
//   submit() ──> waiting ──part handed to a worker──> computing ──all parts done──> ended
//                   ^──────its worker died, again──────────'
//                   '──cancel, deadline, no room, lost worker, worker's error──────────^
//
// It is not: a judge of fields (api), of rights (the door), or of what stays in memory (sched).
//
// Threads: submit(), cancel() and ask() from any; everything else on the run loop, which owns all
// state. Sinks and replies are called on the run loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/service.h"
#include "app/background.h"
#include "app/machine.h"
#include "app/metrics.h"
#include "app/pulls.h"
#include "app/residents.h"
#include "base/mutex.h"
#include "base/places.h"
#include "inventory/speed.h"
#include "route/receipts.h"
#include "sched/queue.h"
#include "sched/restraint.h"

namespace lares::app {

// What doctor looks at: a copy, so that it can take its time on another thread.
struct DoctorFacts {
  std::vector<inventory::Model> models;
  std::vector<std::pair<ModelId, wire::Hello>> workers;  // those that run
  // Empty: it is being chosen, or, with `choose_engine`, to be chosen by doctor.
  std::optional<Result<EngineChoice>> engine;
  Bytes budget;
  Bytes used;
  std::string address;                           // "http://127.0.0.1:5273"; "" without a daemon
  std::optional<Result<>> receipts{};            // whether they are on disk
  std::map<ModelId, std::string> quarantined{};  // why, in words
  std::map<ModelId, std::string> died{};         // a worker of the others, in words
  std::string fetcher{};                         // as how_to_mend() takes it
  bool choose_engine = false;                    // where no daemon has done it
  std::string variant_set{};                     // engine.variant, for that
  size_t pulls = 0;                              // that run
  std::string restraint{};                       // why fewer threads compute, or a lane waits
  bool background_waits = false;                 // for that
};

class Core final : public api::Service, Residents::Owner, Pulls::Owner {
 public:
  static constexpr milliseconds kDrainAfter{
      2'000};  // a model that waits for room lets others begin
  static constexpr milliseconds kRoomWaitMax{120'000};  // then its requests end with NoRoom
  // A model for which somebody has waited so long goes before those with more urgent requests that
  // change places again and again.
  static constexpr milliseconds kRoomTurnAfter{60'000};
  static constexpr milliseconds kCancelMax{
      10'000};  // a worker that ignores Cancel for so long is ended
  // A request whose worker died is computed by the next, as often; the answer goes on where it was.
  static constexpr unsigned kResumesMax = 2;
  static constexpr milliseconds kLookAfter{3'000};  // when nobody is in a hurry any more
  // Whoever asks about models is answered without the machine's speed when it takes longer to
  // measure, since others compute.
  static constexpr milliseconds kSpeedsWaitMax{20'000};
  static constexpr int64_t kDeadlineMaxMs = int64_t{24} * 3'600'000;
  static constexpr size_t kAskedReceiptsMax = 1'000;
  static constexpr size_t kOwnersMax = 4'096;  // that a worker tells apart; the rest are one

  struct Options {
    Residents::Options residents;
    std::string models_default;  // as the person wrote it; "" for the list's own choice
    bool models_preload = false;
    double background_share = 0.05;  // of the places that come free, sched/queue.h
  };
  // What it is told of its surroundings, for answers to questions.
  // Blocking; on the background thread.
  using Question = std::function<Result<Json>(const Json& arguments)>;
  struct Surroundings {
    Json settings = Json::array();                   // "config"
    Json status = Json::object();                    // fields of "status" that never change
    std::filesystem::path person;                    // the person's home folder, for models.find
    std::function<Json(const DoctorFacts&)> doctor;  // blocking; on the background thread
    // How fast this machine computes with that engine (app/machine); blocking, on `measures`.
    // Empty where nothing can be measured.
    std::function<Result<Json>(const EngineChoice&, Measure)> speeds{};
    Background* measures = nullptr;        // nullptr: with the other blocking questions
    std::function<void()> stop;            // the daemon is asked to end
    std::map<std::string, Question> more;  // questions that others answer, by name
  };

  // The references must outlive it; `slow` is where blocking questions are answered.
  Core(Loop& loop, Log& log, inventory::Models models, route::Receipts receipts, Background& slow,
       Residents::Spawn spawn, Options options, Surroundings surroundings);
  ~Core() override;

  api::WorkId submit(api::Work work, std::shared_ptr<api::Sink> sink) override;
  void cancel(api::WorkId work) override;
  void ask(const std::string& question, Json arguments, api::Reply reply) override;

  // Loop thread.
  void set_engine(Result<EngineChoice> engine);
  // Where the door listens, for "status": known only once it is open.
  void set_address(std::string address);
  // From where models may be pulled; without it that is Unsupported. `disk` must outlive this.
  void set_pulls(Background& disk, Pulls::Options options);
  // What the machine leaves to compute with now; for showing.
  void set_restraint(const sched::Restraint::Decision& decision);
  // Ends all work with Cancelled and all workers; `done` is called when nothing is left.
  void shut_down(std::function<void()> done);

  // For tests and the simulator.
  // Memory is short on this machine.
  void relieve(std::string_view why) { residents_.relieve(why); }
  const sched::Ladder& ladder() const { return residents_.ladder(); }
  size_t waiting() const { return queue_.size(); }
  size_t in_progress() const { return doing_.size(); }

 private:
  struct Doing;
  struct Part {            // of some work, with a worker
    api::WorkId work = 0;  // 0: cancelled, the worker has not said so yet
    unsigned choice = 0;
    ModelId model;
    Lane lane;
    std::string owner;
    double charged_ms;  // at the handing out, before what it takes is known
    sched::Ladder::Pin pin;
    SteadyTime handed{};
    Loop::TimerId limit = 0;  // of the cancelling
    bool begun = false;       // else it waits in the worker, for a place or for cells
  };
  using Ended = Result<>;

  uint32_t number_of(const consent::Principal& who);
  void accept(api::WorkId id, std::unique_ptr<Doing> doing);
  Result<const inventory::Model*> model_for(const api::Work& work) const;
  Result<const inventory::Model*> default_model(inventory::Use use) const;
  void finish(api::WorkId id, Ended result);
  void complete_receipt(Doing& doing, const Ended& result) const;
  void explain_draft(Doing& doing) const;
  void note_wait(Doing& doing, SteadyTime handed) const;
  void report_started(Doing& doing, Tokens prompt_tokens);

  void schedule_pump();
  void pump();
  std::vector<ModelId> in_order_of_room();
  void hand_out(const ModelId& model);
  bool must_renew(const ModelId& model);
  std::optional<Lane> best_lane(const ModelId& model) const;
  void tell_lane(const ModelId& model);
  void settle(const Part& part, double took_ms, bool whole);
  bool hand_part(const ModelId& model, api::WorkId id);
  Places<std::string> places_of(const ModelId& model) const;
  wire::Frame frame_of(const Doing& doing, unsigned choice);
  bool suspected(api::WorkId id) const;
  bool goes_on(api::WorkId id, const std::vector<unsigned>& choices, const Error& error);
  Error too_often(const Doing& doing, const Error& error) const;
  void watch_blocked(const inventory::Model& model);
  void fail_waiting(const ModelId& model, const Error& error);

  // Residents::Owner
  void loaded(const ModelId& model) override;
  void lost(const ModelId& model, const Error& error, Residents::Lost lost) override;
  void frame(const ModelId& model, wire::Frame frame) override;
  void changed() override { schedule_pump(); }

  // Pulls::Owner
  void inspect_pulled(Fd file, const std::string& name, Pulls::Inspected done) override;
  Result<Json> add_pulled(const std::filesystem::path& file, const std::string& id,
                          Json info) override;
  bool has_model(const std::string& id) const override;

  Result<> pass_on(Doing& doing, unsigned choice, std::vector<wire::Delta> deltas);
  void on_delta(Doing& doing, unsigned choice, wire::Delta delta);
  void count_prompt(Doing& doing, uint64_t there, uint64_t reused);
  void on_done(api::WorkId id, Doing& doing, unsigned choice, wire::Done done);
  void preload();
  void look_inside();
  bool look_inside_projector(const inventory::Model& model);
  void inspect_projector(const std::filesystem::path& file, Fd opened,
                         std::function<void(Result<inventory::Projector>)> done);
  void add_files(const std::filesystem::path& file, const std::string& id,
                 std::filesystem::path projector, const api::Reply& reply);

  // app/questions.cpp
  using Answer = void (Core::*)(const Json& arguments, const api::Reply& reply);
  static Answer answer_named(std::string_view question);
  void models_list(const Json& arguments, const api::Reply& reply);
  void models_show(const Json& arguments, const api::Reply& reply);
  void models_add(const Json& arguments, const api::Reply& reply);
  void models_rm(const Json& arguments, const api::Reply& reply);
  void models_pin(const Json& arguments, const api::Reply& reply);
  void models_evict(const Json& arguments, const api::Reply& reply);
  void models_find(const Json& arguments, const api::Reply& reply);
  void pulls_add(const Json& arguments, const api::Reply& reply);
  void pulls_list(const Json& arguments, const api::Reply& reply);
  void pulls_show(const Json& arguments, const api::Reply& reply);
  void pulls_cancel(const Json& arguments, const api::Reply& reply);
  void pulls_stop(const Json& arguments, const api::Reply& reply);
  void ps(const Json& arguments, const api::Reply& reply);
  void metrics(const Json& arguments, const api::Reply& reply);
  void why(const Json& arguments, const api::Reply& reply);
  void receipts(const Json& arguments, const api::Reply& reply);
  void doctor(const Json& arguments, const api::Reply& reply);
  void status(const Json& arguments, const api::Reply& reply);
  void config(const Json& arguments, const api::Reply& reply);
  void stop(const Json& arguments, const api::Reply& reply);
  void stop_thinking(const Json& arguments, const api::Reply& reply);

  // app/plans.cpp
  void catalogue(const Json& arguments, const api::Reply& reply);
  void plan(const Json& arguments, const api::Reply& reply);
  void with_speeds(Measure measure, const std::function<void()>& then);
  void measured_first(Measure measure, const std::function<void()>& then);
  void look_up_speeds(Measure measure, const std::function<void()>& then);
  // `copies`: of a model that is not here; see inventory/needs.h
  Json plan_of(const inventory::Model& model, const inventory::Speeds* copies = nullptr) const;
  struct Answered;  // what a model's answers here have measured
  Answered answered(const ModelId& model) const;

  void in_background(std::function<Result<Json>()> work, const api::Reply& reply);
  Json shown(const inventory::Model& model) const;
  size_t computing(const ModelId& model) const;
  // Here, or in its worker for a place there.
  std::vector<sched::JobId> waiting_for(const ModelId& model) const;
  int64_t longest_wait_ms(const std::vector<sched::JobId>& waiting) const;
  SteadyTime arrived(api::WorkId id) const;
  Lane lane_of(api::WorkId id) const;

  SteadyTime now() const { return loop_.clock().now(); }

  Loop& loop_;
  Log& log_;
  Background& slow_;
  inventory::Models models_;
  route::Receipts receipts_;
  Metrics metrics_;
  const Options options_;
  Surroundings surroundings_;
  Residents residents_;
  const Residents::Spawn spawn_;
  std::unique_ptr<Pulls> pulls_;  // nullptr: not set
  sched::Queue queue_;
  std::atomic<api::WorkId> next_work_{1};
  Mutex owners_mutex_;
  std::map<std::string, uint32_t> owners_ GUARDED_BY(owners_mutex_);  // by principal: from 1
  uint64_t next_wire_id_ = 1;
  std::map<api::WorkId, std::unique_ptr<Doing>> doing_;
  sched::Restraint::Decision restraint_;
  std::map<ModelId, double> usual_ms_;  // that a part takes of the device
  std::map<uint64_t, Part> parts_;      // by wire id; destroyed before residents_, which they pin
  ModelId blocked_;                     // the model that waits for room, "" for none
  SteadyTime blocked_since_{};
  Loop::TimerId blocked_timer_ = 0;
  std::map<ModelId, SteadyTime> unserved_since_;  // models that somebody waits for
  std::set<ModelId> draining_;                    // get no new parts, so that blocked_ has room
  std::set<ModelId> looked_inside_;               // whether or not it told something
  bool pump_scheduled_ = false;
  bool stopping_ = false;
  std::optional<inventory::Speeds> speeds_;  // once they were asked for
  SteadyTime speeds_until_{};                // then they are measured again
  struct Asking {                            // somebody who waits for them
    std::function<void()> then;
    Loop::TimerId limit = 0;
  };
  std::map<uint64_t, Asking> asking_speeds_;
  uint64_t next_asking_ = 1;
  bool measuring_ = false;  // of those who wait, all are told when it ends
  const SteadyTime begun_;
};

}  // namespace lares::app
