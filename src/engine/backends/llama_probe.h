// Probe: does this CPU backend really work on this machine? It computes products and an attention
// in every format that models come in, through the same scheduler and buffers that a model would
// use, and compares them with sums in double precision of our own. Run in a process that is thrown
// away: a CPU, or a virtual machine, that claims what it cannot do ends it by SIGILL.
#pragma once

#include "engine/model.h"

namespace lares::engine::llama {

// {variant, ok, error_max, gflops_prefill, gflops_decode, features, checks: [{name, error}]}.
// Unsupported when the file is no CPU backend, or the backend itself says that this CPU cannot run
// it.
Result<Json> probe(const std::string& file);

}  // namespace lares::engine::llama
