// Adapters: the LoRA files that a model's worker was handed, each read by our own reader first and
// then by the engine when a request first names it, and which of them the engine computes with.
// Owned by the LlamaModel; its thread.
#pragma once

#include <llama.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/gguf.h"
#include "engine/model.h"

namespace lares::engine::llama {

// What is wrong with an adapter's file for a model of that architecture, before the engine sees it.
// Invalid: it is for another model, or none; Corrupt, Unsupported.
Result<> check_adapter(const gguf::Head& head, std::string_view architecture);

class Adapters {
 public:
  // `files`: one descriptor for each name, which stay open. `model` must outlive it.
  Adapters(llama_model* model, std::vector<std::string> names, std::vector<int> files);
  ~Adapters();

  // As Model::load_adapter().
  Result<> load(size_t index);
  // Another context is asked from now on.
  void forget_context() { used_.clear(); }
  // As Model::adapt(): `context` computes with these from now on.
  void use(llama_context* context, std::span<const Adapter> adapters);

 private:
  llama_model* const model_;
  const std::vector<std::string> names_;
  const std::vector<int> files_;
  std::vector<llama_adapter_lora*> loaded_;  // nullptr: not yet. Freed with the model
  std::vector<Adapter> used_;
};

}  // namespace lares::engine::llama
