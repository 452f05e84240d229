#include "api/page_files.h"

#include <gtest/gtest.h>

#include <set>

namespace lares::api {
namespace {

class PageFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (page_files().empty())
      GTEST_SKIP() << "not built with a page; tools/bootstrap page makes it";
  }
};

TEST_F(PageFiles, BeginsWithADocumentThatNamesTheOthers) {
  const PageFile* document = page_file("/");
  ASSERT_NE(document, nullptr);
  EXPECT_EQ(document->content_type, "text/html;charset=utf-8");
  EXPECT_TRUE(document->identity.starts_with("<!doctype html>"))
      << document->identity.substr(0, 40);
  size_t named = 0;
  for (const PageFile& file : page_files()) {
    if (document->identity.find(file.path) != std::string_view::npos && file.path != "/") named++;
  }
  EXPECT_GE(named, 2U);  // a script and a style
}

TEST_F(PageFiles, AreAllWholeAndDifferent) {
  std::set<std::string_view> paths;
  std::set<std::string_view> etags;
  for (const PageFile& file : page_files()) {
    EXPECT_TRUE(paths.insert(file.path).second) << file.path;
    EXPECT_TRUE(etags.insert(file.etag).second) << file.path;
    EXPECT_TRUE(file.etag.starts_with('"') && file.etag.ends_with('"') && file.etag.size() == 34)
        << file.etag;
    EXPECT_FALSE(file.identity.empty()) << file.path;
    ASSERT_GT(file.gzip.size(), 18U) << file.path;
    EXPECT_EQ(file.gzip.substr(0, 3), "\x1f\x8b\x08") << file.path;
    // the last four bytes of a gzip file are the length of its content
    uint32_t length = 0;
    for (size_t i = 0; i < 4; i++) {
      length |= uint32_t{static_cast<unsigned char>(file.gzip[file.gzip.size() - 4 + i])}
                << (8 * i);
    }
    EXPECT_EQ(length, file.identity.size()) << file.path;
  }
}

TEST_F(PageFiles, HoldNoScriptOrStyleInTheDocument) {
  const std::string_view document = page_file("/")->identity;
  EXPECT_EQ(document.find("<style"), std::string_view::npos);
  EXPECT_EQ(document.find(" style="), std::string_view::npos);
  for (size_t at = document.find("<script"); at != std::string_view::npos;
       at = document.find("<script", at + 1)) {
    EXPECT_NE(document.substr(at, document.find('>', at) - at).find(" src="),
              std::string_view::npos);
  }
}

TEST(PageFilesByPath, AnswersNothingForAnotherPath) {
  EXPECT_EQ(page_file("/assets/../lares"), nullptr);
  EXPECT_EQ(page_file(""), nullptr);
}

}  // namespace
}  // namespace lares::api
