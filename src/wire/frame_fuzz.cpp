#include <string>

#include "base/fuzz.h"
#include "wire/frame.h"

namespace wire = lares::wire;

// However a stream is cut into pieces, the same frames come out, and each can be written again.
FUZZ(frames) {
  wire::Decoder whole;
  whole.feed(bytes);
  wire::Decoder pieces;
  size_t fed = 0;
  std::string written;
  for (;;) {
    auto next = whole.next();
    auto other = pieces.next();
    while (other && !*other && fed < bytes.size()) {
      const size_t size = 1 + (static_cast<unsigned char>(bytes[fed]) % 7);
      pieces.feed(bytes.substr(fed, size));
      fed += size;
      other = pieces.next();
    }
    assert(static_cast<bool>(next) == static_cast<bool>(other));
    if (!next || !*next) return;
    assert(*other && **next == **other);
    written += wire::encode(**next);
    assert(bytes.starts_with(written));
  }
}
