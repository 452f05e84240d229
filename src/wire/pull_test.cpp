#include "wire/pull.h"

#include <gtest/gtest.h>

namespace lares::wire {
namespace {

TEST(Pull, EveryMessageComesBackAsItWas) {
  const Resolve resolve{"hub",   "o/r",   "Q4_K_M", "https://a", "https://b", "t",
                        {"h:1"}, {"::1"}, "PEM",    true,        true,        7};
  const auto resolved = from_frame<Resolve>(to_frame(resolve, 1));
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->hosts, resolve.hosts);
  EXPECT_EQ(resolved->token, "t");
  EXPECT_EQ(resolved->stall_s, 7U);
  const Found found{"m.gguf", uint64_t{1} << 40, "aa", "id", "mit", {"licence"}, {"\xff text"}};
  const auto again = from_frame<Found>(to_frame(found, 1));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->size_bytes, found.size_bytes);
  EXPECT_EQ(again->texts, found.texts);
  EXPECT_TRUE(from_frame<Fetch>(to_frame(Fetch{true}, 1))->check);
  EXPECT_EQ(from_frame<Fetched>(to_frame(Fetched{1, 2, "x"}, 1))->waiting, "x");
  EXPECT_EQ(from_frame<Pulled>(to_frame(Pulled{3}, 1))->bytes_read, 3U);
  EXPECT_EQ(from_frame<Hashed>(to_frame(Hashed{"a", 4}, 1))->size_bytes, 4U);
}

TEST(Pull, TextsWithoutNamesAreRefused) {
  Found found;
  found.texts = {"x"};
  EXPECT_FALSE(from_frame<Found>(to_frame(found, 1)));
  found.text_names.assign(kTextsMax + 1, "n");
  found.texts.assign(kTextsMax + 1, "x");
  EXPECT_FALSE(from_frame<Found>(to_frame(found, 1)));
  EXPECT_FALSE(from_frame<Found>(to_frame(Pulled{1}, 1)));
}

}  // namespace
}  // namespace lares::wire
