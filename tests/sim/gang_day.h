// GangDay: a day on one device from a seed: models whose workers want turns for answers, prompts
// and background work, keep to the rules or do not, and a Gang that says whose turn it is. Work has
// deadlines and is then dropped, wherever it stands; the machine goes on battery, grows hot and
// computes for others, and a Restraint says what that leaves.
//
// Held after every event: whoever may have the device while nobody computes gets it; nobody waits
// longer than the lanes' shares, the others of the lane and the faults of this day explain; no step
// begins that the restraint forbids; a worse lane computes no more beside a better one than its
// share. Held at the end: every job of a worker that lives was computed whole or dropped at its
// deadline, once. In a contest, where all have work all the time: equal time within a lane for
// those who keep to the rules, and for worse lanes what they are owed.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "sched/gang.h"
#include "sched/restraint.h"

namespace lares::sim {

class GangDay {
 public:
  explicit GangDay(uint64_t seed) : random_(seed), gang_({kAgentShare, kBackgroundShare}) {}

  // Nothing wrong: "".
  std::string live() {
    contest_ = chance(3) == 0;
    faulty_ = chance(2) == 0;
    restrained_ = chance(2) == 0;
    const uint64_t count = 2 + chance(5);
    for (uint64_t i = 1; i <= count; i++) enter(i);
    const SteadyTime evening = SteadyTime{} + milliseconds(contest_ ? 60'000 : 20'000);
    while (now_ < evening && wrong_.empty()) {
      if (!contest_ && chance(3) == 0) arrive();
      pass(evening);
    }
    if (contest_) judge_contest();
    // the machine is left to us, and what is left to do is done
    restrained_ = false;
    restrain();
    for (int i = 0; i < 200'000 && wrong_.empty() && anything_left(); i++) pass(SteadyTime::max());
    if (wrong_.empty()) judge();
    return wrong_;
  }

 private:
  using Gang = sched::Gang;
  using Lane = sched::Lane;
  using Member = Gang::Member;
  using Duration = Gang::Duration;

  static constexpr double kAgentShare = 0.1;
  static constexpr double kBackgroundShare = 0.05;
  static constexpr unsigned kThreads = 4;
  static constexpr double kTokenMsMax = 43;   // with all threads
  static constexpr double kPromptMsMax = 60;  // of a step while others are pressing

  struct Job {
    Lane lane = Lane::Interactive;
    double prompt_ms = 0;  // that is still to be computed
    int tokens = 0;
    SteadyTime due = Gang::kNever;
  };
  struct Worker {
    double token_ms = 10;
    double late = 1;                     // how much longer its steps take than it says
    SteadyTime sulks_at = Gang::kNever;  // then it keeps the device for some seconds
    SteadyTime hangs_at = Gang::kNever;  // then it keeps it until it is killed
    SteadyTime dies_at = Gang::kNever;
    std::vector<Job> jobs;
    bool computes = false;  // a step of it runs
    bool overdue = false;
    bool keeps_rules = true;
    SteadyTime step_begins{}, step_ends{};
    double step_prompt_ms = 0;
    bool step_owed = false;  // a better lane waited when it began
    SteadyTime waits_since = Gang::kNever;
    size_t rivals = 0;  // the most of its lane since then, itself counted
    bool aborted = false;
    bool dropped = false;  // what the running step computes is wanted no more
    int asked = 0, done = 0, expired = 0;
  };

  uint64_t chance(uint64_t of) { return random_() % of; }
  static Duration ms(double value) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(value));
  }
  static double in_ms(Duration value) {
    return std::chrono::duration<double, std::milli>(value).count();
  }
  static size_t index(Lane lane) { return static_cast<size_t>(lane); }

