// What one token costs between the service's event and the bytes for the client: done for every
// token of every stream. Sketch: two string appends and one allocation, well under a microsecond.
#include "api/answer.h"
#include "base/bench.h"

namespace lares::api {

BENCH(chunk_of_one_token) {
  ChunkWriter writer(
      {Work::Kind::Chat, "chatcmpl-0123456789abcdef", 1'700'000'000, "smollm2-135m-instruct"},
      false, 1);
  const std::string text = " \"quoted\"\n";
  const Json none;
  bench.run([&] { return writer.text(0, text, none).size(); });
}

BENCH(base64_of_one_vector) {
  const std::string vector(384 * sizeof(float), 'x');
  bench.run([&] { return base64(vector).size(); });
}

}  // namespace lares::api
