// Batcher: many requests, one Model. Each step computes a token for the answers in progress and as
// much of the waiting prompts as its time allows (plan.h says whose turn it is); prompts begin at
// the longest prefix that some sequence already holds. Requests in, events out; the same for every
// backend. No policy about who may ask: that is the daemon's.
//
//   add() ──> waiting ──admit()──> computing (prompt, then token by token) ──finish()──> ended
//                ^                     │
//                └──── preempt() ──────┘   its cells or its sequence go to another (base/places.h
//                says whose): what it computed is parked, or computed anew
//   add() ──> waiting ──embed_step()──> ended   of vectors and scores
//   cancel()   from any state ──> ended
//
// Beside it may be a draft model (drafter.h), which computes inside the same steps.
//
// A conversation that ended rests in its cells, is copied out of them (parked.h) when there is
// nothing to compute or others have computed for a while, and loses them then or when another
// begins.
//
// Every request ends exactly once, by Done or Failed. A request alone never lacks cells: its prompt
// is no longer than the context, and its answer ends there ("length"). What is asked becomes a
// request elsewhere (request_maker.h). Compute thread only, but for interrupt(), hurry(), arrived()
// and token_ms().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "engine/adapter_sets.h"
#include "engine/drafter.h"
#include "engine/embeddings.h"
#include "engine/lease.h"
#include "engine/model.h"
#include "engine/parked.h"
#include "engine/plan.h"
#include "engine/request.h"
#include "engine/request_maker.h"
#include "engine/set_turns.h"
#include "engine/shares.h"
#include "engine/slots.h"
#include "engine/step_cost.h"
#include "wire/message.h"

