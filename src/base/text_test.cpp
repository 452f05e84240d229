#include "base/text.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

namespace lares {
namespace {

using Names = std::vector<std::string>;

TEST(Text, PutsValuesIntoASentence) {
  EXPECT_EQ(
      cat("needs ", MiB(412), ", but ", 3, ' ', std::string("models"), " hold ", 1.5, " of it"),
      "needs 412 MiB, but 3 models hold 1.5 of it");
  EXPECT_EQ(cat(), "");
  EXPECT_EQ(cat(uint8_t{200}, ' ', int64_t{-5}, ' ', uint64_t{18446744073709551615U}),
            "200 -5 18446744073709551615");
}

TEST(Text, PrintsSizesForPeople) {
  EXPECT_EQ(to_string(Bytes{17}), "17 B");
  EXPECT_EQ(to_string(KiB(2)), "2 KiB");
  EXPECT_EQ(to_string(MiB(412)), "412 MiB");
  EXPECT_EQ(to_string(Bytes{GiB(3).n + MiB(205).n}), "3.2 GiB");
}

TEST(Text, GroupsTheDigitsOfACount) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(9120), "9,120");
  EXPECT_EQ(grouped(1'000'000), "1,000,000");
  EXPECT_EQ(grouped(std::numeric_limits<size_t>::max()), "18,446,744,073,709,551,615");
}

