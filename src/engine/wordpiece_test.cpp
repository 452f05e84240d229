#include "engine/wordpiece.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lares::engine {
namespace {

using Ids = std::vector<WordPieces::Id>;
using Words = std::vector<std::string>;

// ids: 0 [CLS], 1 [SEP], 2 [UNK], 3.. pieces as a GGUF file spells them
WordPieces small() {
  static const std::vector<std::string> kTokens = {"[CLS]",   "[SEP]", "[UNK]", "▁play", "ing",
                                                   "▁player", "s",     "▁the",  "▁,",    "▁ᄒ",
                                                   "ᅡ",       "ᆫ",     "▁[",    "▁]",    "▁cls"};
  return WordPieces(kTokens, {.begin = 0, .end = 1, .unknown = 2});
}

TEST(WordPieces, TakesTheLongestPieceFirst) {
  EXPECT_EQ(small().tokens("playing"), (Ids{0, 3, 4, 1}));
  EXPECT_EQ(small().tokens("players"), (Ids{0, 5, 6, 1}));
  EXPECT_EQ(small().tokens("the, player"), (Ids{0, 7, 8, 5, 1}));
}

TEST(WordPieces, MakesAWordWithOneUnknownPieceUnknownAsAWhole) {
  EXPECT_EQ(small().tokens("playable the"), (Ids{0, 2, 7, 1}));
}

TEST(WordPieces, GivesAnEmptyTextOnlyItsFrame) {
  EXPECT_EQ(small().tokens(""), (Ids{0, 1}));
  EXPECT_EQ(small().tokens(" \t\n\xC2\xA0\xE3\x80\x80"), (Ids{0, 1}));
}

TEST(WordPieces, ReadsNoSpecialTokensOutOfText) {
  EXPECT_EQ(small().tokens("[CLS]"), (Ids{0, 12, 14, 13, 1}));
}

TEST(WordPieces, MakesAWordOfMoreThanAHundredCharactersUnknown) {
  const std::string sss(WordPieces::kWordCharactersMax - 4, 's');
  EXPECT_EQ(small().tokens("play" + sss).size(), 2 + 1 + sss.size());
  EXPECT_EQ(small().tokens("play" + sss + "s"), (Ids{0, 2, 1}));
}

TEST(WordPieces, DecomposesHangulIntoItsLetters) {
  EXPECT_EQ(small().tokens("한"), (Ids{0, 9, 10, 11, 1}));
  EXPECT_EQ(WordPieces::words("하"), (Words{"\u1112\u1161"}));
}

TEST(WordPieces, DropsMarksAndCaseButKeepsVowelSignsThatTakeSpace) {
  EXPECT_EQ(WordPieces::words("Crème BRÛLÉE, e\u0301tude"),
            (Words{"creme", "brulee", ",", "etude"}));
  EXPECT_EQ(WordPieces::words("ΟΔΟΣ Привет İ ẞ"), (Words{"οδοσ", "привет", "i", "ß"}));
  EXPECT_EQ(WordPieces::words("दुनिया"), (Words{"दनिया"}));
  EXPECT_EQ(WordPieces::words("কো"), (Words{"\u0995\u09C7\u09BE"}));
}

TEST(WordPieces, CutsAtPunctuationAndAroundIdeographs) {
  EXPECT_EQ(WordPieces::words("don't—stop!~"), (Words{"don", "'", "t", "—", "stop", "!", "~"}));
  EXPECT_EQ(WordPieces::words("a世界b"), (Words{"a", "世", "界", "b"}));
  EXPECT_EQ(WordPieces::words("ガギグ £5"), (Words{"カキク", "£5"}));
}

TEST(WordPieces, DropsControlAndFormatCharacters) {
  EXPECT_EQ(WordPieces::words(std::string("a\0b\x7F", 4) + "\u200Dc\u00AD\uFEFFd\uFFFD"),
            (Words{"abcd"}));
}

TEST(WordPieces, SurvivesAnyBytes) {
  EXPECT_EQ(WordPieces::words("the\xFF\xC3 player\xE2\x82"), (Words{"the", "player"}));
  for (int first = 0; first < 256; first++) {
    for (int second = 0; second < 256; second++) {
      const std::string bytes{static_cast<char>(first), static_cast<char>(second), '\xBF'};
      EXPECT_LE(small().tokens(bytes).size(), 5u);
    }
  }
}

}  // namespace
}  // namespace lares::engine
