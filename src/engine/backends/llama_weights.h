// Weights: where a loaded model's tensors lie in memory, and how those that are mapped from its
// file leave memory and come back. They are never written, so leaving costs nothing but the time to
// map them again, and what is computed with them afterwards is the same to the bit. Tensors that
// the engine converted into memory of its own cannot leave.
//
// A file that became shorter meanwhile ends fetch() with an error, not the process.
#pragma once

#include <llama.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"

namespace lares::engine::llama {

class Weights {
 public:
  // Of a model that was loaded from `file`, which stays open.
  Weights(const llama_model* model, int file);

  uint64_t mapped_bytes() const { return mapped_; }    // whole pages
  uint64_t private_bytes() const { return private_; }  // cannot leave

  // They take no memory of this process any more. `for_others`: nor of the system's cache, where no
  // other program has them mapped.
  void drop(bool for_others) const;
  // Reads them in, in the order of the file, which is that of the layers; `alive` is called between
  // pieces. Corrupt: the file is shorter than it was; Io. Any thread.
  Result<> fetch(const std::function<void()>& alive) const;

 private:
  struct Range {
    uintptr_t begin;
    uintptr_t end;
  };
  std::vector<Range> ranges_;  // in order, of whole pages
  uint64_t mapped_ = 0;
  uint64_t private_ = 0;
  const int file_;
};

}  // namespace lares::engine::llama
