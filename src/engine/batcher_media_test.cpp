// Pictures and sounds through the Batcher, with the fake engine: what is computed for one is never
// taken for another, and nobody else is held up for longer than a step.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/text.h"
#include "engine/testing/media_files.h"
#include "engine/testing/talk.h"

namespace lares::engine {
namespace {

using namespace testing;

const Options kSenses = {{"sees", ""}, {"hears", ""}};

wire::Load shape(Tokens context, uint32_t sequences = 4, Tokens batch = 512) {
  wire::Load load;
  load.context = context;
  load.sequences = sequences;
  load.batch = batch;
  return load;
}
Options with(Options more) {
  more.insert(kSenses.begin(), kSenses.end());
  return more;
}

Json text(const std::string& words) { return {{"type", "text"}, {"text", words}}; }
Json image(uint32_t width, uint32_t height, uint8_t shade = 100) {
  return {{"type", "image"},
          {"data", base64(png(width, height, plain({shade, shade, shade})))},
          {"param", "messages[0].content[0].image_url.url"}};
}

// One message of the person's, of parts.
void look(Talk& talk, uint64_t id, Json content, Json more = Json::object()) {
  more["messages"] = Json::array({{{"role", "user"}, {"content", std::move(content)}}});
  talk.batcher.generate(id, {"chat", std::move(more), talk.lane, talk.owner});
}
std::string words(size_t count) { return std::string(count, 'w'); }

TEST(BatcherMedia, AreRowsOfThePrompt) {
  Talk talk(kSenses);
  look(talk, 1, {image(16, 8), text("look")});
  look(talk, 2, {text("a"), image(8, 8), image(40, 40), text("look")});
  look(talk, 3, {{{"type", "audio"}, {"data", base64(wav(16'000, 0.1, 440))}}, text("look")});
  look(talk, 4, {text("look")});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "1 pieces in 2 rows");
  EXPECT_EQ(talk[3].text, "1 pieces in 11 rows");
  EXPECT_EQ(talk[4].text, "0 pieces in 0 rows");
  ASSERT_TRUE(talk[1].done && talk[4].done);
  EXPECT_EQ(talk[1].done->prompt_tokens, talk[4].done->prompt_tokens + 2);
  EXPECT_EQ(talk[1].ends, 1);
}

TEST(BatcherMedia, AreTokensBehindTextInTheSameMessage) {
  Talk talk(kSenses);
  look(talk, 1, {image(80, 80), text("look")}, {{"logprobs", true}});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].done) << talk[1].failed->message;
  EXPECT_EQ(talk[1].text, "1 pieces in 100 rows");
  EXPECT_FALSE(talk[1].logprobs.empty());
}

TEST(BatcherMedia, ShareTheTextBeforeThemAndNothingBehindAnother) {
  Talk talk(kSenses);
  const std::string before = words(100);
  look(talk, 1, {text(before), image(40, 40, 1), text("look")});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].done);
  EXPECT_EQ(talk[1].started->reused_tokens, 0U);
  // <begin> <user> and the words; of another picture nothing
  look(talk, 2, {text(before), image(40, 40, 2), text("look")});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[2].done);
  EXPECT_EQ(talk[2].started->reused_tokens, 102U);
  EXPECT_EQ(talk[2].done->prompt_tokens, talk[1].done->prompt_tokens);
  // of the same picture all but the last token
  look(talk, 3, {text(before), image(40, 40, 1), text("look")});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[3].done);
  EXPECT_EQ(talk[3].started->reused_tokens, talk[1].done->prompt_tokens - 1);
  EXPECT_EQ(talk[3].text, talk[1].text);
  // and a text that goes on as the first did shares what stands before its picture
  look(talk, 4, {text(before + " no picture")});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[4].started->reused_tokens, 102U);
}

TEST(BatcherMedia, ComeBackFromWhereTheyWereParked) {
  Talk talk(with({{"parked", "8192"}}), shape(512, 2));
  look(talk, 1, {text(words(80)), image(64, 64, 1), text("look")});
  ASSERT_TRUE(talk.run());
  EXPECT_GT(talk.batcher.parked().count(), 0U);
  for (uint64_t id = 2; id < 6; id++) {  // others take its cells
    talk.chat(id, cat(id, words(200)));
    ASSERT_TRUE(talk.run());
    ASSERT_TRUE(talk[id].done);
  }
  look(talk, 9, {text(words(80)), image(64, 64, 1), text("look")});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[9].done) << talk[9].failed->message;
  EXPECT_EQ(talk[9].text, "1 pieces in 64 rows");
  EXPECT_EQ(talk[9].started->reused_tokens, talk[9].done->prompt_tokens - 1);
}

