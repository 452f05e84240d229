#include "inventory/needs.h"

#include <algorithm>

#include "wire/message.h"

namespace lares::inventory {
namespace {

constexpr uint64_t kSane =
    1ull << 40;  // no field of a model's is larger; also keeps products in range

// A whole number of the info, which a hostile file may have chosen; 0 when it is none.
uint64_t count(const Json& info, const char* name) {
  const auto found = info.find(name);
  if (found == info.end() || !found->is_number_unsigned()) return 0;
  return std::min(found->get<uint64_t>(), kSane);
}

// a * b, or a size that fits nowhere.
uint64_t times(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX / 8
                                                : std::min(product, UINT64_MAX / 8);
}

Bytes measured_for(const Json& info, const Shape& shape) {
  const auto found = info.find("measured");
  if (found == info.end() || !found->is_object()) return {};
  if (count(*found, "context") != shape.context || count(*found, "sequences") != shape.sequences ||
      count(*found, "batch") != shape.batch)
    return {};
  return Bytes{count(*found, "memory_bytes")};
}

}  // namespace

Bytes needs(const Model& model, const Shape& shape) {
  const Json& info = model.info;
  if (const Bytes measured = measured_for(info, shape); measured.n > 0)
    return std::max(measured, model.size) + kProcess;

  const uint64_t layers = count(info, "layers");
  const uint64_t width = count(info, "embedding_length");
  if (layers == 0 || width == 0) return model.size + Bytes{model.size.n / 4} + MiB(256) + kProcess;

  const uint64_t trained = count(info, "context_train");
  const uint64_t context =
      shape.context > 0
          ? shape.context
          : std::min<uint64_t>(trained > 0 ? trained : wire::kContextMax, wire::kContextMax);
  // keys and values in 16 bits for every head: models that share them among heads need less
  const uint64_t state = times(times(layers, width), times(context, 4));
  // activations of one step, and one row of logits for each sequence
  const uint64_t compute = times(shape.batch, times(width, 64)) +
                           times(count(info, "vocabulary"), times(shape.sequences, 8));
  return model.size + Bytes{state} + Bytes{compute} + MiB(32) + kProcess;
}

Json with_measured(Json info, const Shape& shape, Bytes measured) {
  info["measured"] = {{"context", shape.context},
                      {"sequences", shape.sequences},
                      {"batch", shape.batch},
                      {"memory_bytes", std::min(measured.n, kSane)}};
  return info;
}

}  // namespace lares::inventory
