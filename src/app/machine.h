// Machine: how fast this machine computes what models are made of, measured once in a process that
// is thrown away (lares-worker --measure) and remembered in the cache folder for this CPU, engine,
// CPU variant and number of threads. What is measured while other programs compute is not
// remembered.
//
// Blocking, seconds when it measures: for the background thread.
#pragma once

#include <string>

#include "app/home.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"

namespace lares::app {

enum class Measure { IfUnknown, Never };

// What --measure printed (engine/backends/llama_measure.h), with "passing": true where other
// programs were in its way, so that it holds for a while only. NotFound: not measured yet, and
// Never was said. Errors of the probe otherwise. `variant`: the CPU variant in use.
Result<Json> machine_speeds(const Programs& programs, const Home& home, const std::string& variant,
                            unsigned threads, Measure measure, Log& log);

}  // namespace lares::app
