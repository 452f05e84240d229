#include "engine/backends/llama_variant.h"

#include "base/text.h"
#include "engine/backends/llama_log.h"

namespace lares::engine::llama {

Result<ggml_backend_reg_t> load_variant(const std::string& file) {
  catch_log();
  ggml_backend_reg_t const reg = ggml_backend_load(file.c_str());
  if (reg) return reg;
  const std::string why = last_error();
  return Error{Code::Unsupported, cat("loading the CPU backend '", file,
                                      "': ", why.empty() ? "this CPU cannot run it" : why)};
}

}  // namespace lares::engine::llama