TEST(BatcherMedia, LetOthersGoOn) {
  Talk talk(kSenses);
  talk.complete(1, "count: 300");
  for (uint64_t id = 2; id < 8; id++)
    look(talk, id, {image(80, 80, static_cast<uint8_t>(id)), text("look")});
  talk.complete(9, "count: 200");
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].text.ends_with(" 300"));
  EXPECT_TRUE(talk[9].text.ends_with(" 200"));
  for (uint64_t id = 2; id < 8; id++) EXPECT_EQ(talk[id].text, "1 pieces in 100 rows") << id;
}

TEST(BatcherMedia, LargerThanAStepAreComputedInSeveral) {
  Talk talk(kSenses, shape(2048, 2, 32));
  look(talk, 1, {image(160, 160), text("look")});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[1].text, "1 pieces in 400 rows");
  EXPECT_GT(talk[1].progress.size(), 400U / 32);
}

TEST(BatcherMedia, AreComputedAnewForOneThatLostItsCells) {
  // three conversations of about 300 tokens in 512 cells: they displace each other
  Talk talk(with({{"parked", "1"}}), shape(512, 4, 64));
  for (uint64_t id = 1; id <= 3; id++) {
    look(talk, id,
         {text(cat(id, words(80))), image(80, 80, static_cast<uint8_t>(id)), text("count: 60")});
  }
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 3; id++) {
    ASSERT_TRUE(talk[id].done) << talk[id].failed->message;
    EXPECT_EQ(talk[id].done->completion_tokens, talk[id].tokens);
  }
}

TEST(BatcherMedia, WorkWithAWindow) {
  Talk talk(with({{"window", "24"}}), shape(1024));
  for (uint64_t id = 1; id <= 3; id++)
    look(talk, id, {text(words(40)), image(80, 80, id == 2 ? 2 : 1), text("look")});
  ASSERT_TRUE(talk.run());
  for (uint64_t id = 1; id <= 3; id++) {
    ASSERT_TRUE(talk[id].done) << talk[id].failed->message;
    EXPECT_EQ(talk[id].text, "1 pieces in 100 rows");
  }
}

TEST(BatcherMedia, AreLeftWhenTheirRequestIsCancelledWhileTheyAreEncoded) {
  Talk talk(with({{"prompt-tokens-per-s", "200"}}));  // 100 rows: half a second
  look(talk, 1, {image(80, 80), text("look")});
  talk.complete(2, "count: 3");
  std::atomic<bool> interrupted = false;
  std::thread other([&] {
    while (talk.pulse.progress() == 0) std::this_thread::yield();
    talk.batcher.interrupt(1);
    interrupted = true;
  });
  while (!interrupted) ASSERT_TRUE(talk.batcher.step());
  other.join();
  talk.batcher.cancel(1);
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Cancelled);
  EXPECT_EQ(talk[1].ends, 1);
  EXPECT_TRUE(talk[2].done);
  // what is left of it misleads nobody
  look(talk, 3, {image(80, 80), text("look")});
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].text, "1 pieces in 100 rows");
}

TEST(BatcherMedia, ThatCannotBeReadEndTheirRequestAlone) {
  Talk talk(kSenses);
  talk.complete(1, "count: 50");
  Json broken = image(8, 8);
  broken["data"] = "aGVsbG8=";
  look(talk, 2, {broken, text("look")});
  look(talk, 3, {image(2'000, 1'100), text("look")});  // 34,500 rows
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].done);
  ASSERT_TRUE(talk[2].failed && talk[3].failed);
  EXPECT_EQ(talk[2].failed->code, Code::Invalid);
  EXPECT_EQ(talk[2].failed->param, "messages[0].content[0].image_url.url");
  EXPECT_EQ(talk[3].failed->code, Code::TooLong);
}

TEST(BatcherMedia, AreRefusedByAModelThatTakesNone) {
  Talk talk;
  look(talk, 1, {image(8, 8), text("look")});
  ASSERT_TRUE(talk.run());
  ASSERT_TRUE(talk[1].failed);
  EXPECT_EQ(talk[1].failed->code, Code::Invalid);
  EXPECT_NE(talk[1].failed->message.find("takes no pictures"), std::string::npos);
}

TEST(BatcherMedia, OfAnAnswerThatShouldComeOutTheSameAgain) {
  Talk talk(kSenses);
  for (uint64_t id = 1; id <= 2; id++) {
    look(talk, id, {image(40, 40), text("random: 20")}, {{"seed", 7}});
    ASSERT_TRUE(talk.run());
    ASSERT_TRUE(talk[id].done) << talk[id].failed->message;
  }
  EXPECT_EQ(talk[1].text, talk[2].text);
}

}  // namespace
}  // namespace lares::engine
