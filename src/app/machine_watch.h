// MachineWatch: looks at the machine's power, heat and load while models compute, and restrains
// them as sched::Restraint decides. A thread of its own, as files of /sys may make whoever reads
// them wait; once a second, and less often while nothing is to be computed.
#pragma once

#include <filesystem>
#include <functional>
#include <thread>

#include "app/leases.h"
#include "base/mutex.h"
#include "sched/restraint.h"

namespace lares::app {

class MachineWatch {
 public:
  using Changed = std::function<void(const sched::Restraint::Decision&)>;  // on its thread

  struct Look {
    std::filesystem::path root = "/";  // of /proc and /sys
    milliseconds every{1'000};         // while models want to compute
    milliseconds seldom{5'000};
  };

  // `leases` must outlive it.
  MachineWatch(Leases& leases, sched::Restraint::Options options, Changed changed, Look look);
  MachineWatch(Leases& leases, sched::Restraint::Options options, Changed changed)
      : MachineWatch(leases, options, std::move(changed), Look()) {}
  ~MachineWatch();
  MachineWatch(const MachineWatch&) = delete;
  MachineWatch& operator=(const MachineWatch&) = delete;

 private:
  void run();
  std::optional<double> foreign_cores();

  Leases& leases_;
  sched::Restraint restraint_;
  const Changed changed_;
  const Look look_;
  sched::Restraint::Decision decision_;
  std::optional<std::pair<SteadyTime, inventory::ProcessorTime>> last_;

  Mutex mutex_;
  Condition wake_;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lares::app
