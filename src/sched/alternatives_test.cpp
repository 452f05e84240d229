#include "sched/alternatives.h"

#include <gtest/gtest.h>

namespace lares::sched {
namespace {

using Changes = Alternative::Changes;

struct AlternativesTest : testing::Test {
  static Alternative with(std::string name, Changes changes, double kept, Bytes hot) {
    return {std::move(name), changes, kept, {{}, MiB(100), hot}};
  }
  const std::vector<Alternative> list = {
      with("model 'small'", Changes::Model, 0.5, MiB(110)),
      with("context 2048", Changes::Context, 0.25, MiB(150)),
      with("context 4096", Changes::Context, 0.5, MiB(200)),
      with("cache type q8_0", Changes::CacheType, 0.99, MiB(250)),
      with("cache type q4_0", Changes::CacheType, 0.9, MiB(180)),
  };
  std::string smallest(Bytes room) const {
    const auto* found =
        smallest_change(list, [&](const Footprint& f) { return f.whole(Rung::Hot) <= room; });
    return found ? found->name : "";
  }
};

TEST_F(AlternativesTest, TheLeastNoticedChangeThatFitsIsNamed) {
  EXPECT_EQ(smallest(MiB(300)), "cache type q8_0");
  EXPECT_EQ(smallest(MiB(249)), "cache type q4_0");
  EXPECT_EQ(smallest(MiB(179)), "context 2048");
  EXPECT_EQ(smallest(MiB(149)), "model 'small'");
}

TEST_F(AlternativesTest, OfOneKindTheOneThatKeepsMost) {
  const std::vector<Alternative> contexts(list.begin() + 1, list.begin() + 3);
  const auto* found = smallest_change(contexts, [](const Footprint&) { return true; });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "context 4096");
}

TEST_F(AlternativesTest, WhereNothingFitsNothingIsNamed) {
  EXPECT_EQ(smallest(MiB(109)), "");
  EXPECT_EQ(smallest_change({}, [](const Footprint&) { return true; }), nullptr);
}

TEST_F(AlternativesTest, FitsAsTheLadderSaysBesideWhatMayNotGo) {
  NextUse next_use;
  Ladder ladder(MiB(400), next_use);
  ASSERT_TRUE(ladder.know("asked", {{}, MiB(100), MiB(500)}));
  ASSERT_TRUE(ladder.reserve("index", MiB(180)));
  const auto fits = [&](const Footprint& f) { return ladder.could_fit("asked", f, Rung::Hot); };
  const auto* found = smallest_change(list, fits);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "cache type q4_0");  // 220 MiB are left
}

}  // namespace
}  // namespace lares::sched
