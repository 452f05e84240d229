// Works: the pieces of work that belong to one request, and whether it is over; and the headers
// that its answer has. What the endpoints that wait for a model have in common. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/service.h"
#include "base/mutex.h"

namespace lares::api {

inline std::map<std::string, std::string> lares_headers(std::string id, std::string place) {
  return {{"X-Lares-Id", std::move(id)}, {"X-Lares-Place", std::move(place)}};
}

// The works that belong to one request, and whether it is over. Any thread.
class Works {
 public:
  explicit Works(Service& service) : service_(service) {}

  // Submits unless the request is over already.
  void submit(Work work, std::shared_ptr<Sink> sink) {
    {
      const MutexLock lock(mutex_);
      if (over_) return;
    }
    // not under the lock: a sink may be called before submit() returns
    const WorkId id = service_.submit(std::move(work), std::move(sink));
    const MutexLock lock(mutex_);
    if (over_) {
      service_.cancel(id);
    } else {
      ids_.push_back(id);
    }
  }

  // Ends what still runs; later calls have no effect.
  void end() {
    std::vector<WorkId> ids;
    {
      const MutexLock lock(mutex_);
      if (std::exchange(over_, true)) return;
      ids.swap(ids_);
    }
    for (const WorkId id : ids) service_.cancel(id);
  }

 private:
  Service& service_;
  Mutex mutex_;
  bool over_ GUARDED_BY(mutex_) = false;
  std::vector<WorkId> ids_ GUARDED_BY(mutex_);
};

}  // namespace lares::api
