#include "app/machine_watch.h"

#include <pthread.h>
#include <unistd.h>

namespace lares::app {

MachineWatch::MachineWatch(Leases& leases, sched::Restraint::Options options, Changed changed,
                           Look look)
    : leases_(leases),
      restraint_(options),
      changed_(std::move(changed)),
      look_(std::move(look)),
      decision_{Lane::Background, options.threads, ""},
      thread_([this] { run(); }) {}

MachineWatch::~MachineWatch() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

// Of processors, used by other programs since it was last asked. nullopt the first time, and where
// the machine does not say.
std::optional<double> MachineWatch::foreign_cores() {
  std::vector<pid_t> ours = leases_.pids();
  ours.push_back(::getpid());
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto time = inventory::processor_time(ours, look_.root);
  if (!time) {
    last_.reset();
    return std::nullopt;
  }
  const auto before = std::exchange(last_, std::pair{now, *time});
  // a worker that has come or gone meanwhile makes a jump, which is cut off
  if (!before || now - before->first < look_.every / 2) return std::nullopt;
  const auto foreign = (time->all - before->second.all) - (time->ours - before->second.ours);
  return std::chrono::duration<double>(foreign) /
         std::chrono::duration<double>(now - before->first);
}

void MachineWatch::run() {
  ::pthread_setname_np(::pthread_self(), "machine");
  for (;;) {
    const bool wanted = leases_.wanted();
    // what others do while we rest is no concern of ours
    if (!wanted) last_.reset();
    const auto decision = restraint_.decide(inventory::power(look_.root),
                                            wanted ? foreign_cores() : std::optional(0.0));
    if (decision != decision_) {
      leases_.restrain(decision.threads, decision.worst);
      changed_(decision);
      decision_ = decision;
    }
    const SteadyTime until =
        std::chrono::steady_clock::now() + (wanted ? look_.every : look_.seldom);
    const MutexLock lock(mutex_);
    while (!ending_ && std::chrono::steady_clock::now() < until) wake_.wait_until(mutex_, until);
    if (ending_) return;
  }
}

}  // namespace lares::app
