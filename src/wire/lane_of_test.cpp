#include "wire/lane_of.h"

#include <gtest/gtest.h>

#include "wire/message.h"

namespace lares::wire {
namespace {

TEST(LaneOf, IsThatOfTheMessageWhateverTheOwnersNumberIs) {
  for (const Lane lane : {Lane::Interactive, Lane::Agent, Lane::Background}) {
    for (const uint32_t owner : {0U, 23U, 24U, 255U, 256U, 65'535U, 65'536U, UINT32_MAX}) {
      EXPECT_EQ(lane_of(to_frame(Generate{"chat", Json::object(), lane, owner}, 1)), lane) << owner;
      EXPECT_EQ(lane_of(to_frame(Embed{Json::array({"x"}), lane, owner}, 1)), lane) << owner;
      EXPECT_EQ(lane_of(to_frame(Resume{"\xA0", 5, 6, "abcd", lane, owner}, 1)), lane) << owner;
      EXPECT_EQ(lane_of(to_frame(Rank{"q", Json::array({"x"}), lane, owner}, 1)), lane) << owner;
    }
  }
}

TEST(LaneOf, IsNotFooledByWhatAPromptSays) {
  const std::string as_if = "dlanekinteractiveeowner";
  const Json body = {{"prompt", as_if + "\x01"}, {"zzz", as_if}};
  EXPECT_EQ(lane_of(to_frame(Generate{as_if, body, Lane::Background, 7}, 1)), Lane::Background);
}

TEST(LaneOf, IsUnknownOfOtherFrames) {
  EXPECT_FALSE(lane_of(to_frame(Type::Cancel, 1)));
  EXPECT_FALSE(lane_of({static_cast<uint8_t>(Type::Generate), 1, ""}));
  EXPECT_FALSE(lane_of({static_cast<uint8_t>(Type::Generate), 1, "dlanefurgenteowner\x01"}));
  Frame frame = to_frame(Generate{"chat", Json::object(), Lane::Agent, 7}, 1);
  EXPECT_TRUE(lane_of(frame));
  frame.type = static_cast<uint8_t>(Type::Done);
  EXPECT_FALSE(lane_of(frame));
  frame.type = static_cast<uint8_t>(Type::Generate);
  frame.payload += '\x01';
  EXPECT_FALSE(lane_of(frame));
}

}  // namespace
}  // namespace lares::wire
