// What pulls do with the disk.
#include "app/pull_files.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "app/testing/fake_house.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

TEST(PullFiles, TheTokenOfTheEnvironmentIsForHuggingFaceOnItsOwnPortOverTls) {
  for (const char* url :
       {"https://huggingface.co", "https://huggingface.co/", "https://huggingface.co:443/x"})
    EXPECT_TRUE(is_hugging_face(url)) << url;
  for (const char* url :
       {"http://huggingface.co", "https://huggingface.co.evil.org/", "https://huggingface.co:8443",
        "https://huggingface.co@evil.org/", "https://mirror.lan", "https://hub.huggingface.co", ""})
    EXPECT_FALSE(is_hugging_face(url)) << url;
}

TEST(PullFiles, WhoNamesATokensFileMeansTheHubThatIsSet) {
  const testing::Folder folder;
  const fs::path token = folder.path() / "token";
  ASSERT_TRUE(write_file(token, "from-file\n"));
  ASSERT_EQ(::setenv("HF_TOKEN", "from-environment", 1), 0);
  const auto token_for = [&](const std::string& file, const std::string& hub) {
    const auto opened = open_pull(folder.path() / "p-1", "", file, hub);
    return opened ? opened->token : opened.error().message;
  };
  EXPECT_EQ(token_for("", "https://huggingface.co"), "from-environment");
  EXPECT_EQ(token_for("", "https://mirror.lan"), "");
  EXPECT_EQ(token_for(token.string(), "https://mirror.lan"), "from-file");
  ::unsetenv("HF_TOKEN");
}

TEST(PullFiles, AModelIsMovedToAFreeNameOnlyAndBackAsAWhole) {
  const testing::Folder folder;
  const fs::path part = folder.path() / "part";
  const fs::path file = folder.path() / "m.gguf";
  const Texts texts = {{folder.path() / "m.licence.txt", "may"}};
  ASSERT_TRUE(write_file(part, "new"));
  ASSERT_TRUE(move_pulled(part, file, texts));
  EXPECT_TRUE(fs::exists(texts.front().first));
  move_pulled_back(part, file, texts);
  EXPECT_EQ(*read_file(part), "new");
  EXPECT_FALSE(fs::exists(texts.front().first));
  ASSERT_TRUE(write_file(file, "old"));
  const auto moved = move_pulled(part, file, texts);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Code::Invalid);
  EXPECT_EQ(*read_file(file), "old");
}

TEST(PullFiles, OrdersWithoutASourceAreNone) {
  const testing::Folder folder;
  const fs::path pull = folder.path() / ".pulls" / "p-1";
  ASSERT_TRUE(make_private_folder(pull));
  ASSERT_TRUE(write_file(folder.path() / ".pulls" / "digests.json", "{}"));
  EXPECT_EQ(kept_pulls(folder.path()), std::vector<fs::path>{pull});
  for (const char* order : {"", "[]", R"({"source":7})", R"({"source":"nonsense"})"}) {
    ASSERT_TRUE(write_file(pull / "pull.json", order));
    EXPECT_FALSE(read_order(pull)) << order;
  }
  ASSERT_TRUE(write_file(pull / "pull.json", R"({"source":"hf:o/r"})"));
  EXPECT_TRUE(read_order(pull));
}

}  // namespace
}  // namespace lares::app
