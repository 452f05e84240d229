#include "wire/frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lares::wire {
namespace {

// Everything that comes out before the decoder waits for more.
std::vector<Frame> taken(Decoder& decoder) {
  std::vector<Frame> frames;
  for (;;) {
    auto next = decoder.next();
    EXPECT_TRUE(next) << next.error().message;
    if (!next || !*next) return frames;
    frames.push_back(*std::move(*next));
  }
}

const std::vector<Frame> kThree{
    {5, 1, "hello"}, {7, 0xFFFFFFFFFFFFFFFF, ""}, {255, 0, std::string(300, '\0')}};

std::string bytes_of_three() {
  std::string bytes;
  for (const Frame& frame : kThree) bytes += encode(frame);
  return bytes;
}

TEST(Frame, HasTheLayoutThatTheHeaderDraws) {
  EXPECT_EQ(encode({0x0B, 0x0102030405060708, "ab"}),
            std::string("\x52\x4C\x01\x0B\x02\x00\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01"
                        "ab",
                        18));
}

TEST(Frame, ComesOutWholeAtEverySplitOfTheStream) {
  const std::string bytes = bytes_of_three();
  for (size_t cut = 0; cut <= bytes.size(); cut++) {
    Decoder decoder;
    decoder.feed(std::string_view(bytes).substr(0, cut));
    std::vector<Frame> frames = taken(decoder);
    decoder.feed(std::string_view(bytes).substr(cut));
    for (Frame& frame : taken(decoder)) frames.push_back(std::move(frame));
    EXPECT_EQ(frames, kThree) << cut;
  }
}

TEST(Frame, ComesOutByteByByte) {
  Decoder decoder;
  std::vector<Frame> frames;
  for (const char byte : bytes_of_three()) {
    decoder.feed({&byte, 1});
    for (Frame& frame : taken(decoder)) frames.push_back(std::move(frame));
  }
  EXPECT_EQ(frames, kThree);
}

TEST(Frame, ALongStreamOfFramesNeverAlignedWithItsPiecesComesOutRight) {
  std::string bytes;
  for (uint64_t id = 0; id < 2000; id++) bytes += encode({1, id, std::string(id % 97, 'x')});
  Decoder decoder;
  uint64_t next = 0;
  for (size_t at = 0; at < bytes.size(); at += 61) {
    decoder.feed(std::string_view(bytes).substr(at, 61));
    for (const Frame& frame : taken(decoder)) {
      EXPECT_EQ(frame.id, next);
      EXPECT_EQ(frame.payload.size(), next % 97);
      next++;
    }
  }
  EXPECT_EQ(next, 2000u);
}

Error refused(const std::string& bytes) {
  Decoder decoder;
  decoder.feed(bytes);
  auto next = decoder.next();
  EXPECT_FALSE(next);
  // and the stream stays refused
  EXPECT_FALSE(decoder.next());
  return next ? Error{Code::Invalid, "it was taken"} : next.error();
}

TEST(Frame, OfAnotherProtocolVersionOrLengthIsCorrupt) {
  std::string bytes = encode({1, 2, "x"});
  bytes[0] = 'G';
  EXPECT_EQ(refused(bytes).code, Code::Corrupt);
  bytes = encode({1, 2, "x"});
  bytes[2] = 9;
  EXPECT_EQ(refused(bytes).message,
            "reading a frame: protocol version 9, we speak 1; restart the daemon after an update");
  bytes = encode({1, 2, "x"});
  bytes[7] = 1;  // 16 MiB and one byte
  EXPECT_NE(refused(bytes).message.find("16777217 bytes, at most 16777216"), std::string::npos);
}

TEST(Frame, OfTheLargestSizeIsTaken) {
  const Frame largest{1, 2, std::string(kPayloadMax, 'x')};
  Decoder decoder;
  decoder.feed(encode(largest));
  EXPECT_EQ(taken(decoder), std::vector<Frame>{largest});
}

TEST(FrameDeathTest, LargerThanTheLimitIsABugOfTheSender) {
  const Frame frame{1, 2, std::string(kPayloadMax + 1, 'x')};
  EXPECT_DEATH(encode(frame), "kPayloadMax");
}

}  // namespace
}  // namespace lares::wire
