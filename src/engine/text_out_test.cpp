#include "engine/text_out.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lares::engine {
namespace {

// Every way to cut `text` into pieces of one, two or three bytes in turn, and each single cut.
std::vector<std::vector<std::string>> cuts_of(const std::string& text) {
  std::vector<std::vector<std::string>> all;
  for (size_t at = 0; at <= text.size(); at++) all.push_back({text.substr(0, at), text.substr(at)});
  for (size_t size = 1; size <= 3; size++) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
    all.push_back(pieces);
  }
  return all;
}

struct Shown {
  std::string text;
  std::string stop;
  bool operator==(const Shown&) const = default;
};

Shown show(const std::vector<std::string>& pieces, std::vector<std::string> stops) {
  TextOut out(std::move(stops));
  Shown shown;
  for (const auto& piece : pieces) {
    const std::string text = out.add(piece);
    EXPECT_TRUE(is_utf8(text)) << "'" << text << "'";
    shown.text += text;
  }
  shown.text += out.rest();
  EXPECT_TRUE(is_utf8(shown.text));
  shown.stop = out.stop();
  return shown;
}

TEST(TextOut, NeverSplitsACharacterHoweverTheBytesCome) {
  const std::string text = "a\u00e9\u20ac\U0001F600z";
  for (const auto& pieces : cuts_of(text)) EXPECT_EQ(show(pieces, {}), (Shown{text, ""}));
}

TEST(TextOut, ReplacesWhatCanNeverBeUtf8) {
  for (const auto& pieces : cuts_of("a\xff"
                                    "b\xc3(\xe2\x82")) {
    EXPECT_EQ(show(pieces, {}).text,
              "a\uFFFD"
              "b\uFFFD(");
  }
}

TEST(TextOut, MeetsAStopStringHoweverItIsSplit) {
  for (const auto& pieces : cuts_of("one two STOP three")) {
    EXPECT_EQ(show(pieces, {"STOP"}), (Shown{"one two ", "STOP"}));
  }
}

TEST(TextOut, MeetsAStopStringOfSeveralByteCharacters) {
  for (const auto& pieces : cuts_of("x\u20ac\u20acy")) {
    EXPECT_EQ(show(pieces, {"\u20acy"}), (Shown{"x\u20ac", "\u20acy"}));
  }
}

TEST(TextOut, HoldsBackWhatCouldStillBecomeAStopString) {
  TextOut out({"\n\nUser:"});
  EXPECT_EQ(out.add("hello\n"), "hello");
  EXPECT_EQ(out.add("\nUse"), "");
  EXPECT_EQ(out.add("ful"), "\n\nUseful");
  EXPECT_EQ(out.add("\n\n"), "");
  EXPECT_EQ(out.rest(), "\n\n");
}

TEST(TextOut, ABeginningThatRepeatsItselfIsFound) {
  for (const auto& pieces : cuts_of("aaaab"))
    EXPECT_EQ(show(pieces, {"aab"}), (Shown{"aa", "aab"}));
}

TEST(TextOut, TheFirstStopStringInTheTextWins) {
  for (const auto& stops : {std::vector<std::string>{"bcd", "c"}, {"c", "bcd"}}) {
    TextOut out(stops);
    EXPECT_EQ(out.add("abcd"), "a");
    EXPECT_EQ(out.stop(), "bcd");
  }
}

TEST(TextOut, SaysNothingAfterAStop) {
  TextOut out({"."});
  EXPECT_EQ(out.add("a.b"), "a");
  EXPECT_TRUE(out.stopped());
  EXPECT_EQ(out.add("c"), "");
  EXPECT_EQ(out.rest(), "");
}

TEST(TextOut, HalfACharacterAtTheEndIsNoText) {
  TextOut out({});
  EXPECT_EQ(out.add("a\xf0\x9f\x98"), "a");
  EXPECT_EQ(out.rest(), "");
  EXPECT_EQ(out.bytes_out(), 4U);
  TextOut broken({});
  EXPECT_EQ(broken.add("a\xff"), "a\xef\xbf\xbd") << "what can never become one is replaced";
}

TEST(TextOut, CountsBytesInAndOut) {
  TextOut out({"xyz"});
  out.add("ab\xc3");
  EXPECT_EQ(out.bytes_in(), 3U);
  EXPECT_EQ(out.bytes_out(), 2U);
  out.add("\xa9xy");
  EXPECT_EQ(out.bytes_out(), 4U);
}

TEST(TextOut, InThoughtsStopsAreNone) {
  TextOut out({"e", "stop"});
  EXPECT_EQ(out.add("the end, sto", TextOut::Stops::Ignored), "the end, sto");
  EXPECT_EQ(out.add("\xC3", TextOut::Stops::Ignored), "");
  EXPECT_EQ(out.add("\xA4p"), "äp") << "what began in a thought is none either";
  EXPECT_EQ(out.add("yes"), "y");
  EXPECT_TRUE(out.stopped());
}

}  // namespace
}  // namespace lares::engine
