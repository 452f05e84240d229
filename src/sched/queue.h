// Queue: who waits for which model, and who is next. Pure: no clock, no I/O; facts in, decisions
// out. Not thread-safe: the run-loop thread owns it.
//
// A job asks one model for one or more parts (the n answers of one request), which are handed out
// one by one. Per model, lanes go before each other (interactive, agent, background). Within a lane
// owners (apps) are served fairly: the next part is that of the owner who was charged least for
// computing, and of its jobs whoever came first. An owner that comes back from rest is lifted to
// the least of those that wait, or to where the lane's service has come where none does, so that
// rest earns nothing (VTC, OSDI '24). Of a model's parts, background's share goes to the oldest job
// of any lane (each 20th at 5 %), so that none waits for ever behind a stream of better ones; where
// there is no place for that one, its turn is put off and not lost.
//
//   add() ──> waiting ──take() of the last part, or remove()──> gone
//                ^───────────────── give_back() ──────────────────'
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/lane.h"
#include "base/result.h"
#include "base/units.h"
#include "sched/model_id.h"

namespace lares::sched {

using lares::Lane;
using lares::lane_named;

using JobId = uint64_t;

struct Job {
  JobId id = 0;
  ModelId model;
  Lane lane = Lane::Interactive;
  unsigned parts = 1;
  Bytes size;  // of the prompt, as it waits in memory
  std::string owner = "";
};

class Queue {
 public:
  static constexpr size_t kWaitingMax = 256;  // jobs, of all models
  static constexpr size_t kWaitingPerModelMax =
      192;  // so that one model's flood leaves room for others
  static constexpr size_t kWaitingBackgroundMax = 128;  // and background's for people
  static constexpr Bytes kWaitingBytesMax = MiB(128);   // prompts of all jobs
  static constexpr size_t kOwnersMax = 256;             // of those that wait for nothing

  // `background_share`: of the parts that are taken while better jobs wait, those of whoever came
  // first. 0: none. Requires: 0 to 1.
  explicit Queue(double background_share = 0.05);

  // Busy, naming the limit that is reached. Requires: an id that is not waiting, at least one part.
  Result<> add(Job job);

  // Parts that were taken are to be computed again. They wait before those that came later, and no
  // limit turns them away: they were let in once. Requires: as add(), but for the id, of which the
  // other parts may still wait.
  void give_back(Job job);

  // Drops a job and its parts that were not taken. False: it is not waiting.
  bool remove(JobId id);

  // The job whose next part is to be computed on `model`, of those that `may` be and for which
  // there is a place now (`fits`); nullopt when none waits.
  using May = std::function<bool(JobId)>;
  std::optional<JobId> take(const ModelId& model, const May& may = {}, const May& fits = {});

  // What an owner's parts took of the device, in milliseconds; less than 0 corrects an estimate.
  void charge(const std::string& owner, Lane lane, double ms);

  // The models that somebody waits for, the one with the best first job first (lane, then arrival).
  std::vector<ModelId> models() const;

  // The jobs that wait for `model`, in order of arrival.
  std::vector<JobId> waiting_for(const ModelId& model) const;
  // How many jobs on the same model wait before this one: in better lanes, and in its own since
  // earlier. By what their owners had, some of them may be taken after it.
  size_t ahead_of(JobId id) const;

  size_t size() const { return waiting_.size(); }
  Bytes bytes() const { return bytes_; }

 private:
  double served(const Job& job) const;
  void lift(const Job& job);
  const double background_share_;
  std::vector<Job> waiting_;  // in order of arrival
  Bytes bytes_;
  // What the oldest job of a model is owed, in parts; only models with jobs waiting.
  std::map<ModelId, double> owed_;
  std::map<std::pair<std::string, Lane>, double> served_;  // ms, virtual
  std::array<double, kLaneNames.size()> level_{};  // of each lane: the most that one had when taken
};

}  // namespace lares::sched
