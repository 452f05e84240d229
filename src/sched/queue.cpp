#include "sched/queue.h"

#include <algorithm>

#include "base/text.h"

namespace lares::sched {
namespace {

constexpr double kOwed = 1 - 1e-9;  // as often as it says, though 20 times 0.05 is not quite 1

Error busy(std::string_view what) {
  return {Code::Busy, cat("the queue is full: ", what, "; retry in a few seconds")};
}

}  // namespace

Queue::Queue(double background_share) : background_share_(background_share) {
  assert(background_share >= 0);
  assert(background_share <= 1);
}

Result<> Queue::add(Job job) {
  assert(job.parts > 0);
  size_t same_model = 0;
  size_t background = 0;
  for (const Job& other : waiting_) {
    assert(other.id != job.id);
    if (other.model == job.model) same_model++;
    if (other.lane == Lane::Background) background++;
  }
  if (waiting_.size() >= kWaitingMax) return busy(cat(kWaitingMax, " requests wait"));
  if (same_model >= kWaitingPerModelMax)
    return busy(cat(kWaitingPerModelMax, " requests wait for '", job.model, "'"));
  if (job.lane == Lane::Background && background >= kWaitingBackgroundMax)
    return busy(cat(kWaitingBackgroundMax, " background requests wait"));
  // the first always enters, however large: the front door bounds it
  if (!waiting_.empty() && bytes_ + job.size > kWaitingBytesMax)
    return busy(cat("prompts of ", bytes_, " wait, at most ", kWaitingBytesMax, " may"));
  bytes_ += job.size;
  lift(job);
  waiting_.push_back(std::move(job));
  return Unit{};
}

void Queue::give_back(Job job) {
  assert(job.parts > 0);
  const auto rest = std::find_if(waiting_.begin(), waiting_.end(),
                                 [&](const Job& other) { return other.id == job.id; });
  if (rest != waiting_.end()) {
    rest->parts += job.parts;
    return;
  }
  bytes_ += job.size;
  const auto later = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Job& other) { return other.id > job.id; });
  waiting_.insert(later, std::move(job));
}

double Queue::served(const Job& job) const {
  const auto found = served_.find({job.owner, job.lane});
  return found == served_.end() ? 0 : found->second;
}

// Before it is among the waiting.
void Queue::lift(const Job& job) {
  std::optional<double> least;
  for (const Job& other : waiting_) {
    if (other.lane != job.lane) continue;
    if (other.owner == job.owner) return;  // it did not rest
    least = least ? std::min(*least, served(other)) : served(other);
  }
  double& mine = served_[{job.owner, job.lane}];
  mine = std::max(mine, least.value_or(level_[static_cast<size_t>(job.lane)]));
}

void Queue::charge(const std::string& owner, Lane lane, double ms) {
  double& mine = served_[{owner, lane}];
  mine = std::max(0.0, mine + ms);
  if (served_.size() <= kOwnersMax) return;
  std::erase_if(served_, [&](const auto& entry) {
    return entry.first != std::pair{owner, lane} &&
           std::none_of(waiting_.begin(), waiting_.end(), [&](const Job& job) {
             return job.owner == entry.first.first && job.lane == entry.first.second;
           });
  });
}

bool Queue::remove(JobId id) {
  const auto it =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Job& j) { return j.id == id; });
  if (it == waiting_.end()) return false;
  bytes_ -= it->size;
  const ModelId model = std::move(it->model);
  waiting_.erase(it);
  const bool last = std::none_of(waiting_.begin(), waiting_.end(),
                                 [&](const Job& j) { return j.model == model; });
  if (last) owed_.erase(model);
  return true;
}

std::optional<JobId> Queue::take(const ModelId& model, const May& may, const May& fits) {
  Job* oldest = nullptr;
  Job* best = nullptr;
  bool oldest_fits = false;
  for (Job& job : waiting_) {
    if (job.model != model || (may && !may(job.id))) continue;
    if (!oldest) oldest = &job;
    if (fits && !fits(job.id)) continue;
    oldest_fits = oldest_fits || oldest == &job;
    if (!best || job.lane < best->lane || (job.lane == best->lane && served(job) < served(*best)))
      best = &job;
  }
  if (!best) return std::nullopt;
  double& owed = owed_[model];
  owed += background_share_;
  const bool due = owed >= kOwed;
  const bool its_turn = due && oldest_fits;
  if (its_turn) {
    owed -= 1;
  } else if (due) {
    owed = 1 - background_share_;  // the next part's, and still one
  }
  Job& next = its_turn ? *oldest : *best;
  double& level = level_[static_cast<size_t>(next.lane)];
  level = std::max(level, served(next));
  const JobId id = next.id;
  if (--next.parts == 0) remove(id);
  return id;
}

std::vector<ModelId> Queue::models() const {
  std::vector<const Job*> firsts;  // each model's best job
  for (const Job& job : waiting_) {
    const auto same = std::find_if(firsts.begin(), firsts.end(),
                                   [&](const Job* j) { return j->model == job.model; });
    if (same == firsts.end()) {
      firsts.push_back(&job);
    } else if (job.lane < (*same)->lane) {
      *same = &job;
    }
  }
  // pointers into one vector: their order is the order of arrival
  std::sort(firsts.begin(), firsts.end(), [](const Job* a, const Job* b) {
    return a->lane != b->lane ? a->lane < b->lane : a < b;
  });
  std::vector<ModelId> ids;
  ids.reserve(firsts.size());
  for (const Job* job : firsts) ids.push_back(job->model);
  return ids;
}

std::vector<JobId> Queue::waiting_for(const ModelId& model) const {
  std::vector<JobId> ids;
  for (const Job& job : waiting_) {
    if (job.model == model) ids.push_back(job.id);
  }
  return ids;
}

size_t Queue::ahead_of(JobId id) const {
  const auto it =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Job& j) { return j.id == id; });
  if (it == waiting_.end()) return 0;
  size_t ahead = 0;
  for (auto other = waiting_.begin(); other != waiting_.end(); ++other) {
    if (other->model != it->model || other == it) continue;
    if (other->lane < it->lane || (other->lane == it->lane && other < it)) ahead++;
  }
  return ahead;
}

}  // namespace lares::sched
