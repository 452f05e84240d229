// GangDay: a day on one device from a seed: models whose workers want turns for answers, prompts
// and background work, keep to the rules or do not, and a Gang that says whose turn it is.
//
// Held after every event: whoever wants the device while nobody computes gets it; nobody waits
// longer than the lanes, the others and the faults of this day explain. Held at the end: every job
// of a worker that lives was computed whole, once. In a contest, where all have work all the time:
// equal time within a lane, and for worse lanes what they are owed.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "sched/gang.h"

namespace lares::sim {

class GangDay {
 public:
  explicit GangDay(uint64_t seed) : random_(seed), gang_({.agent = 0.1, .background = 0.05}) {}

  // Nothing wrong: "".
  std::string live() {
    contest_ = chance(3) == 0;
    faulty_ = !contest_ && chance(2) == 0;
    const uint64_t count = 2 + chance(5);
    for (uint64_t i = 1; i <= count; i++) enter(i);
    const SteadyTime evening = SteadyTime{} + milliseconds(contest_ ? 60'000 : 20'000);
    while (now_ < evening && wrong_.empty()) {
      if (!contest_ && chance(3) == 0) arrive();
      pass(evening);
    }
    if (contest_) judge_contest();
    // what is left to do is done
    for (int i = 0; i < 200'000 && wrong_.empty() && anything_left(); i++) pass(SteadyTime::max());
    if (wrong_.empty()) judge();
    return wrong_;
  }

 private:
  using Gang = sched::Gang;
  using Lane = sched::Lane;
  using Member = Gang::Member;
  using Duration = Gang::Duration;

  struct Job {
    Lane lane = Lane::Interactive;
    double prompt_ms = 0;  // that is still to be computed
    int tokens = 0;
  };
  struct Worker {
    double token_ms = 10;
    double late = 1;                     // how much longer its steps take than it says
    SteadyTime sulks_at = Gang::kNever;  // then it keeps the device for some seconds
    SteadyTime dies_at = Gang::kNever;
    std::vector<Job> jobs;
    bool computes = false;  // a step of it runs
    bool overdue = false;
    SteadyTime step_ends{};
    double step_prompt_ms = 0;
    SteadyTime waits_since = Gang::kNever;
    bool aborted = false;
    int asked = 0, done = 0;
  };

  uint64_t chance(uint64_t of) { return random_() % of; }
  static Duration ms(double value) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(value));
  }

