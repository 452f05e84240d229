#include "api/exchange.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/text.h"

namespace lares::api {
namespace {

struct ExchangeTest : testing::Test {
  std::shared_ptr<Exchange> made(size_t buffer_max = 100) {
    return std::make_shared<Exchange>(
        ErrorShape::OpenAi, buffer_max, [this] { notices++; },
        [this](std::function<void()> call) { posted.push_back(std::move(call)); });
  }
  std::atomic<int> notices = 0;
  std::vector<std::function<void()>> posted;
};

TEST_F(ExchangeTest, ManyWritesAreOneNoticeAndOnePart) {
  const auto exchange = made();
  const auto responder = responder_of(exchange);
  responder->begin_stream("text/plain");
  for (int i = 0; i < 10; i++) responder->write("ab");
  EXPECT_EQ(notices, 1);
  const Exchange::Part part = exchange->take();
  EXPECT_TRUE(part.start && part.start->streamed);
  EXPECT_EQ(part.bytes, "abababababababababab");
  EXPECT_FALSE(part.ended);
  exchange->sent();
  responder->write("c");
  EXPECT_EQ(notices, 2);
  EXPECT_FALSE(exchange->take().start) << "the head is sent once";
  responder->end_stream();
  EXPECT_TRUE(exchange->take().ended);
}

TEST_F(ExchangeTest, BytesOnTheirWayCountAgainstTheBuffer) {
  const auto exchange = made(100);
  const auto responder = responder_of(exchange);
  responder->begin_stream("text/plain");
  responder->write(std::string(60, 'x'));
  (void)exchange->take();
  responder->write(std::string(40, 'x'));
  EXPECT_FALSE(exchange->overflowed());
  responder->write("x");
  EXPECT_TRUE(exchange->overflowed());
  int gone = 0;
  responder->on_gone([&] { gone++; });
  exchange->leave();
  exchange->leave();
  EXPECT_EQ(gone, 1);
  responder->write("dropped");
  responder->end_stream();
}

TEST_F(ExchangeTest, RoomComesBackWhenBytesWereSent) {
  const auto exchange = made(100);
  const auto responder = responder_of(exchange);
  responder->begin_stream("text/plain");
  for (int i = 0; i < 10; i++) {
    responder->write(std::string(100, 'x'));
    EXPECT_EQ(exchange->take().bytes.size(), 100u);
    exchange->sent();
  }
  EXPECT_FALSE(exchange->overflowed());
  responder->end_stream();
}

TEST_F(ExchangeTest, AnOverflowThatEndsIsStillGone) {
  const auto exchange = made(10);
  const auto responder = responder_of(exchange);
  int gone = 0;
  responder->on_gone([&] { gone++; });
  responder->begin_stream("text/plain");
  responder->write(std::string(11, 'x'));
  responder->end_stream();
  exchange->leave();
  EXPECT_EQ(gone, 1);
}

TEST_F(ExchangeTest, AnAnswerThatEndedIsNotLeft) {
  const auto exchange = made();
  const auto responder = responder_of(exchange);
  auto alive = std::make_shared<int>(0);
  responder->on_gone([alive] { ++*alive; });
  responder->whole(200, "text/plain", "x");
  EXPECT_EQ(alive.use_count(), 1) << "what on_gone holds is let go with the answer";
  exchange->leave();
  EXPECT_EQ(*alive, 0);
}

TEST_F(ExchangeTest, WhoAsksAfterTheClientLeftIsTold) {
  const auto exchange = made();
  const auto responder = responder_of(exchange);
  exchange->leave();
  int gone = 0;
  responder->on_gone([&] { gone++; });
  ASSERT_EQ(posted.size(), 1u) << "on the network thread, not in the middle of the caller";
  posted[0]();
  EXPECT_EQ(gone, 1);
  responder->error({Code::Io, "late"});
}

TEST_F(ExchangeTest, AfterTheConnectionsEndNothingIsPosted) {
  const auto exchange = made();
  const auto responder = responder_of(exchange);
  responder->begin_stream("text/plain");
  exchange->leave();
  exchange->detach();
  const int before = notices;
  int gone = 0;
  responder->on_gone([&] { gone++; });
  EXPECT_EQ(gone, 1);
  responder->write("x");
  responder->end_stream();
  EXPECT_EQ(notices, before);
  EXPECT_TRUE(posted.empty());
}

TEST_F(ExchangeTest, LettingGoWithoutAnAnswerIsAnError) {
  const auto exchange = made();
  responder_of(exchange).reset();
  const Exchange::Part part = exchange->take();
  ASSERT_TRUE(part.start);
  EXPECT_EQ(part.start->status, 500);
  EXPECT_TRUE(part.ended);
  EXPECT_FALSE(part.broken);
}

TEST_F(ExchangeTest, LettingGoOfAStreamBreaksIt) {
  const auto exchange = made();
  {
    const auto responder = responder_of(exchange);
    responder->begin_stream("text/plain");
    responder->write("half");
  }
  const Exchange::Part part = exchange->take();
  EXPECT_EQ(part.bytes, "half");
  EXPECT_TRUE(part.ended);
  EXPECT_TRUE(part.broken);
}

TEST_F(ExchangeTest, TwoAnswersAreABug) {
  const auto responder = responder_of(made());
  responder->whole(200, "text/plain", "x");
  EXPECT_DEATH(responder->whole(200, "text/plain", "x"), "stage_");
  EXPECT_DEATH(responder->write("x"), "stage_");
}

TEST_F(ExchangeTest, ErrorsCarryTheStatusOfTheirCode) {
  const auto exchange = made();
  responder_of(exchange)->error({Code::Busy, "queueing: full"});
  const Exchange::Part part = exchange->take();
  EXPECT_EQ(part.start->status, row(Code::Busy).http_status);
  EXPECT_EQ(part.start->headers.at("Retry-After"), "1");
}

TEST_F(ExchangeTest, WritersAndTheSenderLoseNothing) {
  const auto exchange = made(1'000'000);
  const auto responder = responder_of(exchange);
  responder->begin_stream("text/plain");
  std::string all;
  std::jthread writer([&] {
    for (int i = 0; i < 20'000; i++) responder->write(cat(i, ","));
    responder->end_stream();
  });
  for (;;) {
    const Exchange::Part part = exchange->take();
    all += part.bytes;
    exchange->sent();
    if (part.ended) break;
  }
  std::string expected;
  for (int i = 0; i < 20'000; i++) expected += cat(i, ",");
  EXPECT_EQ(all, expected);
}

}  // namespace
}  // namespace lares::api
