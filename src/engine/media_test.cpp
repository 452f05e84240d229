#include "engine/media.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "engine/picture_file.h"
#include "engine/slots.h"
#include "engine/sound_file.h"
#include "engine/testing/media_files.h"

namespace lares::engine {
namespace {

using namespace testing;

constexpr Senses kAll{true, 16'000};

Json image(const std::string& file, const char* param = "messages[0].content[0].image_url.url") {
  return {{"type", "image"}, {"data", base64(file)}, {"param", param}};
}
Json audio(const std::string& file) {
  return {{"type", "audio"},
          {"data", base64(file)},
          {"param", "messages[0].content[0].input_audio.data"}};
}
Json chat_of(Json content) {
  return Json::array({{{"role", "user"}, {"content", std::move(content)}}});
}
Error refusal(Json part, Senses senses = kAll) {
  Json messages = chat_of(Json::array({std::move(part)}));
  auto media = take_media(messages, senses);
  EXPECT_FALSE(media);
  return media ? Error{} : media.error();
}

TEST(Media, AreTakenOutOfMessagesInTheirOrder) {
  Json messages = chat_of(Json::array({{{"type", "text"}, {"text", "a"}},
                                       image(png(3, 2, board(1))),
                                       audio(wav(16'000, 0.1, 440)),
                                       {{"type", "text"}, {"text", "b"}}}));
  EXPECT_TRUE(has_media(messages));
  const auto media = take_media(messages, kAll);
  ASSERT_TRUE(media) << media.error().message;
  ASSERT_EQ(media->size(), 2U);
  EXPECT_EQ((*media)[0].width, 3U);
  EXPECT_EQ((*media)[0].height, 2U);
  EXPECT_EQ((*media)[0].digest.size(), 64U);
  EXPECT_EQ((*media)[1].kind, Media::Kind::Audio);
  EXPECT_NEAR(static_cast<double>((*media)[1].samples.size()), 1600, 2);
  EXPECT_EQ(messages[0]["content"][1], (Json{{"type", "media"}}));
  EXPECT_EQ(messages[0]["content"][3]["text"], "b");
  EXPECT_FALSE(has_media(messages));
}

TEST(Media, LeaveMessagesOfTextAsTheyAre) {
  Json messages = chat_of("just text");
  const Json before = messages;
  const auto media = take_media(messages, {});
  ASSERT_TRUE(media);
  EXPECT_TRUE(media->empty());
  EXPECT_EQ(messages, before);
}

TEST(Media, ThatAModelDoesNotTakeAreRefused) {
  const std::string picture = png(2, 2, plain({1, 2, 3}));
  const Error blind = refusal(image(picture), {});
  EXPECT_EQ(blind.code, Code::Invalid);
  EXPECT_EQ(blind.param, "messages[0].content[0].image_url.url");
  EXPECT_NE(blind.message.find("takes no pictures: it has no projector"), std::string::npos);
  EXPECT_NE(refusal(audio(wav(16'000, 0.1, 440)), {true, 0}).message.find("takes no sounds"),
            std::string::npos);
  EXPECT_NE(refusal(image(picture), {false, 16'000}).message.find("takes no pictures"),
            std::string::npos);
}

TEST(Media, AreRefusedWithTheReasonWhereTheyCannotBeRead) {
  const std::string good = png(40, 40, board(3));
  std::string no_end = good;
  no_end.resize(good.size() / 2);
  struct Bad {
    const char* what;
    Json part;
    const char* words;
  };
  const Bad table[] = {
      {"text", image("hello"), "no picture that can be read"},
      {"a link", {{"type", "image"}, {"data", "http://a/b.png"}}, "no base64"},
      {"nothing", image(""), "no base64"},
      {"no data", {{"type", "image"}}, "no base64"},
      {"half of one", image(no_end), "damaged"},
      {"a huge one", image(png_around(50'000, 50'000, "x")), "50000 x 50000"},
      {"one too long", image(png_around(16'384, 1'100, "x")), "16384 x 1100"},
      {"a sound as a picture", image(wav(16'000, 0.1, 1)), "no picture"},
      {"a picture as a sound", audio(good), "no sound that can be read"},
      {"an empty sound", audio(wav(16'000, 0, 1)), "sound"},
  };
  for (const auto& [what, part, words] : table) {
    const Error error = refusal(part);
    EXPECT_EQ(error.code, Code::Invalid) << what;
    EXPECT_FALSE(error.param.empty()) << what;
    EXPECT_NE(error.message.find(words), std::string::npos) << what << ": " << error.message;
  }
}

TEST(Media, OfOneRequestAreCounted) {
  Json content = Json::array();
  for (size_t i = 0; i <= kMediaMax; i++) content.push_back(image(png(1, 1, plain({9, 9, 9}))));
  Json messages = chat_of(content);
  const auto media = take_media(messages, kAll);
  ASSERT_FALSE(media);
  EXPECT_NE(media.error().message.find("more than 16"), std::string::npos);
}

TEST(Pictures, AreReadPixelByPixel) {
  const Painter paint = [](uint32_t x, uint32_t y) -> Pixel {
    return {static_cast<uint8_t>(x * 20), static_cast<uint8_t>(y * 30), 7};
  };
  for (const std::string& file : {png(5, 4, paint), bmp(5, 4, paint)}) {
    const auto picture = read_picture(file);
    ASSERT_TRUE(picture) << picture.error().message;
    ASSERT_EQ(picture->rgb.size(), 60U);
    EXPECT_EQ(picture->rgb[(2 * 5 + 3) * 3], 60);
    EXPECT_EQ(picture->rgb[(2 * 5 + 3) * 3 + 1], 60);
    EXPECT_EQ(picture->rgb[(2 * 5 + 3) * 3 + 2], 7);
  }
}

// A row of zeros packed by hand: a block of "repeat the last byte 258 times", again and again.
TEST(Pictures, ThatUnpackToGigabytesAreRefused) {
  // fixed Huffman: literal 0 (8 bits 00110000), then length 258 (11000101) distance 1 (00000)
  std::string data = "\x78\x01";
  uint64_t bits = 0;
  int count = 0;
  const auto put = [&](uint32_t value, int width) {  // least significant first
    bits |= static_cast<uint64_t>(value) << count;
    for (count += width; count >= 8; count -= 8, bits >>= 8) data += static_cast<char>(bits & 0xff);
  };
  const auto put_code = [&](uint32_t code,
                            int width) {  // Huffman codes come most significant first
    for (int i = width; i-- > 0;) put(code >> i & 1, 1);
  };
  put(1, 1);  // the last block
  put(1, 2);  // fixed codes
  put_code(0b00110000, 8);
  for (size_t made = 1; made < 400'000'000; made += 258) {
    put_code(0b11000101, 8);
    put_code(0, 5);
  }
  put_code(0, 7);
  put(0, 7);
  const auto picture = read_picture(png_around(1, 1, data));
  ASSERT_FALSE(picture);
  EXPECT_NE(picture.error().message.find("unpacks to more"), std::string::npos)
      << picture.error().message;
}

TEST(Pictures, WithAnAbsurdNumberOfScansAreRefused) {
  // enough of a head for its size to be read
  std::string jpeg("\xff\xd8\xff\xc2\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00", 15);
  for (size_t i = 0; i <= kScansMax; i++)
    jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00", 10);
  const auto picture = read_picture(jpeg + "\xff\xd9");
  ASSERT_FALSE(picture);
  EXPECT_NE(picture.error().message.find("scans"), std::string::npos) << picture.error().message;
}

TEST(Sounds, AreReadAtTheRateThatIsWanted) {
  const auto samples = read_sound(wav(8'000, 0.5, 440), 16'000);
  ASSERT_TRUE(samples) << samples.error().message;
  EXPECT_NEAR(static_cast<double>(samples->size()), 8'000, 64);
  float most = 0;
  for (const float sample : *samples) most = std::max(most, std::abs(sample));
  EXPECT_NEAR(most, 16'000.0 / 32'768, 0.02);
}

TEST(MediaTokens, TellPiecesAndTheirBeginningsApart) {
  std::set<Token> seen;
  for (uint32_t piece = 0; piece < 100; piece++) {
    const Token first = media_token(piece, 0);
    const Token later = media_token(piece, 1);
    EXPECT_EQ(later, media_token(piece, 999));
    EXPECT_TRUE(is_media(first) && begins_media(first) && !continues_media(first));
    EXPECT_TRUE(is_media(later) && continues_media(later) && !begins_media(later));
    EXPECT_TRUE(seen.insert(first).second && seen.insert(later).second);
  }
  EXPECT_FALSE(is_media(0) || begins_media(0) || continues_media(0));
}

TEST(MediaTokens, AreNeverCutInTwo) {
  const Token a = media_token(1, 0), aa = media_token(1, 1);
  const Token b = media_token(2, 0), bb = media_token(2, 1);
  const std::vector<Token> held = {1, 2, a, aa, aa, 3, 4};
  const auto keep = [&](std::vector<Token> tokens) { return kept_prefix(held, tokens); };
  EXPECT_EQ(keep({1, 2, a, aa, aa, 3, 5}), 6U);
  EXPECT_EQ(keep({1, 2, a, aa, aa, 7}), 5U);
  EXPECT_EQ(keep({1, 2, b, bb, bb, 3}), 2U) << "another picture";
  EXPECT_EQ(keep({1, 2, a, aa, aa, aa, 3}), 2U) << "a longer piece is another";
  EXPECT_EQ(keep({1, 2, a, aa, aa}), 2U) << "one row is left to compute, and so all of it";
  EXPECT_EQ(keep({1, 2, a, aa, aa, a, aa, aa, 3}), 5U) << "the same picture twice";
  EXPECT_EQ(keep({1}), 0U);
  EXPECT_EQ(keep({}), 0U);
}

TEST(MediaNumbers, AreTheSameForTheSameAndNeverForAnother) {
  MediaNumbers numbers;
  const uint32_t first = numbers.of("a");
  EXPECT_NE(numbers.of("b"), first);
  EXPECT_EQ(numbers.of("a"), first);
  std::set<uint32_t> seen = {first};
  for (size_t i = 0; i < MediaNumbers::kKnownMax + 1; i++)
    EXPECT_TRUE(seen.insert(numbers.of(cat("c", i))).second);
  EXPECT_TRUE(seen.insert(numbers.of("a")).second) << "forgotten: a new number, never a used one";
}

}  // namespace
}  // namespace lares::engine
