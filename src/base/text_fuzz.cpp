#include "base/fuzz.h"
#include "base/text.h"

// The three ways to look at UTF-8 agree with each other on any bytes.
FUZZ(utf8) {
  const std::string repaired = lares::utf8_repaired(bytes);
  assert(lares::is_utf8(repaired));
  if (lares::is_utf8(bytes)) assert(repaired == bytes);
  const size_t tail = lares::utf8_tail(bytes);
  assert(tail <= 3 && tail <= bytes.size());
  if (tail > 0) assert(!lares::is_utf8(bytes.substr(bytes.size() - tail)));
  if (lares::is_utf8(bytes)) assert(tail == 0);
  // whole characters in front of a tail stay whole
  if (lares::is_utf8(bytes.substr(0, bytes.size() - tail)))
    assert(lares::utf8_repaired(bytes.substr(0, bytes.size() - tail)).size() ==
           bytes.size() - tail);
}
