// What is remembered of the digests of places.
#include "app/pull_digests.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lares::app {
namespace {

const std::string kSha(64, 'a');

TEST(PullDigests, ReadsWhatItWroteAndNothingElse) {
  PullDigests digests;
  digests.learn("hf:o/r:m.gguf", {kSha, 1'000});
  digests.learn("hf:o/r:m.gguf", {std::string(64, 'b'), 2'000});
  const auto read = PullDigests::from(digests.text());
  ASSERT_TRUE(read);
  ASSERT_NE(read->find("hf:o/r:m.gguf"), nullptr);
  EXPECT_EQ(read->find("hf:o/r:m.gguf")->sha256, std::string(64, 'b'));
  EXPECT_EQ(read->find("hf:o/r:m.gguf")->seen_ms, 2'000);
  EXPECT_EQ(read->find("hf:o/r"), nullptr);
  for (const char* damaged :
       {"", "[]", "{}", R"({"format":1,"places":[]})", R"({"format":2,"places":{}})",
        R"({"format":1,"places":{"x":1}})", R"({"format":1,"places":{"x":{"sha256":"abc"}}})"})
    EXPECT_FALSE(PullDigests::from(damaged)) << damaged;
}

TEST(PullDigests, TheOldestGoesWhenThereAreTooMany) {
  PullDigests digests;
  for (size_t i = 0; i <= PullDigests::kMax; i++)
    digests.learn(cat("https://x.org/", i), {kSha, static_cast<int64_t>(i)});
  EXPECT_EQ(digests.find("https://x.org/0"), nullptr);
  EXPECT_NE(digests.find("https://x.org/1"), nullptr);
}

TEST(PullDigests, ADayIsTheDateThere) {
  EXPECT_EQ(day_of(0), "1970-01-01");
  EXPECT_EQ(day_of(1'795'737'599'000), "2026-11-26");
}

}  // namespace
}  // namespace lares::app
