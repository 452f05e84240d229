#include "consent/credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

namespace lares::consent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr int64_t kDayMs = int64_t{24} * 3'600'000;

struct CredentialsTest : testing::Test {
  CredentialsTest() { open(); }
  ~CredentialsTest() override { fs::remove_all(folder.parent_path()); }
  void open() {
    auto opened = Credentials::open(folder, [this] { return now; });
    ASSERT_TRUE(opened) << opened.error().message;
    all = *std::move(opened);
  }
  int64_t now = 1'700'000'000'000;
  const fs::path folder =
      fs::temp_directory_path() / cat("lares-credentials-", random_hex(6)) / "config";
  const fs::path file = Credentials::file(folder);
  std::unique_ptr<Credentials> all;
};

TEST_F(CredentialsTest, ACodeIsGoodOnceForOneBrowser) {
  const std::string code = all->pair();
  const auto page = all->redeem(code, "Firefox");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_TRUE(is_token(page->secret));
  const auto who = all->of_page(page->secret);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->id, "owner");
  EXPECT_EQ(who->right, Right::Owner);
  EXPECT_EQ(who->credential, page->id);
  const auto again = all->redeem(code, "Firefox");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::Denied);
  EXPECT_NE(again.error().message.find("lares ui"), std::string::npos);
}

TEST_F(CredentialsTest, ACodeAgesAndAClockThatIsSetBackDoesNotRenewIt) {
  const std::string early = all->pair();
  now += milliseconds(kCodeLife).count() + 1;
  EXPECT_FALSE(all->redeem(early, ""));
  const std::string late = all->pair();
  now -= 1000;
  EXPECT_FALSE(all->redeem(late, ""));
}

TEST_F(CredentialsTest, WrongCodesAreRefusedAndOldOnesMakeRoom) {
  for (const char* wrong : {"", "0", "lares-"}) EXPECT_FALSE(all->redeem(wrong, "")) << wrong;
  const std::string first = all->pair();
  for (size_t i = 0; i < kCodesMax; i++) all->pair();
  EXPECT_FALSE(all->redeem(first, ""));
  EXPECT_FALSE(all->redeem(all->pair().substr(1), ""));
}

TEST_F(CredentialsTest, WhatWasGivenOutlivesTheDaemonAndCodesDoNot) {
  const auto page = all->redeem(all->pair(), "Firefox");
  const auto app = all->add_app("notes");
  const std::string code = all->pair();
  ASSERT_TRUE(page && app);
  open();
  EXPECT_TRUE(all->of_page(page->secret));
  const auto who = all->of_token(app->secret);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->id, "app:notes");
  EXPECT_EQ(who->right, Right::App);
  EXPECT_FALSE(all->redeem(code, ""));
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(CredentialsTest, EachSecretIsGoodForItsKindOnly) {
  const auto page = all->redeem(all->pair(), "");
  const auto app = all->add_app("notes");
  ASSERT_TRUE(page && app);
  EXPECT_FALSE(all->of_token(page->secret));
  EXPECT_FALSE(all->of_page(app->secret));
  EXPECT_FALSE(all->of_page(""));
  EXPECT_FALSE(all->of_token(""));
  EXPECT_NE(page->secret, app->secret);
}

TEST_F(CredentialsTest, WhatIsTakenBackIsWorthNothingNowAndAfterAStart) {
  const auto page = all->redeem(all->pair(), "");
  const auto app = all->add_app("notes");
  ASSERT_TRUE(page && app);
  ASSERT_TRUE(all->revoke(page->id));
  ASSERT_TRUE(all->revoke(app->id));
  EXPECT_FALSE(all->of_page(page->secret));
  EXPECT_FALSE(all->of_token(app->secret));
  EXPECT_EQ(all->revoke(app->id).error().code, Code::NotFound);
  open();
  EXPECT_FALSE(all->of_page(page->secret));
  EXPECT_FALSE(all->of_token(app->secret));
  EXPECT_TRUE(all->given().empty());
}

TEST_F(CredentialsTest, TheOwnersTokenIsReplacedWholly) {
  const std::string old = std::string(trimmed(*read_file(Tokens::file(folder))));
  ASSERT_TRUE(all->of_token(old));
  ASSERT_TRUE(all->revoke(kOwnerId));
  EXPECT_FALSE(all->of_token(old));
  const std::string fresh = std::string(trimmed(*read_file(Tokens::file(folder))));
  EXPECT_NE(fresh, old);
  EXPECT_TRUE(all->of_token(fresh));
}

