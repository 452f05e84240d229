// Pulling: what a source is and where its bytes lie, asked of the registry that it names. From here
// on a pull is a Found and a Locate, whatever it came from. Blocking, calling the Http's tick.
#pragma once

#include "egress/download.h"
#include "wire/pull.h"

namespace lares::egress {

struct Pulling {
  wire::Found found;
  SameBy same = SameBy::Etag;
  Locate locate;  // refers to `http`
};

// NotFound, Denied, Unsupported, Corrupt say what was wrong with the source; Offline, Timeout and
// Busy may pass. `http` must outlive what comes back.
Result<Pulling> resolve(Http& http, const wire::Resolve& order);

}  // namespace lares::egress
