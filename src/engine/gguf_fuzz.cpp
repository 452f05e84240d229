#include <cassert>

#include "base/fuzz.h"
#include "engine/gguf.h"
#include "engine/gguf_facts.h"

// Any bytes are a head whose tensors lie in the file, each in its own place, or an error with
// words.
FUZZ(gguf) {
  using namespace lares::engine::gguf;
  const auto head = read(bytes);
  if (!head) {
    assert(!head.error().message.empty() && head.error().message.size() < 1'000);
    return;
  }
  assert(head->data_offset <= bytes.size() || head->tensors.empty());
  uint64_t sum = 0;
  for (const Tensor& tensor : head->tensors) {
    assert(tensor.offset >= head->data_offset && tensor.offset + tensor.bytes <= bytes.size());
    sum += tensor.bytes;
  }
  assert(sum <= bytes.size());
  assert(lares::dump(work_of(*head)).size() < (64u << 10));
  (void)licence_of(*head);
}
