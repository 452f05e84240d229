#include "base/fuzz.h"
#include "wire/message.h"
#include "wire/pull.h"

namespace wire = lares::wire;

namespace {

template <class Message>
void through(const wire::Frame& frame) {
  const auto read = lares::wire::from_frame<Message>(frame);
  if (!read) return;
  wire::Frame again;
  if constexpr (requires { wire::to_frame(*read); }) {
    again = wire::to_frame(*read);
  } else {
    again = wire::to_frame(*read, frame.id);
  }
  assert(wire::from_frame<Message>(again));
}

}  // namespace

// The first byte is the frame's type, the rest its payload: each reader takes it or refuses it.
FUZZ(messages) {
  if (bytes.empty()) return;
  const wire::Frame frame{static_cast<uint8_t>(bytes[0]), 1, std::string(bytes.substr(1))};
  through<wire::Hello>(frame);
  through<wire::Load>(frame);
  through<wire::Loaded>(frame);
  through<wire::Generate>(frame);
  through<wire::Embed>(frame);
  through<wire::Rank>(frame);
  through<wire::Resume>(frame);
  through<wire::Started>(frame);
  through<wire::Delta>(frame);
  through<wire::Done>(frame);
  through<wire::Failed>(frame);
  through<wire::Beat>(frame);
  through<wire::Progress>(frame);
  through<wire::Resolve>(frame);
  through<wire::Found>(frame);
  through<wire::Fetch>(frame);
  through<wire::Fetched>(frame);
  through<wire::Pulled>(frame);
  through<wire::Hashed>(frame);
}