TEST(Text, FindsTheNameThatWasMeant) {
  const Names names{"gemma-3-270m", "smollm2-135m-instruct", "all-minilm-l6-v2"};
  EXPECT_EQ(nearest("gema-3-270m", names), "gemma-3-270m");
  EXPECT_EQ(nearest("smollm2", names), "smollm2-135m-instruct");
  EXPECT_EQ(nearest("all-minilm-l6-v3", names), "all-minilm-l6-v2");
  EXPECT_EQ(nearest("gpt-4", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("x", Names{}), "");
  EXPECT_EQ(did_you_mean("gema-3-270m", names), "; did you mean 'gemma-3-270m'?");
  EXPECT_EQ(did_you_mean("gpt-4", names), "");
}

TEST(Text, ANameOfALongStrangerIsNotSearchedForLong) {
  const Names names(100, std::string(64, 'a'));
  EXPECT_EQ(nearest(std::string(1'000'000, 'b'), names), "");
}

struct Utf8Case {
  std::string_view bytes;
  bool well_formed;
  std::string_view repaired;
};

// Unicode 3.9, table 3-7, and one of each way to be outside it.
const std::array kUtf8 = {
    Utf8Case{"", true, ""},
    Utf8Case{"plain", true, "plain"},
    Utf8Case{"\x7F", true, "\x7F"},
    Utf8Case{"\xC2\x80", true, "\xC2\x80"},
    Utf8Case{"\xDF\xBF", true, "\xDF\xBF"},
    Utf8Case{"\xE0\xA0\x80", true, "\xE0\xA0\x80"},
    Utf8Case{"\xED\x9F\xBF", true, "\xED\x9F\xBF"},
    Utf8Case{"\xEE\x80\x80", true, "\xEE\x80\x80"},
    Utf8Case{"\xEF\xBF\xBF", true, "\xEF\xBF\xBF"},
    Utf8Case{"\xF0\x90\x80\x80", true, "\xF0\x90\x80\x80"},
    Utf8Case{"\xF4\x8F\xBF\xBF", true, "\xF4\x8F\xBF\xBF"},
    Utf8Case{"\x80", false, "\uFFFD"},                        // nothing began
    Utf8Case{"\xC0\x80", false, "\uFFFD"},                    // overlong NUL
    Utf8Case{"\xC1\xBF", false, "\uFFFD"},                    // overlong DEL
    Utf8Case{"\xE0\x9F\xBF", false, "\uFFFD"},                // overlong U+07FF
    Utf8Case{"\xF0\x8F\xBF\xBF", false, "\uFFFD"},            // overlong U+FFFF
    Utf8Case{"\xED\xA0\x80", false, "\uFFFD"},                // high surrogate
    Utf8Case{"\xED\xBF\xBF", false, "\uFFFD"},                // low surrogate
    Utf8Case{"\xF4\x90\x80\x80", false, "\uFFFD"},            // beyond U+10FFFF
    Utf8Case{"\xF5\x80\x80\x80", false, "\uFFFD"},            // no such first byte
    Utf8Case{"\xFF", false, "\uFFFD"},                        // no such byte
    Utf8Case{"\xE2\x82", false, "\uFFFD"},                    // cut off
    Utf8Case{"a\xC3(b", false, "a\uFFFD(b"},                  // not continued
    Utf8Case{"\xC3\xA9\xFF\xC3\xA9", false, "é\uFFFDé"},      // between two good ones
    Utf8Case{"\xF0\x9F\x99\x82\xF0\x9F", false, "🙂\uFFFD"},  // the second one cut off
};

TEST(Utf8, IsToldFromWhatOnlyLooksLikeIt) {
  for (const Utf8Case& c : kUtf8) EXPECT_EQ(is_utf8(c.bytes), c.well_formed) << c.repaired;
}

TEST(Utf8, IsRepairedWithOneMarkForEachBrokenCharacter) {
  for (const Utf8Case& c : kUtf8) {
    EXPECT_EQ(utf8_repaired(c.bytes), c.repaired);
    EXPECT_TRUE(is_utf8(utf8_repaired(c.bytes)));
  }
}

TEST(Utf8, HoldsBackTheTailOfACharacterAtEverySplit) {
  const std::string text = "aé€🙂漢 z";
  for (size_t cut = 0; cut <= text.size(); cut++) {
    const std::string_view head = std::string_view(text).substr(0, cut);
    const size_t tail = utf8_tail(head);
    ASSERT_LE(tail, 3u);
    EXPECT_TRUE(is_utf8(head.substr(0, cut - tail))) << cut;
    // and what was held back goes on well in the second half
    EXPECT_TRUE(is_utf8(std::string_view(text).substr(cut - tail))) << cut;
  }
}

TEST(Utf8, HoldsBackNothingThatCanNeverBecomeACharacter) {
  EXPECT_EQ(utf8_tail("\xE2\x82"), 2u);
  EXPECT_EQ(utf8_tail("\xF0\x9F\x99"), 3u);
  EXPECT_EQ(utf8_tail("\xC3"), 1u);
  EXPECT_EQ(utf8_tail("\xC0"), 0u);
  EXPECT_EQ(utf8_tail("\xED\xA0"), 0u);  // a surrogate begins
  EXPECT_EQ(utf8_tail("\xF5\x80"), 0u);
  EXPECT_EQ(utf8_tail("a\x80\x80"), 0u);
  EXPECT_EQ(utf8_tail(""), 0u);
}

TEST(Text, SplitsAndTrims) {
  EXPECT_EQ(split("a,b,,c", ','), (Names{"a", "b", "", "c"}));
  EXPECT_EQ(split("", ','), (Names{""}));
  EXPECT_EQ(split(",", ','), (Names{"", ""}));
  EXPECT_EQ(trimmed(" \t a b \r\n"), "a b");
  EXPECT_EQ(trimmed(" \n"), "");
  EXPECT_EQ(lower("Content-TYPE É"), "content-type É");
}

TEST(Text, ComparesSecretsWholly) {
  EXPECT_TRUE(equal_in_constant_time("secret", "secret"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_FALSE(equal_in_constant_time("secret", "secreT"));
  EXPECT_FALSE(equal_in_constant_time("secret", "secre"));
  EXPECT_FALSE(equal_in_constant_time("", "secret"));
  EXPECT_FALSE(equal_in_constant_time("secret", ""));
  EXPECT_FALSE(equal_in_constant_time("aa", "a"));
}

}  // namespace
}  // namespace lares
