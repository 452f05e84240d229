// Whether one model can draft for another: what it says must be the other's tokens.
#pragma once

#include <llama.h>

#include "base/result.h"

namespace lares::engine::llama {

// Invalid, with the first difference: the vocabularies are not the same, token by token. One of
// them may have some more at its end, as makers fill tables up.
Result<> check_same_vocabulary(const llama_model* model, const llama_model* draft);

}  // namespace lares::engine::llama