  void enter(Member member) {
    Worker worker;
    worker.token_ms = 3 + static_cast<double>(chance(40));
    if (faulty_ && chance(3) == 0) {
      switch (chance(3)) {
        case 0: worker.late = 2 + static_cast<double>(chance(4)); break;
        case 1: worker.sulks_at = now_ + milliseconds(chance(20'000)); break;
        default: worker.dies_at = now_ + milliseconds(chance(20'000));
      }
      faults_++;
    }
    gang_.join(member);
    workers_[member] = worker;
    if (contest_) {
      const auto lane = static_cast<Lane>(chance(4) < 2 ? 0 : chance(3));
      ask(member, {lane, chance(3) == 0 ? 1e9 : 0, 1'000'000});
    }
  }

  void arrive() {
    if (workers_.empty()) return;
    auto at = workers_.begin();
    std::advance(at, chance(workers_.size()));
    const uint64_t lane = chance(10);
    ask(at->first,
        {lane < 5   ? Lane::Interactive
         : lane < 7 ? Lane::Agent
                    : Lane::Background,
         static_cast<double>(chance(chance(5) == 0 ? 8'000 : 200)), static_cast<int>(chance(30))});
  }
  void ask(Member member, Job job) {
    Worker& worker = workers_.at(member);
    const bool better = worker.jobs.empty() || job.lane < next_job(worker).lane;
    worker.asked++;
    worker.jobs.push_back(job);
    if (worker.computes || worker.overdue) return;
    if (better) worker.waits_since = now_;
    gang_.wants(member, claim(worker, false), now_);
  }

  // The best lane's job is computed first; a worker has one at a time here.
  static Job& next_job(Worker& worker) {
    return *std::min_element(worker.jobs.begin(), worker.jobs.end(),
                             [](const Job& a, const Job& b) { return a.lane < b.lane; });
  }
  static Gang::Claim claim(Worker& worker, bool pressed) {
    const Job& job = next_job(worker);
    if (job.prompt_ms <= 0) return {job.lane, Gang::Work::Decode, ms(worker.token_ms)};
    return {job.lane, Gang::Work::Prompt, ms(std::min(job.prompt_ms, pressed ? 60.0 : 1'000.0))};
  }

  // Until the next thing happens.
  void pass(SteadyTime evening) {
    const Gang::Orders orders = gang_.decide(now_);
    note_overdue();
    if (!check(orders)) return;
    if (orders.holder) begin_or_abort(*orders.holder, orders);
    SteadyTime next = std::min(evening, orders.again);
    for (auto& [member, worker] : workers_) {
      if (worker.computes || worker.overdue) next = std::min(next, worker.step_ends);
      if (worker.dies_at > now_) next = std::min(next, worker.dies_at);
    }
    if (!contest_ && now_ < evening && evening != SteadyTime::max())
      next = std::min(next, now_ + milliseconds(1 + chance(300)));
    if (next == Gang::kNever) next = now_ + milliseconds(1);
    now_ = std::max(next, now_ + std::chrono::nanoseconds(1));
    end_steps();
    bury();
  }

  // Workers that lost the device without giving it back.
  void note_overdue() {
    for (auto& [member, worker] : workers_) {
      if (!worker.computes || !gang_.seen(member, now_).overdue) continue;
      worker.computes = false;
      worker.overdue = true;
    }
  }

  void begin_or_abort(Member member, const Gang::Orders& orders) {
    Worker& worker = workers_.at(member);
    if (!worker.computes) {
      const Gang::Claim next = claim(worker, orders.pressed);
      gang_.wants(member, next, now_);
      worker.computes = true;
      worker.aborted = false;
      worker.waits_since = Gang::kNever;
      worker.step_prompt_ms = next.work == Gang::Work::Prompt
                                  ? std::chrono::duration<double, std::milli>(next.step).count()
                                  : 0;
      worker.step_ends =
          now_ + ms(std::chrono::duration<double, std::milli>(next.step).count() * worker.late);
      if (now_ >= worker.sulks_at) {
        worker.sulks_at = Gang::kNever;
        worker.step_ends = now_ + milliseconds(2'000 + chance(8'000));
      }
    } else if (orders.abort && !worker.aborted) {
      worker.aborted = true;
      worker.step_ends = std::min(worker.step_ends, now_ + milliseconds(chance(22)));
    }
  }

  void end_steps() {
    for (auto& [member, worker] : workers_) {
      if ((!worker.computes && !worker.overdue) || worker.step_ends > now_) continue;
      if (!worker.aborted) finish_step(worker);
      const bool overdue = std::exchange(worker.overdue, false);
      const bool more = !worker.jobs.empty();
      const bool due = overdue || worker.aborted || now_ >= gang_.decide(now_).until;
      worker.computes = false;
      if (!more) {
        gang_.rests(member, now_);
      } else if (due) {
        gang_.gives_back(member, claim(worker, true), now_);
        worker.waits_since = now_;
      } else {
        begin_or_abort(member, gang_.decide(now_));
      }
    }
  }
  static void finish_step(Worker& worker) {
    Job& job = next_job(worker);
    if (job.prompt_ms > 0) {
      job.prompt_ms -= worker.step_prompt_ms;
    } else {
      job.tokens--;
    }
    if (job.prompt_ms > 1e-6 || job.tokens > 0) return;
    worker.jobs.erase(worker.jobs.begin() + (&job - worker.jobs.data()));
    worker.done++;
  }

  void bury() {
    for (auto at = workers_.begin(); at != workers_.end();) {
      if (at->second.dies_at > now_) {
        ++at;
        continue;
      }
      gang_.leave(at->first, now_);
      at = workers_.erase(at);
    }
  }

  bool anything_left() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const auto& entry) { return !entry.second.jobs.empty(); });
  }

  // Each step of a good worker is at most a second, or 60 ms when somebody waits; a bad one keeps
  // the device for kOverdue, and a late one's steps put its lane into debt.
  bool check(const Gang::Orders& orders) {
    for (auto& [member, worker] : workers_) {
      if (worker.computes || worker.overdue || worker.jobs.empty()) continue;
      if (!orders.holder)
        return complain(cat("worker ", member, " wants the device, which is free"));
      if (worker.waits_since == Gang::kNever || member == *orders.holder) continue;
      const Lane lane = next_job(worker).lane;
      const double each = lane == Lane::Interactive ? 500 : lane == Lane::Agent ? 12'000 : 20'000;
      const double fault = lane == Lane::Interactive ? 4'000 : 20'000;
      const double most = (each + faults_ * fault) * static_cast<double>(workers_.size());
      if (now_ - worker.waits_since > ms(most))
        return complain(cat("worker ", member, " in lane ", name(lane), " waits for ",
                            (now_ - worker.waits_since) / milliseconds(1), " ms; ", shown(orders)));
    }
    return true;
  }

  void judge() {
    for (const auto& [member, worker] : workers_) {
      if (worker.done != worker.asked && !contest_)
        complain(cat("worker ", member, " did ", worker.done, " of ", worker.asked, " jobs"));
    }
  }

  void judge_contest() {
    std::map<Lane, std::vector<double>> held;
    double all = 0;
    for (const auto& [member, worker] : workers_) {
      const double took = std::chrono::duration<double>(gang_.seen(member, now_).held).count();
      held[worker.jobs.front().lane].push_back(took);
      all += took;
    }
    for (auto& [member, worker] : workers_) worker.jobs.clear();
    for (const auto& [lane, times] : held) {
      double sum = 0;
      double squares = 0;
      for (const double time : times) {
        sum += time;
        squares += time * time;
      }
      const double jain =
          squares > 0 ? sum * sum / (static_cast<double>(times.size()) * squares) : 1;
      // of a worse lane there are few turns in a minute, so that one more or less is much
      if (jain < (lane == held.begin()->first ? 0.98 : 0.80))
        complain(cat("lane ", name(lane), ": Jain's index is ", jain));
      if (lane != held.begin()->first && sum / all > 0.14)
        complain(cat("lane ", name(lane), " had ", sum / all, " of the time beside a better one"));
      if (lane != held.begin()->first && sum <= 0)
        complain(cat("lane ", name(lane), " was starved"));
    }
    if (all < 0.999 * std::chrono::duration<double>(now_ - SteadyTime{}).count() - 1)
      complain("the device stood idle while there was work");
  }

  // Who wants what, for whoever looks for the reason.
  std::string shown(const Gang::Orders& orders) const {
    std::string all = cat("holder ", *orders.holder, orders.abort ? ", abort" : "");
    for (const auto& [member, worker] : workers_) {
      const Gang::Seen seen = gang_.seen(member, now_);
      all += cat("; ", member, ": ");
      if (seen.claim)
        all += cat(name(seen.claim->lane),
                   seen.claim->work == Gang::Work::Prompt ? " prompt " : " token ",
                   seen.claim->step / milliseconds(1), " ms");
      all += cat(worker.computes ? ", computes" : "", worker.overdue ? ", overdue" : "", ", late ",
                 worker.late, ", jobs ", worker.jobs.size(), ", held ", seen.held / milliseconds(1),
                 " ms");
    }
    return all;
  }

  bool complain(std::string what) {
    if (wrong_.empty()) wrong_ = cat("gang: ", what);
    return false;
  }

  std::mt19937_64 random_;
  Gang gang_;
  SteadyTime now_{};
  bool contest_ = false;
  bool faulty_ = false;
  int faults_ = 0;
  std::map<Member, Worker> workers_;
  std::string wrong_;
};

}  // namespace lares::sim
