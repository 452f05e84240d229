// Leases: gives the device to one worker at a time, as sched::Gang decides, through the page that
// it shares with each (wire/lease_page.h).
//
// A thread of its own hears the workers' bells, so that handing over does not wait for the run
// loop, which may be busy for a millisecond; a hand-over happens between any two tokens of two
// models that compute. The run loop says who is there and what their best open request is. Any
// thread may call; none of it blocks but for a mutex that is held for microseconds.
//
// What a worker says is not believed farther than it harms itself: its lane is at best that of its
// open requests, and one that does not give back loses the device to the others after
// Gang::kOverdue (it may then still compute beside them: it is watched by host/watchdog.h).
#pragma once

#include <sys/types.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "base/result.h"
#include "sched/gang.h"
#include "wire/lease_page.h"

namespace lares::app {

class Leases {
 public:
  struct Ends {  // the worker's
    Fd page, bell;
  };
  using Member = sched::Gang::Member;

  Leases(const Clock& clock, sched::Gang::Shares shares);
  ~Leases();
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // A new member and what its process is handed. Io: the system refused.
  Result<std::pair<Member, Ends>> join();
  void leave(Member member);
  // The best lane of its open requests; nullopt: it has none, and counts as background.
  void allow(Member member, std::optional<Lane> best);
  // Its process, once there is one.
  void set_pid(Member member, pid_t pid);
  // From now on each step takes so many threads (0: as many as the worker has), and lanes worse
  // than that do not compute.
  void restrain(unsigned threads, Lane worst);
  // The processes of all members, and whether one of them wants to compute.
  std::vector<pid_t> pids() const;
  bool wanted() const;

  struct Seen {
    bool holds = false, waits = false;
    milliseconds held{0}, waited{0};
    uint64_t turns = 0;
  };
  Seen seen(Member member) const;
  // How long each lane has had the device, whoever computed for it.
  std::array<milliseconds, 3> lane_held() const;

 private:
  struct Seat {
    Fd bell;
    wire::LeasePage* page = nullptr;
    Lane best = Lane::Background;
    pid_t pid = 0;
  };

  void run();
  void look() REQUIRES(mutex_);
  void read(Member member, Seat& seat, SteadyTime now) REQUIRES(mutex_);
  bool grant(Member member, SteadyTime now) REQUIRES(mutex_);
  void poke() const;

  const Clock& clock_;
  const sched::Gang::Shares shares_;
  Fd wake_;
  mutable Mutex mutex_;
  sched::Gang gang_ GUARDED_BY(mutex_);
  std::map<Member, Seat> seats_ GUARDED_BY(mutex_);
  Member next_ GUARDED_BY(mutex_) = 1;
  std::optional<Member> granted_ GUARDED_BY(mutex_);  // whose page says so
  SteadyTime again_ GUARDED_BY(mutex_) = sched::Gang::kNever;
  unsigned threads_ GUARDED_BY(mutex_) = 0;
  Lane worst_ GUARDED_BY(mutex_) = Lane::Background;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lares::app
