// What is asked of the logits of one row: 50,000 to 260,000 numbers for each token of an answer, so
// they are read once, in lanes that the compiler keeps in vector registers. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lares::engine {

struct Greatest {
  size_t at = 0;  // the first of the largest
  float value = 0;
  bool all_numbers = true;  // none is NaN or plus infinity
};

class Logits {
 public:
  // `values` must stay what and where they are until the next call.
  Greatest read(std::span<const float> values);

  // Places of the `count` largest of what was read, with others that are no smaller than the
  // smallest of those and few beside them, in no order; of all where that is simpler. What chooses
  // among the largest need then look at no others.
  const std::vector<size_t>& largest(size_t count);

 private:
  std::span<const float> values_;
  std::vector<float> lanes_;  // the largest of each lane of each block
  std::vector<float> order_;
  std::vector<size_t> found_;
};

}  // namespace lares::engine
