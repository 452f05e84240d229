#include "engine/logits.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>
#include <numeric>

namespace lares::engine {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kRows = 64;  // of a block, which has a value of each lane in each
constexpr size_t kBlock = kRows * kLanes;

}  // namespace

Greatest Logits::read(std::span<const float> values) {
  values_ = values;
  const size_t blocks = values.size() / kBlock;
  lanes_.resize(blocks * kLanes);
  int32_t strange[kLanes] = {};
  for (size_t block = 0; block < blocks; block++) {
    float lanes[kLanes];
    for (float& lane : lanes) lane = -INFINITY;
    const float* row = values.data() + block * kBlock;
    for (size_t i = 0; i < kRows; i++, row += kLanes) {
      for (size_t j = 0; j < kLanes; j++) {
        lanes[j] = row[j] > lanes[j] ? row[j] : lanes[j];
        strange[j] |= row[j] <= FLT_MAX ? 0 : 1;
      }
    }
    std::copy_n(lanes, kLanes, lanes_.data() + block * kLanes);
  }
  int32_t bad = std::accumulate(std::begin(strange), std::end(strange), 0);
  float most = -INFINITY;
  size_t from = 0;
  for (size_t i = 0; i < lanes_.size(); i++) {
    if (!(lanes_[i] > most)) continue;
    most = lanes_[i];
    from = i / kLanes * kBlock;
  }
  for (size_t i = blocks * kBlock; i < values.size(); i++) {
    bad |= values[i] <= FLT_MAX ? 0 : 1;
    if (!(values[i] > most)) continue;
    most = values[i];
    from = i;
  }
  const auto begin = values.begin() + static_cast<ptrdiff_t>(from);
  return {static_cast<size_t>(std::find(begin, values.end(), most) - values.begin()), most,
          bad == 0};
}

// As many lanes as places are asked for have something as large as the `count`th largest of their
// maxima, so what is smaller is none of the largest; only those lanes have anything that is not.
const std::vector<size_t>& Logits::largest(size_t count) {
  found_.clear();
  if (count == 0 || count * 4 > lanes_.size()) {
    found_.resize(values_.size());
    std::iota(found_.begin(), found_.end(), size_t{0});
    return found_;
  }
  order_ = lanes_;
  const auto nth = order_.begin() + static_cast<ptrdiff_t>(count - 1);
  std::nth_element(order_.begin(), nth, order_.end(), std::greater<>());
  const float least = *nth;
  for (size_t lane = 0; lane < lanes_.size(); lane++) {
    if (lanes_[lane] < least) continue;
    const size_t first = lane / kLanes * kBlock + lane % kLanes;
    for (size_t i = 0; i < kRows; i++) {
      const size_t at = first + i * kLanes;
      if (values_[at] >= least) found_.push_back(at);
    }
  }
  for (size_t at = lanes_.size() / kLanes * kBlock; at < values_.size(); at++) {
    if (values_[at] >= least) found_.push_back(at);
  }
  return found_;
}

}  // namespace lares::engine
