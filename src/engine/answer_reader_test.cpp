#include "engine/answer_reader.h"

#include <gtest/gtest.h>

#include <functional>

namespace lares::engine {
namespace {

class Format final : public AnswerFormat {
 public:
  using Read = std::function<Result<Said>(const std::string&)>;
  explicit Format(Read read) : read_(std::move(read)) {}
  Result<Said> read(const std::string& raw) const override { return read_(raw); }

 private:
  Read read_;
};

AnswerReader reader(Format::Read read, const Clock& clock, size_t calls_max = SIZE_MAX) {
  return {std::make_shared<Format>(std::move(read)), clock, 7, calls_max};
}

// Thoughts before '|', text behind it.
Result<Said> thoughts_and_text(const std::string& raw) {
  const size_t bar = raw.find('|');
  return Said{raw.substr(0, bar), bar == std::string::npos ? "" : raw.substr(bar + 1), {}};
}

TEST(AnswerReader, TellsEachPartOnceAndInPieces) {
  FakeClock clock;
  auto r = reader(thoughts_and_text, clock);
  EXPECT_EQ(r.add("a b").reasoning, "a b");
  const auto both = r.add("c|d");
  EXPECT_EQ(both.reasoning, "c");
  EXPECT_EQ(both.text, "d");
  EXPECT_TRUE(r.add("").empty());
  EXPECT_EQ(r.add("e").text, "e");
  EXPECT_TRUE(r.end().empty());
  EXPECT_FALSE(r.called());
}

TEST(AnswerReader, LinesBetweenThoughtsAndTextAreNeither) {
  FakeClock clock;
  auto r = reader(thoughts_and_text, clock);
  EXPECT_EQ(r.add("a|").reasoning, "a");
  EXPECT_TRUE(r.add("\n").empty());
  EXPECT_TRUE(r.add("\r\n").empty());
  EXPECT_EQ(r.add("\n b\n\n").text, " b\n\n");
  EXPECT_EQ(r.add("c").text, "c");
  auto without = reader(thoughts_and_text, clock);
  EXPECT_EQ(without.add("|\nb").text, "\nb");
}

TEST(AnswerReader, CallsBeyondTheMostAreNotTold) {
  FakeClock clock;
  Said said;
  auto r = reader([&](const std::string&) -> Result<Said> { return said; }, clock, 1);
  said.calls = {{"", "f", "{\"a"}};
  EXPECT_EQ(r.add("x").tool_calls.size(), 1U);
  EXPECT_FALSE(r.over());
  said.calls = {{"", "f", "{\"a\":1}"}, {"", "g", "{}"}};
  const Json rest = r.add("x").tool_calls;
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0]["arguments"], "\":1}");
  EXPECT_TRUE(r.over());
  said.calls.push_back({"", "h", "{}"});
  EXPECT_TRUE(r.end().empty());
}

TEST(AnswerReader, CallsGetAnIdOnceAndTheirArgumentsInPieces) {
  FakeClock clock;
  Said said;
  auto r = reader([&](const std::string&) -> Result<Said> { return said; }, clock);
  said.calls = {{"", "", ""}};
  EXPECT_TRUE(r.add("x").empty());  // its name is not known yet
  said.calls = {{"", "f", "{\"a"}};
  const auto first = r.add("x").tool_calls;
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0]["name"], "f");
  EXPECT_EQ(first[0]["arguments"], "{\"a");
  EXPECT_TRUE(first[0]["id"].get<std::string>().starts_with("call_"));
  said.calls = {{"", "f", "{\"a\":1}"}, {"own", "g", "{}"}};
  const auto next = r.add("x").tool_calls;
  ASSERT_EQ(next.size(), 2U);
  EXPECT_EQ(next[0], Json({{"index", 0}, {"id", ""}, {"name", ""}, {"arguments", "\":1}"}}));
  EXPECT_EQ(next[1], Json({{"index", 1}, {"id", "own"}, {"name", "g"}, {"arguments", "{}"}}));
  EXPECT_TRUE(r.called());
  EXPECT_TRUE(r.end().empty());
}

TEST(AnswerReader, WhatIsInNoFormatIsText) {
  FakeClock clock;
  auto never =
      reader([](const std::string&) -> Result<Said> { return Error{Code::Corrupt, ""}; }, clock);
  EXPECT_TRUE(never.add("a ").empty());
  EXPECT_TRUE(never.add("b").empty());
  EXPECT_EQ(never.end().text, "a b");

  // what was held back when it was still a call that might come
  auto held = reader(
      [](const std::string& raw) -> Result<Said> {
        if (raw.find('!') != std::string::npos) return Error{Code::Corrupt, ""};
        return Said{"", raw.substr(0, raw.find('<')), {}};
      },
      clock);
  EXPECT_EQ(held.add("ab<ca").text, "ab");
  EXPECT_TRUE(held.add("ll!").empty());
  EXPECT_EQ(held.end().text, "<call!");

  auto until = reader(
      [](const std::string& raw) -> Result<Said> {
        if (raw.find('!') != std::string::npos) return Error{Code::Corrupt, ""};
        return thoughts_and_text(raw);
      },
      clock);
  EXPECT_EQ(until.add("a|b").text, "b");
  EXPECT_TRUE(until.add("!c").empty());
  EXPECT_EQ(until.end().text, "!c");
}

TEST(AnswerReader, HalfACharacterWaitsAndSaysNothingTwice) {
  FakeClock clock;
  auto r = reader([](const std::string& raw) -> Result<Said> { return Said{"", raw, {}}; }, clock);
  EXPECT_EQ(r.add("x\xC3").text, "x");
  EXPECT_EQ(r.add("\xA9").text, "\xC3\xA9");
}

TEST(AnswerReader, ReadsNoMoreOftenThanAShareOfTheTime) {
  FakeClock clock;
  int readings = 0;
  auto r = reader(
      [&](const std::string& raw) -> Result<Said> {
        readings++;
        clock.advance(milliseconds(2));
        return Said{"", raw, {}};
      },
      clock);
  std::string told;
  for (int i = 0; i < 1000; i++) {
    told += r.add("x").text;
    clock.advance(milliseconds(1));
  }
  EXPECT_LE(readings, 1000 / AnswerReader::kIdleShare);
  EXPECT_GE(readings, 10);
  told += r.end().text;
  EXPECT_EQ(told, std::string(1000, 'x'));
}

}  // namespace
}  // namespace lares::engine