TEST_F(CredentialsTest, APageThatIsNotUsedIsForgotten) {
  const auto page = all->redeem(all->pair(), "");
  ASSERT_TRUE(page);
  now += 80 * kDayMs;
  EXPECT_TRUE(all->of_page(page->secret));
  now += 80 * kDayMs;
  EXPECT_TRUE(all->of_page(page->secret)) << "it was used in between";
  now += 91 * kDayMs;
  EXPECT_FALSE(all->of_page(page->secret));
  ASSERT_TRUE(all->redeem(all->pair(), ""));
  EXPECT_EQ(all->given().size(), 1u);
}

TEST_F(CredentialsTest, UsesAreTold) {
  const auto app = all->add_app("notes");
  EXPECT_EQ(all->given().at(0).last_used_ms, 0);
  now += 5000;
  all->of_token(app->secret);
  EXPECT_EQ(all->given().at(0).last_used_ms, now);
  ASSERT_TRUE(all->save_uses());
  open();
  EXPECT_EQ(all->given().at(0).last_used_ms, now);
}

TEST_F(CredentialsTest, NoSecretIsOnTheDisk) {
  const auto page = all->redeem(all->pair(), "Firefox");
  const auto app = all->add_app("notes");
  ASSERT_TRUE(page && app);
  const std::string kept = *read_file(file);
  for (const std::string& secret : {page->secret, app->secret})
    EXPECT_EQ(kept.find(secret.substr(kTokenPrefix.size())), std::string::npos) << kept;
}

TEST_F(CredentialsTest, SecretsThatAnEarlierVersionKeptAreGoodAndGoFromTheDisk) {
  const auto row = [](const char* kind, const std::string& secret) {
    return Json{{"id", "0123456789abcdef"}, {"kind", kind},           {"name", "notes"},
                {"created_ms", 1},          {"last_used_ms", kDayMs}, {"secret", secret}};
  };
  const std::string app = new_token();
  const std::string page = new_token();
  now = 2 * kDayMs;
  ASSERT_TRUE(write_file(file, dump(Json{row("app", app), row("page", page)}), 0600));
  for (int start = 0; start < 2; start++) {
    open();
    EXPECT_TRUE(all->of_token(app));
    EXPECT_TRUE(all->of_page(page));
    const std::string kept = *read_file(file);
    for (const std::string& secret : {app, page})
      EXPECT_EQ(kept.find(secret), std::string::npos) << kept;
  }
  EXPECT_TRUE(all->set_aside().empty());
}

TEST_F(CredentialsTest, NamesOfAppsAreCheckedAndUnlike) {
  for (const std::string& wrong : {std::string(), std::string(" a"), std::string("a "),
                                   std::string("a\nb"), std::string("é"), std::string(65, 'a')}) {
    const auto made = all->add_app(wrong);
    ASSERT_FALSE(made) << wrong;
    EXPECT_EQ(made.error().param, "name");
  }
  ASSERT_TRUE(all->add_app("notes"));
  const auto twice = all->add_app("notes");
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find(all->given().at(0).id), std::string::npos);
}

TEST_F(CredentialsTest, NoMoreAreGivenThanAreKept) {
  for (size_t i = 0; i < kGivenMax; i++) ASSERT_TRUE(all->add_app(cat("app ", i)));
  EXPECT_EQ(all->add_app("one more").error().code, Code::NoRoom);
}

TEST_F(CredentialsTest, ADamagedFileIsSetAsideAndOneThatOthersReadIsRefused) {
  ASSERT_TRUE(all->add_app("notes"));
  for (const char* damaged : {"", "{", "{}", "[1]", R"([{"id":"x"}])", "\xff"}) {
    ASSERT_TRUE(write_file(file, damaged, 0600));
    open();
    EXPECT_TRUE(all->given().empty()) << damaged;
    EXPECT_TRUE(fs::exists(all->set_aside())) << damaged;
    EXPECT_EQ(*read_file(all->set_aside()), damaged);
    EXPECT_FALSE(fs::exists(file));
  }
  ASSERT_TRUE(write_file(file, "[]", 0644));
  const auto refused = Credentials::open(folder, [this] { return now; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Denied);
}

TEST_F(CredentialsTest, WhatCannotBeWrittenIsNotGiven) {
  fs::remove_all(folder);
  ASSERT_TRUE(write_file(folder.parent_path() / "config", "in the way", 0600));
  EXPECT_FALSE(all->add_app("notes"));
  EXPECT_TRUE(all->given().empty());
}

}  // namespace
}  // namespace lares::consent
