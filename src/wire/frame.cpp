#include "wire/frame.h"

#include "base/text.h"

namespace lares::wire {
namespace {

template <class Int>
void put(std::string& out, Int value) {
  for (size_t i = 0; i < sizeof(Int); i++) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

template <class Int>
Int take(std::string_view bytes, size_t at) {
  Int value = 0;
  for (size_t i = 0; i < sizeof(Int); i++)
    value = static_cast<Int>(value | (Int{static_cast<unsigned char>(bytes[at + i])} << (8 * i)));
  return value;
}

}  // namespace

std::string encode(const Frame& frame) {
  assert(frame.payload.size() <= kPayloadMax);
  std::string out;
  out.reserve(kHeaderSize + frame.payload.size());
  put<uint16_t>(out, kMagic);
  out += static_cast<char>(kVersion);
  out += static_cast<char>(frame.type);
  put<uint32_t>(out, static_cast<uint32_t>(frame.payload.size()));
  put<uint64_t>(out, frame.id);
  out += frame.payload;
  return out;
}

void Decoder::feed(std::string_view bytes) {
  // Moves what is left to the front when that is the smaller part: each byte moves once at most,
  // and the buffer stays within twice what was not given out yet.
  if (at_ > buffer_.size() / 2) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<Frame>> Decoder::next() {
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  if (rest.size() < kHeaderSize) return std::optional<Frame>();
  if (take<uint16_t>(rest, 0) != kMagic)
    return Error{Code::Corrupt, "reading a frame: the magic number is wrong"};
  if (const auto version = take<uint8_t>(rest, 2); version != kVersion)
    return Error{Code::Corrupt, cat("reading a frame: protocol version ", version, ", we speak ",
                                    kVersion, "; restart the daemon after an update")};
  const auto length = take<uint32_t>(rest, 4);
  if (length > kPayloadMax)
    return Error{Code::Corrupt,
                 cat("reading a frame: ", length, " bytes, at most ", kPayloadMax, " are allowed")};
  if (rest.size() < kHeaderSize + length) return std::optional<Frame>();
  Frame frame{take<uint8_t>(rest, 3), take<uint64_t>(rest, 8),
              std::string(rest.substr(kHeaderSize, length))};
  at_ += kHeaderSize + length;
  return std::optional<Frame>(std::move(frame));
}

}  // namespace lares::wire
