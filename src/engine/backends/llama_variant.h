// Loads the code of one CPU variant into this process.
#pragma once

#include <ggml-backend.h>

#include <string>

#include "base/result.h"

namespace lares::engine::llama {

// Unsupported when the file is no CPU backend, or the backend itself says that this CPU cannot run
// it. Catches what the engine says from now on (llama_log.h).
Result<ggml_backend_reg_t> load_variant(const std::string& file);

}  // namespace lares::engine::llama