namespace lares::engine {

inline constexpr size_t kWaitingMax = 256;  // requests; more are Busy
// A step should take no longer: of one request alone, of the prompts of several that were asked for
// together while their first answers have only begun, of several that nobody reads along with, and
// while somebody does, or another worker waits.
inline constexpr double kStepMs = 1000;
inline constexpr double kStepBurstMs = 750;
inline constexpr double kStepTogetherMs = 250;
inline constexpr double kStepSharedMs = 60;
// Prompts that are read sooner than that are worth a few longer steps to those who asked for them.
inline constexpr double kBurstMaxMs = 2000;
inline constexpr size_t kJustBegun = 16;  // tokens of an answer that is part of such a burst
// What is left of a step when something urgent comes, if it is to be given up for that.
inline constexpr milliseconds kWorthAborting{40};
inline constexpr size_t kParkMin = 64;    // tokens; what is shorter rests in its cells
inline constexpr uint64_t kRestMax = 64;  // steps of others for which a conversation rests there
// For so long whoever needs fewer cells goes before one that lacks them; then it takes them.
inline constexpr milliseconds kBlockedMax{10'000};

class Batcher {
 public:
  using Event = std::variant<wire::Started, wire::Progress, wire::Delta, wire::Done, wire::Failed>;
  using Out = std::function<void(uint64_t id, Event)>;
  using CpuMs = std::function<double()>;  // used until now, by all threads that compute
  // True: the events from here on are those of one step, and may be held until false.
  using Together = std::function<void(bool)>;

  // `model`, `pulse`, `clock` and `lease` must outlive it; the clock may be asked by several
  // threads.
  Batcher(
      Model& model, Pulse& pulse, const Clock& clock, Lease& lease, Out out,
      CpuMs cpu_ms = process_cpu_ms, Together together = [](bool) {});
  ~Batcher();

  // Answers are drafted by `draft` where that pays. It was loaded to draft for this one
  // (LoadOrder::drafts_for), and outlives the Batcher. Before the first step.
  void draft_with(Model& draft);

  // Its id is not in use. Failed where there is too much already, or its adapters cannot be read.
  void add(Made made);
  void stop_thinking(uint64_t id);  // its answer begins; unknown, or not thinking: no effect
  void cancel(uint64_t id);         // Failed{Cancelled} before it returns; unknown: no effect
  bool has(uint64_t id) const;

  // Where its model stands (base/rung.h), and the one that drafts for it. Below Hot the
  // conversations rest outside of the cells. Requires: at_rest(), where it is to descend.
  Rung rung() const { return rung_; }
  bool at_rest() const { return waiting_.empty() && computing_.empty() && embeddings_.empty(); }
  Result<> stand(Rung rung, bool for_others);
  // What is held by both models and by conversations that rest.
  uint64_t memory_bytes() const;

  // Computes one step, when this worker has the device. False: there was nothing to do.
  bool step();

  // Any thread. The running step, or the next, is abandoned when `id` is most of it; cancel() must
  // follow.
  void interrupt(uint64_t id);
  // Any thread. A request of that lane comes: the running step, or the next, is abandoned when it
  // is less urgent and has long to run, and is computed again afterwards. add() or arrived() must
  // follow.
  void hurry(Lane lane);
  void arrived(Lane lane);  // any thread: it is here, or does not come
  // Any thread. What a token of one more answer would take now, in ms; 0: unknown.
  double token_ms() const { return token_ms_.load(std::memory_order_relaxed); }

  const Slots& slots() const { return slots_; }
  const Parked& parked() const { return parked_; }

 private:
  struct Part {
    Request* request;
    size_t rows;
    size_t drafts = 0;    // rows behind them, which may be wrong; until they are drafted, at most
    size_t catch_up = 0;  // rows of the draft model before it drafts
    size_t all() const { return rows + drafts; }
    bool chooses() const { return rows == request->pending(); }  // the next token
  };
  enum class Placed { Yes, Later, NoRoom };
  using Requests = std::deque<std::unique_ptr<Request>>;

  void add_answer(std::unique_ptr<Request> request);
  Result<> load_adapters(const std::vector<Adapter>& adapters);
  Lane worst() const;

  void admit();
  Requests::iterator next_waiting(bool owed, const std::set<uint64_t>& but);
  bool make_way(const Request& request);
  void admitted(Request& request);
  bool take_cells(Request& request);
  Placed place(Request& request);
  Placed place_exactly(Request& request);
  void begin(Request& request, Slots::Place place, std::optional<Parked::Found> parked);
  size_t unpark(Sequence to, const Parked::Found& parked, Position end);
  void leave_cells(Sequence but);
  bool leave_all_cells();
  bool park_one();
  void leave_rested();
  bool park(Sequence sequence);
  bool may_build_on(const Request& request, Sequence sequence) const;
  bool window_whole(Sequence sequence, size_t keep) const;
  bool must_wait_for_prefix(const Request& request, size_t keep) const;
  std::vector<Part> plan();
  std::vector<Turn> turns_of_one_set(std::span<const Want> wants, const StepLimits& limits);
  double step_ms() const;
  double shared_step_ms() const;
  void add_drafts(std::vector<Part>& parts);
  Speculation::Step speculation_step(const Request& request, double weight, size_t others,
                                     size_t room, size_t draft_room);
  double weight(const Part& part) const;
  double weight(const std::vector<Part>& parts) const;
  double drafting_ms(size_t rows) const;
  double drafting_ms(const std::vector<Part>& parts) const;
  // Of the draft model, in one step.
  struct Drafting {
    double ms = 0;
    double cpu_ms = 0;
  };
  Decoded draft(std::vector<Part>& parts, Drafting& drafting);
  void end_drafting(Request& request);
  bool media_step(const Part& part);
  Decoded compute_media(const Part& part, size_t rows);
  void give_up_cells();
  bool make_cells(size_t needed);
  void preempt(Request& request);
  Request* youngest_of_least_urgent() const;
  bool preempt_youngest();
  void clear(Sequence sequence);
  Decoded compute(std::vector<Part>& parts, Drafting& drafting);
  struct Running {
    std::vector<std::pair<uint64_t, size_t>> whose;  // and how many rows each
    size_t rows = 0;
    Lane lane = Lane::Interactive;  // the most urgent of them
    SteadyTime until{};             // as far as is known; max() without
  };
  void running(Running step);
  SteadyTime expected_end(const StepCost& cost, double rows) const;
  void abort_locked() REQUIRES(mutex_);
  void advance(const std::vector<Part>& parts);
  void note_exact(const std::vector<Part>& parts);
  void broken(const std::vector<Part>& parts);
  Lease::Step lease_step(const std::vector<Part>& parts, double rows, const StepCost& cost) const;
  void charge(const std::vector<Part>& parts, double cpu_ms, const Drafting& drafting);
  void say(const Part& part, int row);
  bool choose(Request& request, int row);
  void tell(Request& request, std::string text);
  void tell_nobody(Request& request, const std::string& text);
  void tell_news(Request& request, AnswerReader::News news);
  void tell(Request& request, wire::Delta delta);
  void finish(Request& request, std::string reason);
  void fail(Request& request, Error error);
  void drop(Request& request);
  bool embed_step();

  Model& model_;
  Pulse& pulse_;
  const Clock& clock_;
  Lease& lease_;
  const Out out_;
  const CpuMs cpu_ms_;
  const Together together_;
  Shares shares_;
  Embeddings embeddings_;
  Slots slots_;
  Parked parked_;
  AdapterSets sets_;
  SetTurns set_turns_;
  std::vector<uint64_t> park_tried_;  // of each sequence: Slot::used when that was done
  std::vector<uint64_t> rested_;      // of each: the steps of others
  Requests waiting_;                  // in the order of arrival
  Requests computing_;                // in the order of admission
  StepCost cost_;
  StepCost embed_cost_;
  StepCost encode_cost_;   // of media, by their rows
  double cpu_per_ms_ = 1;  // of the steps until now
  std::atomic<double> token_ms_{0};
  uint64_t turns_ = 0;
  std::vector<Row> rows_;  // of the step, kept for its memory

  Rung rung_ = Rung::Hot;
  Model* draft_ = nullptr;
  std::unique_ptr<Drafter> drafter_;  // nullptr: there is none
  double draft_share_ = 1;            // its size, of the model's
  Odds draft_odds_;                   // of the answers until now

  Mutex mutex_;
  Running running_ GUARDED_BY(mutex_);                                   // no rows: none runs
  std::set<uint64_t> interrupted_ GUARDED_BY(mutex_);                    // and not cancelled yet
  std::array<size_t, kLaneNames.size()> hurrying_ GUARDED_BY(mutex_){};  // and not here yet
};

}  // namespace lares::engine
