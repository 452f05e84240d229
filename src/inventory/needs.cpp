#include "inventory/needs.h"

#include <algorithm>

#include "inventory/info.h"
#include "wire/draft_rows.h"
#include "wire/message.h"

namespace lares::inventory {
namespace {

// a * b, or a size that fits nowhere.
uint64_t times(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX / 8
                                                : std::min(product, UINT64_MAX / 8);
}

// Of the kind that an engine rounds its caches to.
uint64_t rounded(uint64_t cells) { return (cells + 255) / 256 * 256; }

constexpr Tokens kEmbeddingContextMax = 2048;
constexpr Bytes kParkedMax = MiB(256);  // of conversations that rest, outside of the cells

// The most tokens of all conversations together, as a worker takes them.
uint64_t context_of(const Model& model, const Shape& shape) {
  const uint64_t trained = count_in(model.info, "context_train");
  const Tokens most = pools(model.use) ? kEmbeddingContextMax : wire::kContextMax;
  if (shape.context > 0 && model.use == Use::Chat) return shape.context;
  return std::min<uint64_t>(trained > 0 ? trained : most, most);
}

struct Step {
  uint64_t batch, cells, window_cells, sequences;
};

// The buffers of one step: what the widest layer has between its products, the masks of what sees
// what, and a row of logits for each sequence, and for drafts.
Bytes compute_buffers(const Json& info, const Json& work, const Step& step) {
  const uint64_t width = count_in(info, "embedding_length");
  const uint64_t feed_forward = std::max(count_in(work, "feed_forward"), width);
  const uint64_t heads = times(count_in(work, "heads"), count_in(work, "head_size"));
  const uint64_t drafts = wire::draft_rows(count_in(info, "vocabulary"));
  const uint64_t row = std::max(times(2, feed_forward), times(3, heads)) + times(3, width);
  return Bytes{times(step.batch, times(row, 4)) +
               times(step.batch, times(step.cells + step.window_cells, 4)) +
               times(count_in(info, "vocabulary"), times(step.sequences + drafts, 4))};
}

Bytes measured_for(const Json& info, const Shape& shape) {
  const auto found = info.find("measured");
  if (found == info.end() || !found->is_object()) return {};
  if (count_in(*found, "context") != shape.context ||
      count_in(*found, "sequences") != shape.sequences || count_in(*found, "batch") != shape.batch)
    return {};
  return Bytes{count_in(*found, "memory_bytes")};
}

// What the engine would copy of the matrices here, by what was measured of each packing.
uint64_t copied_by(const Json& work, const Speeds& speeds) {
  const auto weights = work.find("weights");
  if (weights == work.end() || !weights->is_array()) return 0;
  double copied = 0;
  for (const Json& each : *weights) {
    if (!each.is_object() || !each.contains("type") || !each["type"].is_string()) continue;
    const auto rate = speeds.types.find(each["type"].get_ref<const std::string&>());
    // of experts all are copied, not only those that one token asks
    const uint64_t bytes = std::max(count_in(each, "decode_bytes"),
                                    count_in(work, "experts") > 0 ? count_in(each, "bytes") : 0);
    if (rate != speeds.types.end()) copied += rate->second.copied * static_cast<double>(bytes);
  }
  return static_cast<uint64_t>(std::min(copied, static_cast<double>(kSaneMax)));
}

}  // namespace

namespace {
Bytes needs_alone(const Model& model, const Shape& shape, const Speeds* speeds);
}

std::optional<Estimate> estimate(const Model& model, const Shape& shape, const Speeds* speeds) {
  const Json& info = model.info;
  const auto work = info.find("work");
  const uint64_t layers = count_in(info, "layers");
  const uint64_t width = count_in(info, "embedding_length");
  if (work == info.end() || !work->is_object() || layers == 0 || width == 0) return std::nullopt;
  const bool embeds = pools(model.use);
  const uint64_t context = context_of(model, shape);
  const uint64_t cells = rounded(context);
  const uint64_t batch = embeds ? context : shape.batch;
  const uint64_t window_cells =
      std::min(cells, rounded(times(count_in(info, "sliding_window"), shape.sequences) + batch));
  // The engine copies matrices into layouts of its own where those are faster; what a dry run of it
  // said of this file and this machine is known to the byte.
  Estimate estimate;
  estimate.weights = model.size;
  const auto dry = info.find("dry_run");
  const bool ran = dry != info.end() && dry->is_object();
  if (const uint64_t copied = ran ? count_in(*dry, "copied_bytes") : 0; copied > 0)
    estimate.weights = std::max(model.size, Bytes{count_in(*work, "looked_up_bytes") + copied});
  else if (!ran && speeds)
    estimate.weights = model.size + Bytes{copied_by(*work, *speeds)};
  // a model that only looks keeps nothing for later
  uint64_t state = 0;
  if (!embeds) {
    state = times(count_in(*work, "state_bytes_per_token"), cells) +
            times(count_in(*work, "window_state_bytes_per_token"), window_cells);
    estimate.state = Bytes{state} + std::min(Bytes{state}, kParkedMax);
  }
  estimate.compute = compute_buffers(info, *work, {batch, cells, window_cells, shape.sequences});
  if (ran && count_in(*dry, "context") == shape.context &&
      count_in(*dry, "sequences") == shape.sequences && count_in(*dry, "batch") == shape.batch)
    estimate.compute = Bytes{count_in(*dry, "compute_bytes")};
  return estimate;
}

std::optional<Estimate> measured(const Model& model, const Shape& shape) {
  if (measured_for(model.info, shape).n == 0) return std::nullopt;
  const auto parts = model.info.find("memory");
  if (parts == model.info.end() || !parts->is_object()) return std::nullopt;
  return Estimate{std::max(Bytes{count_in(*parts, "weights_bytes")}, model.size),
                  Bytes{count_in(*parts, "state_bytes")} + Bytes{count_in(*parts, "parked_bytes")},
                  Bytes{count_in(*parts, "compute_bytes")}};
}

Bytes needs(const Model& model, const Shape& shape, const Speeds* speeds) {
  if (!model.projector) return needs_alone(model, shape, speeds);
  // what was measured is of both
  if (const Bytes measured = measured_for(model.info, shape); measured.n > 0)
    return std::max(measured, model.size + model.projector->size) + kProcess;
  return needs_alone(model, shape, speeds) + needs_of(*model.projector);
}

namespace {

Bytes needs_alone(const Model& model, const Shape& shape, const Speeds* speeds) {
  if (model.use == Use::Adapter) return model.size;  // beside its model
  const Json& info = model.info;
  if (const Bytes measured = measured_for(info, shape); measured.n > 0)
    return std::max(measured, model.size) + kProcess;
  if (const auto parts = estimate(model, shape, speeds)) return Bytes{parts->total().n / 20 * 21};

  const uint64_t layers = count_in(info, "layers");
  const uint64_t width = count_in(info, "embedding_length");
  if (layers == 0 || width == 0) return model.size + Bytes{model.size.n / 4} + MiB(256) + kProcess;

  const uint64_t context = context_of(model, shape);
  // keys and values in 16 bits for every head: models that share them among heads need less
  const uint64_t state = times(times(layers, width), times(context, 4));
  // activations of one step, and one row of logits for each sequence
  const uint64_t compute = times(shape.batch, times(width, 64)) +
                           times(count_in(info, "vocabulary"), times(shape.sequences, 8));
  return model.size + Bytes{state} + Bytes{compute} + MiB(32) + kProcess;
}

}  // namespace

Bytes needs_to_draft(const Model& model, const Shape& shape) {
  const Bytes all = needs(model, shape);
  auto parts = measured(model, shape);
  Bytes parked;
  if (parts) {
    parked = Bytes{count_in(model.info["memory"], "parked_bytes")};
  } else if ((parts = estimate(model, shape))) {
    // half of the state, or all that is above what is kept at most
    parked = std::min(Bytes{parts->state.n / 2}, kParkedMax);
  }
  return std::max(model.size, Bytes{all.n - std::min(all.n, parked.n + kProcess.n)});
}

Json with_measured(Json info, const Shape& shape, Bytes measured) {
  info["measured"] = {{"context", shape.context},
                      {"sequences", shape.sequences},
                      {"batch", shape.batch},
                      {"memory_bytes", std::min(measured.n, kSaneMax)}};
  return info;
}

}  // namespace lares::inventory
