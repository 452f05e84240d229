// Needs: how many bytes of memory a model will take, before it is started. Pure.
//
// What a worker measured for the same options is believed (and never less than the file); otherwise
// an upper estimate from what the file says of itself; with nothing known, a generous one from its
// size. An estimate that is too high costs an eviction, one that is too low costs the machine.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "base/units.h"
#include "inventory/models.h"

namespace lares::inventory {

// What the size of a model's state depends on.
struct Shape {
  Tokens context = 0;  // 0: the model's own, at most wire::kContextMax
  uint32_t sequences = 8;
  Tokens batch = 512;
  bool operator==(const Shape&) const = default;
};
inline constexpr Bytes kProcess = MiB(48);  // a worker's own code, stacks and buffers

Bytes needs(const Model& model, const Shape& shape);

// `info` with what was measured for `shape` noted in it, for needs() of later starts.
Json with_measured(Json info, const Shape& shape, Bytes measured);

}  // namespace lares::inventory
