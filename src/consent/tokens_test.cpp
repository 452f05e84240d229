#include "consent/tokens.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/text.h"

namespace lares::consent {
namespace {

namespace fs = std::filesystem;

struct TokensTest : testing::Test {
  TokensTest() { fs::create_directories(folder); }
  ~TokensTest() override { fs::remove_all(folder.parent_path()); }
  const fs::path folder =
      fs::temp_directory_path() / cat("lares-tokens-", random_hex(6)) / "config";
  const fs::path file = folder / "token";
  // Whether open() says `code` and every word of `words`, and leaves the file alone.
  void refused(Code code, const std::vector<std::string>& words) const {
    const auto tokens = Tokens::open(folder);
    ASSERT_FALSE(tokens);
    EXPECT_EQ(tokens.error().code, code) << tokens.error().message;
    for (const std::string& word : words)
      EXPECT_NE(tokens.error().message.find(word), std::string::npos) << tokens.error().message;
  }
};

TEST_F(TokensTest, TheFirstStartMakesATokenThatOnlyThePersonCanRead) {
  const auto tokens = Tokens::open(folder);
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_TRUE(is_token(tokens->owner()));
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) files++;
  EXPECT_EQ(files, 1u) << "a temporary file was left behind";
}

TEST_F(TokensTest, TheNextStartFindsTheSameToken) {
  EXPECT_EQ(Tokens::open(folder)->owner(), Tokens::open(folder)->owner());
}

TEST_F(TokensTest, TheFolderIsMadeWhenItIsMissing) {
  fs::remove_all(folder);
  EXPECT_TRUE(Tokens::open(folder));
}

TEST_F(TokensTest, ManyThatStartAtOnceGetTheSameToken) {
  std::vector<std::string> found(8);
  {
    std::vector<std::jthread> starts;
    for (std::string& one : found)
      starts.emplace_back([&] {
        if (auto tokens = Tokens::open(folder)) one = tokens->owner();
      });
  }
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), 1u);
  EXPECT_TRUE(is_token(found[0]));
}

TEST_F(TokensTest, TwoHomesHaveDifferentTokens) {
  EXPECT_NE(Tokens::open(folder)->owner(), Tokens::open(folder / "other")->owner());
}

TEST_F(TokensTest, ATokenThatOthersCanReadIsRefused) {
  ASSERT_TRUE(Tokens::open(folder));
  ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
  refused(Code::Denied, {file.string(), "other users can read it", "remove it"});
}

TEST_F(TokensTest, AFileThatHoldsNoTokenIsRefusedAndLeftAsItIs) {
  for (const std::string& content :
       {std::string(), std::string("secret\n"), cat(kTokenPrefix, std::string(64, 'g')),
        cat(kTokenPrefix, std::string(63, 'a')), cat(kTokenPrefix, std::string(200, 'a')),
        std::string(kTokenLength, '\0')}) {
    ASSERT_TRUE(write_file(file, content));
    refused(Code::Corrupt, {"no token", "remove it"});
    EXPECT_EQ(*read_file(file), content);
  }
}

TEST_F(TokensTest, ALinkAFolderAndAPipeInItsPlaceAreRefused) {
  ASSERT_TRUE(Tokens::open(folder));
  fs::rename(file, folder / "elsewhere");
  fs::create_symlink(folder / "elsewhere", file);
  refused(Code::Denied, {"link"});
  fs::remove(file);
  fs::create_directory(file);
  refused(Code::Denied, {"not a file"});
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  refused(Code::Denied, {"not a file"});
}

TEST_F(TokensTest, ATokenOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can give a file away";
  ASSERT_TRUE(Tokens::open(folder));
  ASSERT_EQ(::chown(file.c_str(), 12345, 12345), 0);
  refused(Code::Denied, {"belongs to user 12345"});
}

TEST_F(TokensTest, AFolderThatCannotBeWrittenIsSaid) {
  const auto tokens = Tokens::open("/proc/lares-cannot-be-here");
  ASSERT_FALSE(tokens);
  EXPECT_NE(tokens.error().message.find("/proc/lares-cannot-be-here"), std::string::npos);
}

TEST(Tokens, OnlyTheWholeTokenIsTheOwners) {
  const std::string right = cat(kTokenPrefix, std::string(64, 'a'));
  const Tokens tokens(right);
  ASSERT_TRUE(tokens.principal(right));
  EXPECT_EQ(tokens.principal(right)->right, Right::Owner);
  EXPECT_EQ(tokens.principal(right)->id, "owner");
  for (size_t i = 0; i < right.size(); i++) {
    std::string wrong = right;
    wrong[i] ^= 1;
    EXPECT_FALSE(tokens.principal(wrong)) << i;
    EXPECT_FALSE(tokens.principal(right.substr(0, i))) << i;
  }
  EXPECT_FALSE(tokens.principal(right + "a"));
  EXPECT_FALSE(tokens.principal(right + right));
  EXPECT_FALSE(tokens.principal(right + '\0'));
}

TEST(Tokens, NothingIsTheTokenOfNobody) {
  EXPECT_FALSE(Tokens("").principal(""));
  EXPECT_FALSE(Tokens("").principal("x"));
}

}  // namespace
}  // namespace lares::consent
