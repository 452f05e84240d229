#include "engine/intake.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "engine/step_cost.h"

namespace lares::engine {

Intake::Intake(Tell tell) : tell_(std::move(tell)), thread_([this] { run(); }) {
  ::pthread_getcpuclockid(thread_.native_handle(), &clock_);
}

Intake::~Intake() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

void Intake::add(uint64_t id, Lane lane, size_t bytes, Work work) {
  const MutexLock lock(mutex_);
  known_.insert(id);
  const auto place = std::upper_bound(waiting_.begin(), waiting_.end(), lane,
                                      [](Lane of, const Job& job) { return of < job.lane; });
  waiting_.insert(place, {id, lane, bytes, std::move(work)});
  bytes_ += bytes;
  busy_ = true;
  wake_.notify_one();
}

std::optional<Made> Intake::take() {
  const MutexLock lock(mutex_);
  if (ready_.empty()) return std::nullopt;
  known_.erase(ready_.front().id);
  Made made = std::move(ready_.front().made);
  ready_.pop_front();
  return made;
}

bool Intake::has(uint64_t id) const {
  const MutexLock lock(mutex_);
  return known_.contains(id);
}

Intake::Load Intake::load() const {
  const MutexLock lock(mutex_);
  return {known_.size(), bytes_};
}

bool Intake::drop(uint64_t id) {
  std::optional<Ready> was;  // destroyed when nobody is kept waiting
  {
    const MutexLock lock(mutex_);
    if (known_.erase(id) == 0) return false;
    const auto is_it = [id](const auto& each) { return each.id == id; };
    if (const auto job = std::find_if(waiting_.begin(), waiting_.end(), is_it);
        job != waiting_.end()) {
      bytes_ -= job->bytes;
      waiting_.erase(job);
    }
    if (const auto ready = std::find_if(ready_.begin(), ready_.end(), is_it);
        ready != ready_.end()) {
      was = std::move(*ready);
      ready_.erase(ready);
    }
  }
  if (was) tell_.dropped(was->lane);
  return true;
}

double Intake::cpu_ms() const { return engine::cpu_ms(clock_); }

std::optional<Intake::Job> Intake::next() {
  const MutexLock lock(mutex_);
  busy_ = !waiting_.empty();
  while (waiting_.empty() && !stop_) wake_.wait(mutex_);
  if (stop_) return std::nullopt;
  Job job = std::move(waiting_.front());
  waiting_.pop_front();
  return job;
}

void Intake::over(const Job& job, Result<Made> made) {
  if (!made) {
    bool dropped = false;
    {
      const MutexLock lock(mutex_);
      dropped = known_.erase(job.id) == 0;
    }
    if (!dropped) tell_.failed(job.id, std::move(made).error());
    return;
  }
  tell_.hurry(job.lane);
  bool dropped = false;
  {
    const MutexLock lock(mutex_);
    dropped = !known_.contains(job.id);
    if (!dropped) ready_.push_back({job.id, job.lane, *std::move(made)});
  }
  if (dropped)
    tell_.dropped(job.lane);
  else
    tell_.ready();
}

void Intake::run() {
  while (auto job = next()) {
    Result<Made> made = job->work();
    job->work = nullptr;
    {
      const MutexLock lock(mutex_);
      bytes_ -= job->bytes;
    }
    over(*job, std::move(made));
  }
}

}  // namespace lares::engine
