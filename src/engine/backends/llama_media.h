// Projector: what makes rows of a model out of pictures and sounds, by libmtmd, read from the
// descriptor that the worker was handed. Its graphs compute with the model's own threads, stop when
// the pulse aborts, and beat. Owned by the LlamaModel; its thread, but for
// tokenize().
#pragma once

#include <llama.h>
#include <mtmd.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gguf.h"
#include "engine/model.h"

namespace lares::engine::llama {

class Projector {
 public:
  struct Threads {
    ggml_threadpool* pool = nullptr;
    uint32_t count = 1;
  };
  // `model` and `pulse` must outlive it, and so must the pool that use() names. `batch`: the most
  // rows of one step. Invalid: it is no projector, or one for another model; Corrupt.
  static Result<std::unique_ptr<Projector>> open(int file, const llama_model* model, Tokens batch,
                                                 Pulse& pulse);
  ~Projector();

  void use(Threads threads) { threads_ = threads; }
  Senses senses() const;
  uint64_t weights_bytes() const;
  uint64_t compute_bytes() const;
  // Stands for one picture or sound in a prompt; nobody who writes a prompt can guess it.
  const std::string& marker() const { return marker_; }

  // As those of Model.
  Result<std::vector<PromptPart>> tokenize(std::string_view prompt, std::span<const Media> media);
  Decoded encode(MediaPiece& piece, unsigned threads);
  static void forget(MediaPiece& piece);
  // Computes rows of a piece in `context`: llama_decode()'s answer.
  int32_t decode(llama_context* context, const MediaRows& rows);

 private:
  class Piece;
  struct FreeContext {
    void operator()(mtmd_context* context) const { mtmd_free(context); }
  };

  Projector(const llama_model* model, Tokens batch, Pulse& pulse);
  void attach();

  Pulse& pulse_;
  const llama_model* const model_;
  const Tokens batch_;
  const size_t width_;  // of a row
  const std::string marker_;
  Threads threads_;
  bool attached_ = false;
  std::unique_ptr<mtmd_context, FreeContext> context_;
};

// What is wrong with a projector's file, before the engine sees it; Invalid, Corrupt.
Result<> check_projector(const gguf::Head& head);

}  // namespace lares::engine::llama
