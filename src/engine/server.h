// Server: the worker's side of wire/message.h. Loads one model and answers requests until it is
// told to stop or the daemon is gone; either ends the process at once, as nothing here outlives a
// request.
//
// Threads: the caller's computes; one reads frames into a bounded inbox and acts on Cancel and
// Shutdown at once; one makes requests ready (intake.h); one sends a Beat every kBeatEvery, so that
// a step that takes long is not taken for a hang. A frame that cannot be read, or that does not
// belong, ends the process with a line on stderr.
#pragma once

#include "engine/crime.h"
#include "engine/line.h"
#include "engine/model.h"
#include "wire/lease_page.h"

namespace lares::engine {

inline constexpr size_t kInboxMax = 512;  // frames; more work is Busy
inline constexpr size_t kInboxBytesMax = 64u << 20;
inline constexpr std::chrono::milliseconds kLoadQuietMax{
    60'000};  // a model's head: vocabulary, merges
inline constexpr int kExitProtocol = 70;

struct Service {
  const Backend& backend;
  wire::Hello hello;
  int model = wire::kModelFd;
  Crime crime;
  wire::LeasePage* lease = nullptr;  // where leases are given out
  int projector = -1;                // wire::kProjectorFd, where that was handed over
  size_t adapters = 0;               // files that were handed over from wire::kAdapterFd on
  bool draft = false;                // and that of a draft model behind them
};

// Never returns but with the exit status of a worker that could not load its model.
int serve(Service service, int control);

}  // namespace lares::engine
