// Queue: who waits for which model, and who is next. Pure: no clock, no I/O; facts in, decisions
// out. Not thread-safe: the run-loop thread owns it.
//
// A job asks one model for one or more parts (the n answers of one request), which are handed out
// one by one. Per model, lanes go before each other (interactive, agent, background) and within a
// lane whoever came first. Each kOldestEvery-th part of a model goes to the oldest job of any lane,
// so that none waits for ever behind a stream of better ones.
//
//   add() ──> waiting ──take() of the last part, or remove()──> gone
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/lane.h"
#include "base/result.h"
#include "base/units.h"
#include "sched/residency.h"

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
};

class Queue {
 public:
  static constexpr size_t kWaitingMax = 256;  // jobs, of all models
  static constexpr size_t kWaitingPerModelMax =
      192;  // so that one model's flood leaves room for others
  static constexpr size_t kWaitingBackgroundMax = 128;  // and background's for people
  static constexpr Bytes kWaitingBytesMax = MiB(128);   // prompts of all jobs
  static constexpr unsigned kOldestEvery = 20;          // background keeps 5 %

  // Busy, naming the limit that is reached. Requires: an id that is not waiting, at least one part.
  Result<> add(Job job);

  // Drops a job and its parts that were not taken. False: it is not waiting.
  bool remove(JobId id);

  // The job whose next part is to be computed on `model`; nullopt when none waits.
  std::optional<JobId> take(const ModelId& model);

  // The models that somebody waits for, the one with the best first job first (lane, then arrival).
  std::vector<ModelId> models() const;

  // The jobs that wait for `model`, in order of arrival.
  std::vector<JobId> waiting_for(const ModelId& model) const;
  // How many jobs on the same model would be taken before this one.
  size_t ahead_of(JobId id) const;

  size_t size() const { return waiting_.size(); }
  Bytes bytes() const { return bytes_; }

 private:
  std::vector<Job> waiting_;  // in order of arrival
  Bytes bytes_;
  std::map<ModelId, unsigned> taken_;  // parts, modulo kOldestEvery; only models with jobs waiting
};

}  // namespace lares::sched
