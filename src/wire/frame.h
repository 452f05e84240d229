// Frames: how the programs cut a byte stream into messages. 16 bytes of header, then a payload.
//
//   0  magic    u16  0x4C52 ("LR")       4  length  u32  of the payload, at most kPayloadMax
//   2  version  u8   kVersion            8  id      u64  which request; 0: the connection itself
//   3  type     u8   wire::Type
//
// All little-endian. The decoder takes hostile bytes: it allocates nothing before the header is
// checked and never more than one frame. No policy here, and no descriptors: those are inherited.
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lares::wire {

inline constexpr uint16_t kMagic = 0x4C52;
inline constexpr uint8_t kVersion = 1;
inline constexpr size_t kHeaderSize = 16;
inline constexpr uint32_t kPayloadMax = 16u << 20;  // a prompt of 8 MB with JSON's overhead

struct Frame {
  uint8_t type = 0;
  uint64_t id = 0;
  std::string payload;
  bool operator==(const Frame&) const = default;
};

// The bytes of a frame. Requires: payload no longer than kPayloadMax.
std::string encode(const Frame& frame);

// Cuts frames out of bytes as they come, in pieces of any size.
class Decoder {
 public:
  // Adds bytes. Costs nothing but the copy. Whoever feeds takes the whole frames out before it
  // feeds again, so that the buffer holds one frame and one read.
  void feed(std::string_view bytes);
  // The next whole frame; nullopt: not yet. Corrupt: not our protocol, another version, or longer
  // than the limit; the stream cannot go on after that.
  Result<std::optional<Frame>> next();

 private:
  std::string buffer_;
  size_t at_ = 0;  // bytes of buffer_ already given out
};

}  // namespace lares::wire
