// Crime: one misdeed that a worker with the fake engine commits on order, so that tests can see
// what the daemon does about it. A real worker is assumed to be able to do all of this.
//
// --crime=NAME with NAME one of exit0, exit1, kill, abort, hang (beats go on, work does not),
// silent (nothing is said any more), flood (Deltas without end), log-flood, bad-frame, huge-frame,
// wrong-id, wrong-type, two-ends;
// --crime-at=WHERE: hello, load, loaded, request (the default), or token:N.
// --die-after=N is kill at token N.
#pragma once

#include <cstdint>
#include <string>

#include "engine/line.h"
#include "engine/model.h"

namespace lares::engine {

class Crime {
 public:
  enum class Where { Hello, Load, Loaded, Request, AtToken };

  Crime() = default;  // none
  // Takes its options out. Invalid when they name nothing known.
  static Result<Crime> from(Options& options);

  // Here would be the place; `id` is the request's. Mostly does not come back when it is.
  // Each place belongs to one thread.
  void at(Where where, uint64_t id, Line& line);

 private:
  void commit(uint64_t id, Line& line) const;
  std::string name_;
  Where where_ = Where::Request;
  uint64_t countdown_ = 0;  // tokens until it happens
};

}  // namespace lares::engine
