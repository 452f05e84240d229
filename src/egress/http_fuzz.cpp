#include "base/fuzz.h"
#include "base/text.h"
#include "egress/http.h"

using namespace lares::egress;

// The lines of an answer's head, as a server sends them.
FUZZ(egress_head) {
  Head head;
  size_t size = 0;
  for (const std::string& line : lares::split(bytes, '\n')) {
    if (!add_head_line(head, line, size)) break;
  }
  if (const auto range = content_range_from(head.field("content-range")))
    assert(range->first <= range->last && range->last < range->size);
  if (const auto wait = retry_after_from(head.field("retry-after")))
    assert(*wait <= kRetryAfterMax);
  static_cast<void>(bearer_challenge_from(head.field("www-authenticate")));
  static_cast<void>(content_range_from(bytes).has_value());
  static_cast<void>(bearer_challenge_from(bytes));
}
