#include "store/version.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "base/file.h"

namespace lares::store {
namespace {

struct VersionTest : testing::Test {
  VersionTest() {
    char name[] = "/tmp/lares-version-XXXXXX";
    folder = mkdtemp(name);
  }
  ~VersionTest() override { std::filesystem::remove_all(folder); }
  void put(const char* content) { std::ofstream(folder / "version") << content; }
  std::filesystem::path folder;
};

TEST_F(VersionTest, BeginsAFolderAndKnowsItAgain) {
  EXPECT_TRUE(check_data_format(folder));
  EXPECT_TRUE(check_data_format(folder));
  EXPECT_EQ(*read_file(folder / "version"), "lares-data 1\n");
}

TEST_F(VersionTest, RefusesWhatANewerLaresWrote) {
  put("lares-data 2\n");
  auto refused = check_data_format(folder);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unsupported);
  EXPECT_NE(refused.error().message.find("data format 2, this one knows 1"), std::string::npos);
  EXPECT_EQ(*read_file(folder / "version"), "lares-data 2\n");
}

TEST_F(VersionTest, RefusesAFileThatIsNotOurs) {
  for (const char* content :
       {"", "2", "lares-data", "lares-data x", "lares-data 99999999999999", "lares-data 0"}) {
    put(content);
    auto refused = check_data_format(folder);
    ASSERT_FALSE(refused) << content;
    EXPECT_EQ(refused.error().code, Code::Corrupt) << content;
  }
}

}  // namespace
}  // namespace lares::store
