#include <gtest/gtest.h>

#include "egress/http.h"

namespace lares::egress {
namespace {

TEST(Head, ReadsLinesAsTheyCome) {
  Head head;
  size_t size = 0;
  for (const char* line : {"HTTP/1.1 100 Continue\r\n", "X: y\r\n", "\r\n", "HTTP/1.1 206 Part\r\n",
                           "ETag:  \"a\" \r\n", "Content-Encoding: identity\r\n", "nonsense\r\n"})
    EXPECT_TRUE(add_head_line(head, line, size)) << line;
  EXPECT_EQ(head.status, 206);
  EXPECT_EQ(head.field("etag"), "\"a\"");
  EXPECT_EQ(head.field("x"), "");
}

TEST(Head, RefusesWhatComesCompressedOrHasNoEnd) {
  Head head;
  size_t size = 0;
  for (const char* how : {"gzip", "br", "deflate, gzip", "GZIP", "x-gzip"})
    EXPECT_FALSE(add_head_line(head, std::string("Content-Encoding: ") + how, size)) << how;
  EXPECT_FALSE(add_head_line(head, std::string(kHeadMax + 1, 'a'), size));
  EXPECT_FALSE(add_head_line(head, "HTTP/1.1 abc", size = 0));
}

TEST(Head, ReadsRangesThatMakeSense) {
  const auto range = content_range_from("bytes 5-9/100");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5U);
  EXPECT_EQ(range->last, 9U);
  EXPECT_EQ(range->size, 100U);
  for (const char* bad :
       {"", "bytes */100", "bytes 5-9/*", "bytes 9-5/100", "bytes 5-100/100", "bytes -5-9/100",
        "items 5-9/100", "bytes 5-9/100x", "bytes +5-9/100", "bytes 5-99999999999999999999999/100"})
    EXPECT_FALSE(content_range_from(bad)) << bad;
}

TEST(Head, WaitsAsLongAsAskedButNotForEver) {
  EXPECT_EQ(*retry_after_from("7"), std::chrono::seconds(7));
  EXPECT_EQ(*retry_after_from("999999"), kRetryAfterMax);
  for (const char* none : {"", "-1", "soon", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999"})
    EXPECT_FALSE(retry_after_from(none)) << none;
}

TEST(Head, ReadsAChallenge) {
  const auto found = bearer_challenge_from(
      R"(Bearer realm="https://auth.example/token",service="registry", scope="a:b:pull")");
  EXPECT_EQ(found.at("realm"), "https://auth.example/token");
  EXPECT_EQ(found.at("scope"), "a:b:pull");
  EXPECT_TRUE(bearer_challenge_from("Basic realm=\"x\"").empty());
  EXPECT_TRUE(bearer_challenge_from("Bearer realm=x").empty());
  EXPECT_TRUE(bearer_challenge_from("Bearer realm=\"x").empty());
}

}  // namespace
}  // namespace lares::egress
