// Needs: how many bytes of memory a model will take, before it is started. Pure.
//
// What a worker measured for the same options is believed (and never less than the file); otherwise
// an estimate from what the file says of itself: its heads and windows give the state to the byte,
// the widths of its layers the buffers within a few hundredths. With less known, an upper one; with
// nothing, a generous one from its size. An estimate that is too high costs an eviction, one that
// is too low costs the machine.
#pragma once

#include <cstdint>
#include <optional>

#include "base/json.h"
#include "base/units.h"
#include "inventory/models.h"
#include "inventory/speed.h"

namespace lares::inventory {

// What the size of a model's state depends on.
struct Shape {
  Tokens context = 0;  // 0: the model's own, at most wire::kContextMax
  uint32_t sequences = 8;
  Tokens batch = 512;
  bool operator==(const Shape&) const = default;
};
inline constexpr Bytes kProcess = MiB(48);  // a worker's own code, stacks and buffers

// `speeds`: of this machine, where they are known; they tell what the engine copies of a model that
// nobody has loaded yet.
Bytes needs(const Model& model, const Shape& shape, const Speeds* speeds = nullptr);

// What it takes in another's worker when it drafts for that one: no process, and nothing of
// conversations that rest.
Bytes needs_to_draft(const Model& model, const Shape& shape);

// The same in its parts, as far as they are known.
struct Estimate {
  Bytes weights;  // the file, mapped, and what the engine packs anew
  Bytes state;    // keys and values of all conversations, those that rest included
  Bytes compute;  // buffers of one step
  Bytes total() const { return weights + state + compute + kProcess; }
};
// From what the file says of itself; kProcess alone of it is measured. None when it says too
// little.
std::optional<Estimate> estimate(const Model& model, const Shape& shape,
                                 const Speeds* speeds = nullptr);
// What a worker told of its parts when it loaded the model with these options; none before.
std::optional<Estimate> measured(const Model& model, const Shape& shape);

// `info` with what was measured for `shape` noted in it, for needs() of later starts.
Json with_measured(Json info, const Shape& shape, Bytes measured);

}  // namespace lares::inventory
