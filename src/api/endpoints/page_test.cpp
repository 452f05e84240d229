#include <gtest/gtest.h>

#include "api/endpoints/fakes_testing.h"
#include "api/page_files.h"

namespace lares::api {
namespace {

struct Page : testing::Test {
  void SetUp() override {
    if (page_files().empty()) GTEST_SKIP() << "SKIPPED: built without the page";
  }
  Request asked(std::map<std::string, std::string> headers = {}) const {
    Request request;
    request.headers = std::move(headers);
    request.headers.emplace("accept", "text/html,application/xhtml+xml;q=0.9");
    return request;
  }
  FakeService service;
};

TEST_F(Page, IsABrowsersUnderItsOwnPolicy) {
  const auto page = call("GET /", asked(), service);
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->body, page_file("/")->identity);
  const std::string& policy = page->headers["Content-Security-Policy"];
  for (const char* part : {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'",
                           "require-trusted-types-for 'script'"})
    EXPECT_NE(policy.find(part), std::string::npos) << part;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_EQ(call("GET /", {}, service)->body, "Lares is running\n");
}

TEST_F(Page, IsSentCompressedToWhoTakesThat) {
  const auto page = call("GET /", asked({{"accept-encoding", "br, gzip;q=0.8"}}), service);
  EXPECT_EQ(page->headers["Content-Encoding"], "gzip");
  EXPECT_EQ(page->body, page_file("/")->gzip);
  const auto plain = call("GET /", asked({{"accept-encoding", "gzip;q=0"}}), service);
  EXPECT_FALSE(plain->headers.contains("Content-Encoding"));
}

TEST_F(Page, IsNotSentAgainToWhoHasIt) {
  const std::string etag(page_file("/")->etag);
  const auto again = call("GET /", asked({{"if-none-match", etag}}), service);
  EXPECT_EQ(again->status, 304);
  EXPECT_EQ(again->body, "");
  EXPECT_EQ(again->headers["ETag"], etag);
}

TEST_F(Page, FilesMayBeKeptAndOthersAreNotThere) {
  for (const PageFile& file : page_files()) {
    if (file.path == "/") continue;
    Request request = asked();
    request.path = file.path;
    const auto answer = call("GET /assets/{name}", request, service);
    EXPECT_EQ(answer->body, file.identity) << file.path;
    EXPECT_NE(answer->headers["Cache-Control"].find("immutable"), std::string::npos);
  }
  Request request = asked();
  request.path = "/assets/nothing.js";
  EXPECT_EQ(call("GET /assets/{name}", request, service)->status, 404);
}

}  // namespace
}  // namespace lares::api
