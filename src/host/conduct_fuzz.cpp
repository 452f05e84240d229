// A worker that is wholly its attacker's: any bytes, against a daemon that has asked for three
// things.
#include "base/fuzz.h"
#include "host/conduct.h"
#include "host/last_lines.h"

namespace lares::host {
namespace {

constexpr size_t kLines = 20;

}  // namespace

FUZZ(worker_bytes) {
  Conduct conduct;
  wire::Decoder decoder;
  SteadyTime time{};
  bool asked = false;
  const auto asks = [&](const wire::Frame& frame) {
    const auto sent = conduct.sends(frame);
    assert(sent);
  };
  decoder.feed(bytes);
  for (;;) {
    auto frame = decoder.next();
    if (!frame || !*frame) break;
    const size_t before = conduct.open();
    const auto meaning = conduct.hears(**frame, time);
    if (!meaning) break;
    assert(conduct.open() <= before);  // no worker opens a request
    if (conduct.ready() && !asked) {
      asked = true;
      asks(wire::to_frame(wire::Load{}));
      asks(wire::to_frame(wire::Generate{"chat", Json::object()}, 1));
      asks(wire::to_frame(wire::Embed{Json::array()}, 2));
    }
    if (*meaning == Conduct::Meaning::Answer) assert((*frame)->id == 1 || (*frame)->id == 2);
    time += milliseconds(1);
  }
}

FUZZ(log_bytes) {
  LastLines lines(kLines);
  lines.feed(bytes, [](const std::string& line) { assert(line.size() <= kLogLineMax); });
  const auto kept = lines.take();
  assert(kept.size() <= kLines);
  for (const std::string& line : kept) {
    for (const char c : line) assert(c >= 0x20 && c <= 0x7E);
  }
}

}  // namespace lares::host