  void enter(Member member) {
    Worker worker;
    worker.token_ms = 3 + static_cast<double>(chance(40));
    token_ms_least_ = std::min(token_ms_least_, worker.token_ms);
    if (faulty_ && chance(3) == 0) {
      const milliseconds when(chance(contest_ ? 60'000 : 20'000));
      switch (chance(4)) {
        case 0:
          worker.late = 2 + static_cast<double>(chance(4));
          late_most_ = std::max(late_most_, worker.late);
          break;
        case 1: worker.sulks_at = now_ + when; break;
        case 2: worker.hangs_at = now_ + when; break;
        default: worker.dies_at = now_ + when;
      }
      faults_++;
    }
    gang_.join(member);
    workers_[member] = worker;
    if (contest_) {
      const auto lane = static_cast<Lane>(chance(4) < 2 ? 0 : chance(3));
      ask(member, {lane, chance(3) == 0 ? 1e9 : 0, 1'000'000, Gang::kNever});
    }
  }

  void arrive() {
    if (workers_.empty()) return;
    auto at = workers_.begin();
    std::advance(at, chance(workers_.size()));
    const uint64_t lane = chance(10);
    Job job{lane < 5   ? Lane::Interactive
            : lane < 7 ? Lane::Agent
                       : Lane::Background,
            static_cast<double>(chance(chance(5) == 0 ? 8'000 : 200)), static_cast<int>(chance(30)),
            Gang::kNever};
    if (chance(6) == 0) job.due = now_ + milliseconds(1 + chance(3'000));
    ask(at->first, job);
  }
  void ask(Member member, Job job) {
    Worker& worker = workers_.at(member);
    const bool better = worker.jobs.empty() || job.lane < next_job(worker).lane;
    worker.asked++;
    worker.jobs.push_back(job);
    if (worker.computes || worker.overdue) return;
    if (better) waits_anew(worker);
    gang_.wants(member, claim(worker, false), now_);
  }
  void waits_anew(Worker& worker) const {
    worker.waits_since = now_;
    worker.rivals = 0;
  }

  // What the machine is like, looked at each second.
  void restrain() {
    restraint_at_ = now_ + milliseconds(1'000);
    inventory::Power power;
    if (restrained_) {
      if (chance(8) == 0) on_battery_ = !on_battery_;
      temperature_ = std::clamp(temperature_ + static_cast<double>(chance(13)) - 6, 50.0, 100.0);
      power = {on_battery_, temperature_};
    }
    const double foreign = restrained_ && chance(4) == 0 ? static_cast<double>(chance(4)) : 0;
    const auto decision = looks_.decide(power, foreign);
    slowness_ = static_cast<double>(kThreads) / decision.threads;
    slowness_most_ = std::max(slowness_most_, slowness_);
    if (decision.worst == worst_) return;
    const Lane before = std::exchange(worst_, decision.worst);
    gang_.set_worst(worst_, now_);
    for (auto& [member, worker] : workers_) {
      if (!worker.jobs.empty() && next_job(worker).lane > before &&
          worker.waits_since != Gang::kNever)
        waits_anew(worker);  // only now may it hope for anything
    }
  }

  // The best lane's job is computed first; a worker has one at a time here.
  static Job& next_job(Worker& worker) {
    return *std::min_element(worker.jobs.begin(), worker.jobs.end(),
                             [](const Job& a, const Job& b) { return a.lane < b.lane; });
  }
  Gang::Claim claim(Worker& worker, bool pressed) const {
    const Job& job = next_job(worker);
    if (job.prompt_ms <= 0) return {job.lane, Gang::Work::Decode, ms(worker.token_ms * slowness_)};
    return {job.lane, Gang::Work::Prompt,
            ms(std::min(job.prompt_ms, pressed ? kPromptMsMax : 1'000.0) * slowness_)};
  }

  // Until the next thing happens.
  void pass(SteadyTime evening) {
    const Gang::Orders orders = gang_.decide(now_);
    note_overdue();
    if (!check(orders)) return;
    if (orders.holder) begin_or_abort(*orders.holder, orders);
    SteadyTime next = std::min({evening, orders.again, restraint_at_});
    for (auto& [member, worker] : workers_) {
      if (worker.computes || worker.overdue) next = std::min(next, worker.step_ends);
      if (worker.dies_at > now_) next = std::min(next, worker.dies_at);
      for (const Job& job : worker.jobs) next = std::min(next, job.due);
    }
    if (!contest_ && now_ < evening && evening != SteadyTime::max())
      next = std::min(next, now_ + milliseconds(1 + chance(300)));
    next = std::max(next, now_ + std::chrono::nanoseconds(1));
    count_waiting(next - now_);
    now_ = next;
    end_steps();
    bury();
    expire();
    if (now_ >= restraint_at_) restrain();
  }

  // The time of better lanes for which a lane that waits is owed its share.
  void count_waiting(Duration passed) {
    for (auto& [member, worker] : workers_) {
      if (!worker.computes) continue;
      for (size_t worse = index(next_job_lane(worker)) + 1; worse < earned_ms_.size(); worse++)
        if (waits_in(worse)) earned_ms_[worse] += in_ms(passed);
    }
  }
  static Lane next_job_lane(Worker& worker) {
    return worker.jobs.empty() ? Lane::Background : next_job(worker).lane;
  }
  bool waits(Worker& worker) const {
    return !worker.computes && !worker.overdue && !worker.jobs.empty() &&
           next_job(worker).lane <= worst_;
  }
  bool waits_in(size_t lane) {
    return std::any_of(workers_.begin(), workers_.end(), [&](auto& entry) {
      return waits(entry.second) && index(next_job(entry.second).lane) == lane;
    });
  }

  // Workers that lost the device without giving it back.
  void note_overdue() {
    for (auto& [member, worker] : workers_) {
      if (!worker.computes || !gang_.seen(member, now_).overdue) continue;
      worker.computes = false;
      worker.overdue = true;
      worker.keeps_rules = false;
    }
  }

  void begin_or_abort(Member member, const Gang::Orders& orders) {
    Worker& worker = workers_.at(member);
    if (worker.computes) {
      if (!orders.abort || worker.aborted || worker.step_ends == Gang::kNever) return;
      worker.aborted = true;
      worker.step_ends = std::min(worker.step_ends, now_ + milliseconds(chance(22)));
      return;
    }
    const Gang::Claim next = claim(worker, orders.pressed);
    if (next.lane > worst_)
      complain(cat("worker ", member, " begins a step in lane ", name(next.lane),
                   ", which the restraint forbids"));
    gang_.wants(member, next, now_);
    worker.computes = true;
    worker.aborted = false;
    worker.dropped = false;
    worker.waits_since = Gang::kNever;
    worker.step_begins = now_;
    worker.step_prompt_ms = next.work == Gang::Work::Prompt ? in_ms(next.step) / slowness_ : 0;
    worker.step_ends = now_ + ms(in_ms(next.step) * worker.late);
    worker.step_owed = false;
    for (size_t better = 0; better < index(next.lane); better++)
      worker.step_owed = worker.step_owed || waits_in(better);
    if (now_ >= worker.hangs_at) {
      worker.hangs_at = Gang::kNever;
      worker.step_ends = Gang::kNever;
      worker.dies_at = now_ + milliseconds(2'000 + chance(18'000));
    } else if (now_ >= worker.sulks_at) {
      worker.sulks_at = Gang::kNever;
      worker.keeps_rules = false;
      worker.step_ends = now_ + milliseconds(2'000 + chance(8'000));
    }
  }

  void end_steps() {
    for (auto& [member, worker] : workers_) {
      if ((!worker.computes && !worker.overdue) || worker.step_ends > now_) continue;
      if (worker.step_owed && !worker.overdue) check_share(worker);
      if (!worker.aborted && !worker.dropped) finish_step(worker);
      const bool overdue = std::exchange(worker.overdue, false);
      const bool more = !worker.jobs.empty();
      if (more && !overdue) gang_.wants(member, claim(worker, true), now_);
      const bool due = overdue || worker.aborted || now_ >= gang_.decide(now_).until;
      worker.computes = false;
      if (!more) {
        gang_.rests(member, now_);
      } else if (due) {
        gang_.gives_back(member, claim(worker, true), now_);
        waits_anew(worker);
      } else {
        begin_or_abort(member, gang_.decide(now_));
      }
    }
  }
  static void finish_step(Worker& worker) {
    Job& job = next_job(worker);
    if (job.prompt_ms > 0) {
      job.prompt_ms -= worker.step_prompt_ms;
      if (job.prompt_ms < 1e-3) job.prompt_ms = 0;  // steps are whole nanoseconds
    } else {
      job.tokens--;
    }
    if (job.prompt_ms > 0 || job.tokens > 0) return;
    worker.jobs.erase(worker.jobs.begin() + (&job - worker.jobs.data()));
    worker.done++;
  }

  // A step beside a better lane that waits is paid from the share of its lane, but for what may be
  // saved up and for the last step, whose length nobody knew.
  void check_share(Worker& worker) {
    const Lane lane = next_job_lane(worker);
    const double share = lane == Lane::Agent ? kAgentShare : kBackgroundShare;
    double& had = owed_had_ms_[index(lane)];
    had += in_ms(now_ - worker.step_begins);
    const double saved = 500 + 1'000 * slowness_most_ * late_most_ + 10'000 * faults_;
    const double most = earned_ms_[index(lane)] * share / (1 - share) + saved;
    if (had > most)
      complain(cat("lane ", name(lane), " computed for ", had, " ms while better ones waited, and ",
                   most, " ms are its share"));
  }

  void bury() {
    for (auto at = workers_.begin(); at != workers_.end();) {
      if (at->second.dies_at > now_) {
        ++at;
        continue;
      }
      held_by_dead_ += gang_.seen(at->first, now_).held;
      gang_.leave(at->first, now_);
      at = workers_.erase(at);
    }
  }

  // Drops what is not done at its deadline.
  void expire() {
    for (auto& [member, worker] : workers_) {
      if (worker.jobs.empty()) continue;
      const Job* const first = &next_job(worker);
      const Lane lane = first->lane;
      if (first->due <= now_) worker.dropped = true;
      const auto gone = std::erase_if(worker.jobs, [&](const Job& job) { return job.due <= now_; });
      if (gone == 0) continue;
      worker.expired += static_cast<int>(gone);
      if (worker.computes || worker.overdue) continue;  // it says so at the end of the step
      if (worker.jobs.empty()) {
        gang_.rests(member, now_);
        worker.waits_since = Gang::kNever;
        continue;
      }
      if (next_job(worker).lane != lane) waits_anew(worker);
      gang_.wants(member, claim(worker, false), now_);
    }
  }

  bool anything_left() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const auto& entry) { return !entry.second.jobs.empty(); });
  }

  bool check(const Gang::Orders& orders) {
    for (auto& [member, worker] : workers_) {
      if (!waits(worker)) continue;
      if (!orders.holder)
        return complain(cat("worker ", member, " wants the device, which is free"));
      if (worker.waits_since == Gang::kNever || member == *orders.holder) continue;
      const Lane lane = next_job(worker).lane;
      const auto same = std::count_if(workers_.begin(), workers_.end(), [&](auto& entry) {
        return !entry.second.jobs.empty() && next_job(entry.second).lane == lane;
      });
      worker.rivals = std::max(worker.rivals, static_cast<size_t>(same));
      if (!worker.keeps_rules) continue;  // it has had more than its part
      const Duration most = ms(wait_ms_max(lane, worker.rivals));
      if (now_ - worker.waits_since > most)
        return complain(cat("worker ", member, " in lane ", name(lane), " waits for ",
                            in_ms(now_ - worker.waits_since), " ms, at most ", in_ms(most), " ms; ",
                            shown(orders)));
    }
    return true;
  }

  // How long anybody of a lane waits: while each of the others has its turn, which ends with a
  // step, and, beside better lanes, until that is paid for from the lane's share. The agents' and
  // the background's turns alternate. A worker that keeps the device does so for kOverdue; and what
  // it computed besides is its lane's debt.
  double wait_ms_max(Lane lane, size_t rivals) const {
    const double step = kPromptMsMax * slowness_most_ * late_most_;
    double each = in_ms(Gang::kTurn[index(lane)]) + 2 * step;
    double faults = faults_ * (in_ms(Gang::kOverdue) + 2 * step);
    if (lane != Lane::Interactive) {
      const double share = lane == Lane::Agent ? kAgentShare : kBackgroundShare;
      const double earning = step * (1 - share) / share;
      const double calm = Gang::kCalmSteps * kTokenMsMax * slowness_most_;
      // and of short steps a rival has several, until it has had as much
      const double turns = 1 + (step + in_ms(Gang::kLag)) / token_ms_least_;
      each = 2 * each + (turns + 1) * (earning + calm);
      faults += (faults_ > 0 ? 1 : 0) * 2'000 * (1 - share) / share;
    }
    return 2 * each * static_cast<double>(rivals) + faults;
  }

  void judge() {
    if (contest_) return;
    for (const auto& [member, worker] : workers_) {
      if (worker.done + worker.expired != worker.asked)
        complain(cat("worker ", member, " did ", worker.done, " of ", worker.asked, " jobs, ",
                     worker.expired, " were dropped at their deadlines"));
    }
  }

  void judge_contest() {
    std::map<Lane, std::vector<double>> held;
    double all = std::chrono::duration<double>(held_by_dead_).count();
    for (const auto& [member, worker] : workers_) {
      const double took = std::chrono::duration<double>(gang_.seen(member, now_).held).count();
      all += took;
      const bool hangs = worker.step_ends == Gang::kNever;
      if (worker.keeps_rules && !hangs) held[worker.jobs.front().lane].push_back(took);
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
      // of a worse lane there are few turns in a minute, so that one more or less is much, and of
      // some that were restrained too few to say anything
      const double turns = sum * 1'000 / (kPromptMsMax * slowness_most_);
      const bool few = turns < 10 * static_cast<double>(times.size());
      if (!few && jain < (lane == Lane::Interactive ? 0.98 : 0.80))
        complain(cat("lane ", name(lane), ": Jain's index is ", jain));
      const bool alone = lane == held.begin()->first;
      if (faults_ == 0 && !alone && sum / all > 0.14)
        complain(cat("lane ", name(lane), " had ", sum / all, " of the time beside a better one"));
      if (!restrained_ && !alone && sum <= 0) complain(cat("lane ", name(lane), " was starved"));
    }
    if (!restrained_ && faults_ == 0 &&
        all < 0.999 * std::chrono::duration<double>(now_ - SteadyTime{}).count() - 1)
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
  sched::Restraint looks_{{.threads = kThreads}};
  SteadyTime now_{};
  bool contest_ = false;
  bool faulty_ = false;
  bool restrained_ = false;
  SteadyTime restraint_at_{};
  bool on_battery_ = false;
  double temperature_ = 70;
  Lane worst_ = Lane::Background;
  double slowness_ = 1, slowness_most_ = 1;  // with fewer threads
  double late_most_ = 1;
  double token_ms_least_ = kTokenMsMax;
  int faults_ = 0;
  std::map<Member, Worker> workers_;
  Duration held_by_dead_{};
  std::array<double, 3> earned_ms_{}, owed_had_ms_{};  // of each lane, beside better ones
  std::string wrong_;
};

}  // namespace lares::sim
