// MachineWatch: looks at the machine's power, heat and load while models compute, and restrains
// them as sched::Restraint decides. A thread of its own, as files of /sys may make whoever reads
// them wait; once a second, and less often while nothing is to be computed.
#pragma once

#include <functional>
#include <thread>

#include "app/leases.h"
#include "base/mutex.h"
#include "sched/restraint.h"

namespace lares::app {

class MachineWatch {
 public:
  using Changed = std::function<void(const sched::Restraint::Decision&)>;  // on its thread

  static constexpr milliseconds kLookEvery{1'000};
  static constexpr milliseconds kLookSeldom{5'000};

  // `leases` must outlive it.
  MachineWatch(Leases& leases, sched::Restraint::Options options, Changed changed);
  ~MachineWatch();
  MachineWatch(const MachineWatch&) = delete;
  MachineWatch& operator=(const MachineWatch&) = delete;

 private:
  void run();
  std::optional<double> foreign_cores();

  Leases& leases_;
  sched::Restraint restraint_;
  const Changed changed_;
  sched::Restraint::Decision decision_;
  std::optional<std::pair<SteadyTime, inventory::ProcessorTime>> last_;

  Mutex mutex_;
  Condition wake_;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lares::app
