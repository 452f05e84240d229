#include "wire/lane_of.h"

#include <string>
#include <string_view>

#include "wire/message.h"

namespace lares::wire {
namespace {

constexpr size_t kNumberMax = 5;  // bytes of a CBOR uint32

// CBOR of a short text: a byte for its length, and its bytes.
std::string short_text(std::string_view value) {
  return static_cast<char>(0x60 | value.size()) + std::string(value);
}

// Bytes of the CBOR number that begins with this one; 0: none of 32 bits.
size_t number_size(char first) {
  switch (static_cast<unsigned char>(first)) {
    case 0x18: return 2;
    case 0x19: return 3;
    case 0x1A: return 5;
    default: return static_cast<unsigned char>(first) < 0x18 ? 1 : 0;
  }
}

}  // namespace

std::optional<Lane> lane_of(const Frame& frame) {
  const auto type = static_cast<Type>(frame.type);
  if (type != Type::Generate && type != Type::Embed && type != Type::Rank && type != Type::Resume)
    return std::nullopt;
  // an object's names are written in their order, and these two are the last
  const std::string_view payload = frame.payload;
  for (size_t i = 0; i < kLaneNames.size(); i++) {
    const std::string before = short_text("lane") + short_text(kLaneNames[i]) + short_text("owner");
    for (size_t number = 1; number <= kNumberMax; number++) {
      if (payload.size() < before.size() + number) break;
      const size_t at = payload.size() - number;
      if (number_size(payload[at]) == number && payload.substr(0, at).ends_with(before))
        return static_cast<Lane>(i);
    }
  }
  return std::nullopt;
}

}  // namespace lares::wire
