#include <cassert>

#include "base/fuzz.h"
#include "store/state_format.h"

// Whatever stands in the folder of the states, behind the seals too: what is read is within its
// limits, and is written as it was read.
FUZZ(state_format) {
  using namespace lares::store;  // NOLINT: one function
  for (size_t at = 0; at < bytes.size(); at += kStateAlign) {
    const auto header = record_header(bytes.substr(at));
    if (!header) continue;
    assert(header->size() % kStateAlign == 0 && header->size() >= 2 * kStateAlign);
    assert(encoded(*header) == bytes.substr(at, kStateAlign));
  }
  if (const auto head = record_head(bytes)) {
    assert(head->ids.size() <= kBlockTokensMax && head->saves_ms >= 0);
    assert(encoded(*head) == bytes);
  }
  if (const auto manifest = manifest_in(bytes)) {
    assert(manifest->lineages.size() <= kLineagesMax);
    assert(encoded(*manifest) == bytes);
  }
  const SealKey key(std::string(kSealKeyBytes, 'k'));
  assert(!opened_manifest(bytes, key).manifest);  // nothing that we did not seal
}
