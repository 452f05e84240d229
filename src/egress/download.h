// Download: a file fetched in chunks by parallel requests for ranges, each begun again where it was
// lost, until it is whole. What comes is not believed: a range must be the one that was asked for,
// the file the one that was located, the bytes no more than that. Blocking, calling `tick`.
//
//   waiting chunk ──request──> running ──whole──> done
//        ^                        '──lost, refused, slow──> waiting again, after a pause
#pragma once

#include <functional>
#include <string>

#include "egress/http.h"
#include "egress/part.h"

namespace lares::egress {

inline constexpr size_t kParallel = 4;
// Recorded after so many bytes: that, and what is on its way in the windows of the connections
// (http.h), is what the end of this process costs, less than a chunk together.
inline constexpr uint64_t kRecordBytes = kChunkSize / 8;
// Made durable after so many bytes, or that long after the first of them: when the machine ends,
// chunks that were written since then are fetched again.
inline constexpr uint64_t kCheckpointBytes = kChunkSize / 2;
inline constexpr milliseconds kCheckpointEvery{2'000};
inline constexpr int kFruitlessMax = 8;  // tries in a row that brought not one byte
inline constexpr int kWrongMax = 3;      // answers that make no sense
inline constexpr milliseconds kPauseFirst{500};
inline constexpr milliseconds kPauseMax{30'000};
static_assert(kRecordBytes + kParallel * kWindowMax <= kChunkSize);

// Where the bytes of a file are now. Signed addresses end, so it is asked for again.
struct Located {
  Url url;
  std::string etag;  // strong, for If-Range; "" where there is none
  uint64_t size = 0;
};
using Locate = std::function<Result<Located>()>;

// Follows redirects from `url` to the file itself, asks it for its first byte, and so learns its
// size and ETag. Unsupported: the server gives no ranges, or no size.
Result<Located> locate(Http& http, const Url& url, std::string_view what);
// A strong ETag as it stands in the head, else "".
std::string strong_etag(const Head& head);

struct Heard {
  uint64_t bytes_done = 0;  // of the file
  uint64_t bytes_read = 0;  // from the network, what was thrown away included
  std::string waiting;      // why nothing comes now, "" while something does
};

// What says that a file is still the same: a digest that is known in advance, or the server's ETag.
enum class SameBy { Content, Etag };

// Fetches what `part` does not have. `tell` is called with each tick. Busy: the file changed on the
// server meanwhile, begin again. Other errors: Offline, Timeout and Busy may pass; Corrupt, Denied,
// NotFound, NoRoom and Io will not. Everything that came is checkpointed, whatever the result.
Result<uint64_t> download(Http& http, const Locate& where, Part& part, SameBy same,
                          const Tick& tick, const std::function<void(const Heard&)>& tell);

}  // namespace lares::egress
