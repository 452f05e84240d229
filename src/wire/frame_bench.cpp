#include "base/bench.h"
#include "wire/message.h"

namespace wire = lares::wire;

BENCH(a_token_over_the_wire) {
  const wire::Delta delta{" word", nullptr, 1};
  wire::Decoder decoder;
  bench.run([&] {
    decoder.feed(wire::encode(wire::to_frame(delta, 1)));
    auto frame = decoder.next();
    return wire::from_frame<wire::Delta>(**frame)->text.size();
  });
}
