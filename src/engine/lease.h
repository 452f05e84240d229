// Lease: the worker's side of wire/lease_page.h. Before each step the computing thread enters with
// what it is about to compute, and waits when others compute; after it, and when there is nothing
// to do, it gives the device back if somebody else waits for it.
//
// Where nobody gives out turns every step may begin at once: a Lease without a page. Computing
// thread only, but for call().
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "base/lane.h"
#include "wire/lease_page.h"

namespace lares::engine {

class Lease {
 public:
  struct Step {
    Lane lane = Lane::Interactive;
    bool decode = true;  // the next token of answers, and nothing else
    double ms = 0;       // how long it will take, as far as is known
  };

  Lease() = default;  // every step may begin
  // `page` and `bell` outlive it. `waiting` is called some times a second while it waits.
  Lease(wire::LeasePage* page, int bell, std::function<void()> waiting)
      : page_(page), bell_(bell), waiting_(std::move(waiting)) {}

  // True: the step may begin now. False: it had to wait, and meanwhile things may have changed:
  // look around, plan anew and enter again. Once the turn has come one step always begins.
  bool enter(const Step& step);
  // After a step, with all that belongs to it: gives back when it is due.
  void step_over();
  // There is nothing to compute.
  void rest();

  // Any thread: the wait in enter() ends, or the next one does, so that nothing is missed that
  // comes between a look around and the wait.
  void call();

  // Somebody of the same lane or a better one waits, so that a step should be short.
  bool pressed() const { return page_ && page_->pressed.load(std::memory_order_relaxed) != 0; }
  // How many threads to compute with; 0: as many as there are. nullptr without a page.
  const std::atomic<uint32_t>* threads_word() const { return page_ ? &page_->threads : nullptr; }
  // Requests of worse lanes wait: the machine is to be spared.
  Lane worst() const;
  // What a lane gets of what better ones compute while it waits, 0 to 1; empty: the usual.
  std::optional<double> part(Lane lane) const;
  // Set while the running step is not worth waiting for; nullptr without a page.
  const std::atomic<uint32_t>* abort_word() const { return page_ ? &page_->abort : nullptr; }

 private:
  bool due() const;
  void give_back(wire::LeasePage::State next);
  void wait();
  void ring();

  wire::LeasePage* page_ = nullptr;
  int bell_ = -1;
  std::function<void()> waiting_;
  bool fresh_ = false;  // the turn has come, and no step has begun yet
  std::atomic<bool> called_{false};
};

// Maps the page that this process was handed as wire::kLeaseFd; nullptr when it was handed none.
// Before the sandbox is entered.
wire::LeasePage* handed_lease_page();

}  // namespace lares::engine
