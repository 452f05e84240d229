#include "consent/sealing_key.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"

namespace lares::consent {
namespace {

namespace fs = std::filesystem;

struct SealingKeyTest : testing::Test {
  SealingKeyTest() {
    char name[] = "/tmp/lares-key-XXXXXX";
    folder = mkdtemp(name);
    file = sealing_key_file(folder);
  }
  ~SealingKeyTest() override { fs::remove_all(folder); }
  fs::path folder;
  fs::path file;
};

TEST_F(SealingKeyTest, IsMadeOnceForThePersonAlone) {
  const std::string key = *sealing_key(folder);
  EXPECT_EQ(key.size(), kSealingKeyBytes);
  EXPECT_EQ(*sealing_key(folder), key);
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  fs::remove(file);
  EXPECT_NE(*sealing_key(folder), key);
}

TEST_F(SealingKeyTest, IsRefusedWhereOthersCanReadIt) {
  ASSERT_TRUE(sealing_key(folder));
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  EXPECT_EQ(sealing_key(folder).error().code, Code::Denied);
}

TEST_F(SealingKeyTest, IsRefusedWhenItIsNoneAndLeftAsItIs) {
  for (const char* content : {"", "too short\n", "zz"}) {
    ASSERT_TRUE(write_file(file, content));
    EXPECT_EQ(sealing_key(folder).error().code, Code::Corrupt);
    EXPECT_EQ(*read_file(file), content);
  }
  fs::remove(file);
  fs::create_symlink("/dev/zero", file);
  EXPECT_EQ(sealing_key(folder).error().code, Code::Denied);
}

}  // namespace
}  // namespace lares::consent
