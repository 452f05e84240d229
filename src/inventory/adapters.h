// Adapters: which of the listed adapters (LoRA files) belong to which model. By what the files say
// of themselves; whether the shapes of the weights agree, the worker finds out. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "inventory/models.h"

namespace lares::inventory {

// The adapters of those names for `model`. NotFound, with the nearest, Invalid for one that is no
// adapter or for models of another architecture; all with "lora" in param.
Result<std::vector<const Model*>> adapters_named(const Models& models, const Model& model,
                                                 std::span<const std::string> names);

// At most `most` of them that may go with `model`: `wanted` first, then the others by name.
std::vector<const Model*> adapters_for(const Models& models, const Model& model,
                                       std::span<const std::string> wanted, size_t most);

}  // namespace lares::inventory
