#include "engine/thinking.h"

#include <gtest/gtest.h>

namespace lares::engine {
namespace {

const Thinking::Tags kTags{"<think>", {"</think>", "<end>"}};

TEST(Thinking, GoesFromTheOneTagToTheOther) {
  Thinking t(kTags, "", {});
  EXPECT_TRUE(t.may_begin());
  t.add("\n<th");
  EXPECT_FALSE(t.inside());
  t.add("ink>a");
  EXPECT_TRUE(t.inside());
  t.add("b</thi");
  EXPECT_TRUE(t.inside());
  t.add("nk>\nc");
  EXPECT_FALSE(t.inside());
  EXPECT_EQ(t.behind_end(), "\nc");
  EXPECT_EQ(t.tokens(), 2U);
  t.add("d");
  EXPECT_EQ(t.behind_end(), "");
  EXPECT_FALSE(t.may_begin());
}

TEST(Thinking, ATagThatIsNamedLaterIsText) {
  Thinking t(kTags, "", {});
  t.add("The tag ");
  EXPECT_FALSE(t.may_begin());
  t.add("<think>");
  EXPECT_FALSE(t.inside());
}

TEST(Thinking, ThePromptMayHaveOpenedItOrClosedItAgain) {
  EXPECT_TRUE(Thinking(kTags, "<|assistant|><think>\n", {}).inside());
  const Thinking closed(kTags, "<|assistant|><think>\n\n</think>\n\n", {});
  EXPECT_FALSE(closed.inside());
  EXPECT_TRUE(closed.may_begin());
}

TEST(Thinking, WithoutTagsThereIsNone) {
  Thinking t({}, "<think>", 0);
  t.add("<think>");
  EXPECT_FALSE(t.inside());
  EXPECT_FALSE(t.may_begin());
  EXPECT_FALSE(t.over());
}

TEST(Thinking, IsOverWhenItsTokensAreUsedAndTheCharacterIsWhole) {
  Thinking t(kTags, "<think>", 2);
  EXPECT_FALSE(t.over());
  t.add("a");
  EXPECT_FALSE(t.over());
  t.add("\xC3");
  EXPECT_FALSE(t.over());
  t.add("\xA9");
  EXPECT_TRUE(t.over());
  t.add("</think>");
  EXPECT_FALSE(t.over());
  EXPECT_TRUE(Thinking(kTags, "<think>", 0).over());
}

TEST(Thinking, CanBeStoppedWhileItGoesOn) {
  Thinking t(kTags, "<think>", {});
  t.add("a");
  EXPECT_FALSE(t.over());
  t.stop();
  EXPECT_TRUE(t.over());
}

}  // namespace
}  // namespace lares::engine
