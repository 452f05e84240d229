// What Residents keeps of each model. For the files of that class alone.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/residents.h"

namespace lares::app {

// Bytes that a worker says it holds: more than any machine has counts as that much.
inline Bytes claimed(uint64_t bytes) { return std::min(Bytes{bytes}, sched::Ladder::kBytesMax); }

struct Residents::Resident {
  State state = State::Absent;
  std::unique_ptr<host::Worker> worker;
  Seen seen;
  Bytes file_size;
  std::deque<SteadyTime> deaths;
  size_t deaths_in_all = 0;
  std::optional<Error> last_death;
  std::optional<SteadyTime> quarantined_until;
  SteadyTime not_before{};
  std::optional<Leases::Member> lease;
  sched::Footprint footprint;
  Rung rung = Rung::Absent;
  std::optional<sched::Ladder::Pin> climb_pin;  // from when it climbs until whoever waited has it
  std::optional<Error> not_started;             // why its climb did not begin, for who asks next
  bool measured_again = false;  // it was sent away once because it took more than was reserved
  Loop::TimerId load_limit = 0;

  // Names of adapters: asked for and not there, handed to the worker, named to it in a request.
  std::vector<std::string> wanted;
  std::vector<std::string> offered;
  std::set<std::string> adapted;
  std::map<std::string, Error> not_opened;
  Bytes draft_size;  // of the file of seen.draft, once it was handed over; 0: none was
};

}  // namespace lares::app
