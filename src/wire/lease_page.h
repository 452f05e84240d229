// LeasePage: the memory that laresd shares with one worker, by which the worker gets the device for
// a turn and is asked to give it back (sched/gang.h decides whose turn it is). It replaces messages
// because both sides look at it between any two steps: a stream that nobody else disturbs pays two
// loads for each token.
//
//   worker: Resting ──> Waiting, rings the bell        daemon: Waiting ──> Holding, wakes the
//   worker worker: Waiting ──> Resting, Holding ──> Resting or Waiting; each rings the bell Called
//   is Waiting, and another thread of the worker wants its computing thread to look around.
//
// `state` changes by compare-and-swap where both may change it. The page is in a file of memory
// whose size is sealed, so neither side can take it away from the other. What a worker writes is
// hostile: it is read once, and nothing but whose turn it is depends on it.
#pragma once

#include <atomic>
#include <cstdint>

#include "wire/message.h"

namespace lares::wire {

// Descriptors that a worker finds open, beside those of message.h; both absent where nobody gives
// out turns, and then it may always compute.
inline constexpr int kLeaseFd = 5;  // the file of memory
inline constexpr int kBellFd = 6;   // an eventfd to write to
static_assert(kLeaseFd == kModelFd + 1 && kProjectorFd == kBellFd + 1);

struct LeasePage {
  enum State : uint32_t { Resting = 0, Waiting = 1, Holding = 2, Called = 3 };

  // Written by the daemon, but for `state`.
  alignas(64) std::atomic<uint32_t> state;  // the word that a worker waits on (futex)
  std::atomic<uint32_t> abort;              // 1: the running step is not worth waiting for
  std::atomic<uint32_t> pressed;            // 1: somebody waits who must not wait for a long step
  std::atomic<uint32_t> threads;            // to compute with; 0: as many as there are
  std::atomic<uint32_t> worst;              // the worst lane that may compute now
  // Of what better lanes compute while somebody waits, in thousandths: what agents and background
  // get. 0: the usual.
  std::atomic<uint32_t> agent_part, background_part;
  std::atomic<int64_t> until_ns;  // of steady time; a step that ends later is the last

  // Written by the worker: what it wants to compute next.
  alignas(64) std::atomic<uint32_t> lane;  // 0 interactive, 1 agent, 2 background
  std::atomic<uint32_t> work;              // 0 the next token of answers, 1 anything else
  std::atomic<uint32_t> step_us;           // how long that step will take
};
static_assert(std::atomic<uint32_t>::is_always_lock_free &&
              std::atomic<int64_t>::is_always_lock_free);

inline constexpr int64_t kUntilNever = INT64_MAX;

}  // namespace lares::wire
