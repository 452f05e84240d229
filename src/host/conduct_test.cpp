#include "host/conduct.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/text.h"
#include "host/last_lines.h"

namespace lares::host {
namespace {

using wire::Type;

class ConductTest : public testing::Test {
 protected:
  Result<Conduct::Meaning> hears(const wire::Frame& frame) {
    return conduct_.hears(frame, clock_.now());
  }
  std::string wrong(const wire::Frame& frame) {
    const auto heard = hears(frame);
    if (heard) return "it was allowed";
    EXPECT_EQ(heard.error().code, Code::Corrupt);
    return heard.error().message;
  }
  void say_hello() { ASSERT_TRUE(hears(wire::to_frame(wire::Hello{}))); }
  void ask(uint64_t id) {
    ASSERT_TRUE(conduct_.sends(wire::to_frame(wire::Generate{"chat", Json::object()}, id)));
  }
  static wire::Frame delta(uint64_t id) { return wire::to_frame(wire::Delta{"a", nullptr, 1}, id); }
  static wire::Frame done(uint64_t id) { return wire::to_frame(wire::Done{.reason = "stop"}, id); }

  FakeClock clock_;
  Conduct conduct_;
};

TEST_F(ConductTest, TheFirstWordIsHello) {
  EXPECT_EQ(wrong(wire::to_frame(wire::Beat{})), "sent type 14 before its Hello");
  EXPECT_EQ(wrong(delta(1)), "sent type 11 before its Hello");
}

TEST_F(ConductTest, CpuTimeIsWhatSoManyCoresCanHaveTaken) {
  const auto says = [](double cpu_ms) { return wire::Done{.reason = "stop", .cpu_ms = cpu_ms}; };
  EXPECT_TRUE(credible(says(0), milliseconds(0)));
  EXPECT_TRUE(credible(says(1'900), milliseconds(1'000)));
  EXPECT_TRUE(credible(says(1'000.0 * kCoresMax), milliseconds(1'000)));
  for (const double wrong : {-0.1, 1'100.0 * kCoresMax, std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    const auto heard = credible(says(wrong), milliseconds(1'000));
    ASSERT_FALSE(heard) << wrong;
    EXPECT_EQ(heard.error().code, Code::Corrupt);
    EXPECT_NE(heard.error().message.find("of CPU time"), std::string::npos);
  }
}

TEST_F(ConductTest, HelloIsSaidOnce) {
  say_hello();
  EXPECT_EQ(wrong(wire::to_frame(wire::Hello{})), "sent Hello twice");
}

TEST_F(ConductTest, MovedIsSaidOnceForEachMove) {
  say_hello();
  const wire::Frame moved = wire::to_frame(wire::Moved{Rung::Parked, 1, 1});
  EXPECT_EQ(wrong(moved), "sent Moved without being asked");
  ASSERT_TRUE(conduct_.sends(wire::to_frame(wire::Move{Rung::Parked})));
  const auto heard = hears(moved);
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(*heard, Conduct::Meaning::Moved);
  EXPECT_EQ(wrong(moved), "sent Moved without being asked");
  ASSERT_TRUE(conduct_.sends(wire::to_frame(wire::Move{Rung::Hot})));
  wire::Frame of_one = moved;
  of_one.id = 3;
  EXPECT_EQ(wrong(of_one), "sent Moved with id 3");
  EXPECT_EQ(wrong(wire::to_frame(wire::Move{Rung::Hot})), "sent type 19, which no worker sends");
}

TEST_F(ConductTest, GivingUpIsAllowedAtAnyTime) {
  const auto failed = wire::to_frame(wire::Failed{{Code::Corrupt, "no"}}, 0);
  EXPECT_EQ(*hears(failed), Conduct::Meaning::GivesUp);
  say_hello();
  EXPECT_EQ(*hears(failed), Conduct::Meaning::GivesUp);
}

TEST_F(ConductTest, AnAnswerGoesFromOpenToItsOneEnd) {
  say_hello();
  ask(5);
  EXPECT_EQ(conduct_.open(), 1U);
  EXPECT_EQ(*hears(wire::to_frame(wire::Started{}, 5)), Conduct::Meaning::Answer);
  EXPECT_EQ(*hears(delta(5)), Conduct::Meaning::Answer);
  EXPECT_EQ(*hears(done(5)), Conduct::Meaning::Answer);
  EXPECT_EQ(conduct_.open(), 0U);
  EXPECT_EQ(wrong(done(5)), "sent type 12 for id 5, which is not open");
}

TEST_F(ConductTest, NothingIsSaidOfAnIdThatIsNotOpen) {
  say_hello();
  ask(5);
  EXPECT_EQ(wrong(delta(6)), "sent type 11 for id 6, which is not open");
  EXPECT_EQ(wrong(delta(0)), "sent type 11 for id 0, which is not open");
  EXPECT_EQ(wrong(wire::to_frame(wire::Progress{"prefill", 0}, 6)),
            "sent Progress for id 6, which is not open");
}

TEST_F(ConductTest, ARequestStartsOnce) {
  say_hello();
  ask(5);
  ASSERT_TRUE(hears(wire::to_frame(wire::Started{}, 5)));
  EXPECT_EQ(wrong(wire::to_frame(wire::Started{}, 5)), "sent Started for id 5 twice");
}

TEST_F(ConductTest, LoadedAnswersALoad) {
  say_hello();
  const auto loaded = wire::to_frame(wire::Loaded{Json::object(), 1, 1});
  EXPECT_EQ(wrong(loaded), "sent Loaded without being asked");
  ASSERT_TRUE(conduct_.sends(wire::to_frame(wire::Load{})));
  EXPECT_EQ(*hears(wire::to_frame(wire::Progress{"load", 0.5}, 0)), Conduct::Meaning::Progress);
  EXPECT_EQ(*hears(loaded), Conduct::Meaning::Loaded);
  EXPECT_EQ(wrong(loaded), "sent Loaded without being asked");
}

TEST_F(ConductTest, WhatOnlyTheDaemonSaysNoWorkerSays) {
  say_hello();
  for (const Type type : {Type::Load, Type::Inspect, Type::Generate, Type::Embed, Type::Rank,
                          Type::Resume, Type::Cancel, Type::Shutdown})
    EXPECT_NE(wrong(wire::to_frame(type, 0)).find("which no worker sends"), std::string::npos);
  EXPECT_EQ(wrong({8, 0, ""}), "sent type 8, which no worker sends");
  EXPECT_EQ(wrong({200, 0, ""}), "sent type 200, which no worker sends");
  EXPECT_EQ(wrong({0, 0, ""}), "sent type 0, which no worker sends");
}

TEST_F(ConductTest, AFloodIsMoreThanAWorkerCouldMean) {
  say_hello();
  constexpr uint64_t kStreams = kFramesPerSecondMax / kDeltasPerSecondMax + 1;
  for (uint64_t id = 1; id <= kStreams; id++) ask(id);
  wire::Frame piece = delta(1);
  for (uint64_t i = 1; i < kFramesPerSecondMax; i++) {
    piece.id = i % kStreams + 1;
    ASSERT_TRUE(hears(piece));
  }
  EXPECT_EQ(wrong(delta(1)), cat("sent more than ", kFramesPerSecondMax, " frames in a second"));
  clock_.advance(std::chrono::seconds(1));
  EXPECT_TRUE(hears(delta(1)));
}

TEST_F(ConductTest, OneRequestHasARateOfItsOwn) {
  say_hello();
  ask(5);
  const wire::Frame piece = delta(5);
  for (uint64_t i = 0; i < kDeltasPerSecondMax; i++) ASSERT_TRUE(hears(piece));
  EXPECT_NE(wrong(delta(5)).find("in a second for one request"), std::string::npos);
}

TEST_F(ConductTest, BeatsAndProgressHaveRatesOfTheirOwn) {
  say_hello();
  ask(5);
  for (uint64_t i = 0; i < kBeatsPerSecondMax; i++)
    ASSERT_TRUE(hears(wire::to_frame(wire::Beat{})));
  EXPECT_NE(wrong(wire::to_frame(wire::Beat{})).find("beats in a second"), std::string::npos);
  for (uint64_t i = 0; i < kProgressPerSecondMax; i++)
    ASSERT_TRUE(hears(wire::to_frame(wire::Progress{"prefill", 0}, 5)));
  EXPECT_NE(wrong(wire::to_frame(wire::Progress{"prefill", 0}, 5)).find("progress in a second"),
            std::string::npos);
}

TEST_F(ConductTest, BytesHaveARateToo) {
  say_hello();
  ask(5);
  const wire::Frame big{static_cast<uint8_t>(Type::Delta), 5, std::string(16u << 20, 'x')};
  for (uint64_t sent = big.payload.size(); sent < kBytesPerSecondMax; sent += big.payload.size())
    ASSERT_TRUE(hears(big));
  EXPECT_EQ(wrong(big), "sent more than 256 MiB in a second");
}

TEST_F(ConductTest, TextBeyondWhatWasAskedForIsMisbehaviour) {
  say_hello();
  ask(5);
  conduct_.allow_deltas(5, 2);
  EXPECT_TRUE(hears(delta(5)));
  EXPECT_TRUE(hears(delta(5)));
  EXPECT_NE(wrong(delta(5)).find("more than 2 pieces of text"), std::string::npos);
}

TEST_F(ConductTest, MaxTokensBoundsThePieces) {
  const auto allowed = [](Json body) {
    return deltas_allowed(wire::to_frame(wire::Generate{"chat", std::move(body)}, 1));
  };
  EXPECT_EQ(allowed({{"max_tokens", 10}}), 10 + kDeltasSpare);
  EXPECT_EQ(allowed({{"max_tokens", uint64_t{1} << 62}}), UINT32_MAX + kDeltasSpare);
  EXPECT_EQ(allowed({{"max_tokens", 10}, {"echo", true}}), UINT64_MAX);
  EXPECT_EQ(allowed({{"max_tokens", -1}}), UINT64_MAX);
  EXPECT_EQ(allowed({{"max_tokens", "many"}}), UINT64_MAX);
  EXPECT_EQ(allowed(Json::object()), UINT64_MAX);
  EXPECT_EQ(allowed(Json(3)), UINT64_MAX);
  EXPECT_EQ(deltas_allowed({static_cast<uint8_t>(Type::Generate), 1, "no CBOR"}), UINT64_MAX);
}

TEST_F(ConductTest, TheContextBoundsEveryAnswer) {
  EXPECT_EQ(deltas_allowed_by(wire::to_frame(wire::Load{.context = 1000})), 1000 + kDeltasSpare);
  EXPECT_EQ(deltas_allowed_by(wire::to_frame(wire::Load{})), kDeltasMax + kDeltasSpare);
  say_hello();
  conduct_.allow_deltas(2);
  ask(5);
  conduct_.allow_deltas(5, UINT64_MAX);
  EXPECT_TRUE(hears(delta(5)));
  EXPECT_TRUE(hears(delta(5)));
  EXPECT_NE(wrong(delta(5)).find("more than 2 pieces of text"), std::string::npos);
}

TEST_F(ConductTest, OurOwnMistakesAreRefused) {
  EXPECT_EQ(conduct_.sends(wire::to_frame(Type::Embed, 0)).error().code, Code::Invalid);
  ask(1);
  EXPECT_EQ(conduct_.sends(wire::to_frame(Type::Embed, 1)).error().message,
            "sending a request to a worker: id 1 is open");
  for (uint64_t id = 2; id <= kOpenMax; id++) ask(id);
  EXPECT_EQ(conduct_.sends(wire::to_frame(Type::Embed, kOpenMax + 1)).error().code, Code::Busy);
  EXPECT_TRUE(conduct_.sends(wire::to_frame(Type::Cancel, 1)));
}

TEST(Cleaned, OnlyPrintsWhatPrints) {
  EXPECT_EQ(cleaned("\x1b[31mred\r\n", 100), "?[31mred");
  EXPECT_EQ(cleaned("a\tb\xc3\xa9\x7f", 100), "a b???");
  EXPECT_EQ(cleaned(std::string_view("a\0b", 3), 100), "a?b");
  EXPECT_EQ(cleaned("abcdef", 3), "abc");
}

TEST(LastLines, KeepsTheEndInPiecesOfAnySize) {
  std::vector<std::string> seen;
  LastLines lines(2);
  for (const char* piece : {"on", "e\ntwo\n\n", "thr", "ee\nfour"})
    lines.feed(piece, [&](const std::string& line) { seen.push_back(line); });
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(lines.take(), (std::vector<std::string>{"three", "four"}));
}

TEST(LastLines, CutsWhatIsTooLong) {
  LastLines lines(2);
  for (int i = 0; i < 1000; i++)
    lines.feed(std::string(1000, 'x'), [](const std::string&) { FAIL(); });
  EXPECT_EQ(lines.take(), std::vector<std::string>{std::string(kLogLineMax, 'x')});
}

}  // namespace
}  // namespace lares::host
