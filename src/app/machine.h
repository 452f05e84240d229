// Machine: how fast this machine computes what models are made of, measured once in a process that
// is thrown away (lares-worker --measure) and remembered in the cache folder for this CPU, engine,
// CPU variant and number of threads. What is measured while other programs compute is not
// remembered.
//
// The process that measures has a lease as workers have, in the background lane: it computes when
// nobody else wants to, or when it is owed a step.
//
// Blocking, seconds when it measures and longer while others compute: for a thread of its own.
#pragma once

#include <stop_token>
#include <string>

#include "app/home.h"
#include "app/leases.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"

namespace lares::app {

enum class Measure { IfUnknown, Never };

inline constexpr milliseconds kMeasuringMax{60'000};

// What --measure printed (engine/backends/llama_measure.h), with "passing": true where other
// programs were in its way, so that it holds for a while only. NotFound: not measured yet, and
// Never was said. Busy: others computed for as long as it may take. Cancelled: it was stopped.
// Errors of the probe otherwise. `variant`: the CPU variant in use.
Result<Json> machine_speeds(const Programs& programs, const Home& home, const std::string& variant,
                            unsigned threads, Measure measure, Leases& leases, std::stop_token stop,
                            Log& log, milliseconds limit = kMeasuringMax);

}  // namespace lares::app
