#include "store/sqlite.h"

#include <gtest/gtest.h>

#include <array>

#include "store/conversations_testing.h"

namespace lares::store {
namespace {

constexpr std::array<std::string_view, 1> kFirst = {"CREATE TABLE t(a INTEGER, b TEXT) STRICT"};
constexpr std::array<std::string_view, 2> kSecond = {
    kFirst[0], "ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'new'"};

std::unique_ptr<Database> database(const TestFolder& folder) {
  auto opened = Database::open(folder.file(), kTestKey);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
  return *std::move(opened);
}

TEST(Database, IsUnreadableWithoutItsKeyAndTheSameAgainWithIt) {
  const TestFolder folder;
  {
    const auto first = database(folder);
    ASSERT_TRUE(first->migrate(kFirst));
    ASSERT_TRUE(first->run("INSERT INTO t VALUES(?, ?)", int64_t{7}, "walrus walrus walrus"));
  }
  const std::string bytes = *read_file(folder.file());
  EXPECT_FALSE(bytes.starts_with("SQLite format 3"));
  EXPECT_EQ(bytes.find("walrus"), std::string::npos);
  EXPECT_EQ(std::filesystem::status(folder.file()).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  const auto wrong = Database::open(folder.file(), std::string(32, 'x'));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::Corrupt);
  EXPECT_EQ(*read_file(folder.file()), bytes);

  const auto again = database(folder);
  auto rows = again->query("SELECT b FROM t WHERE a = ?", int64_t{7});
  ASSERT_TRUE(rows && *rows->next());
  EXPECT_EQ(rows->text(0), "walrus walrus walrus");
  EXPECT_FALSE(*rows->next());
}

TEST(Database, TheLogIsSealedToo) {
  const TestFolder folder;
  const auto open = database(folder);
  ASSERT_TRUE(open->migrate(kFirst));
  ASSERT_TRUE(open->run("INSERT INTO t VALUES(1, ?)", "walrus walrus walrus"));
  const std::string log = *read_file(folder.file().string() + "-wal");
  EXPECT_GT(log.size(), 0u);
  EXPECT_EQ(log.find("walrus"), std::string::npos);
}

TEST(Database, ATransactionIsAllOrNothing) {
  const TestFolder folder;
  const auto open = database(folder);
  ASSERT_TRUE(open->migrate(kFirst));
  const auto done = open->transaction(Durable::Now, [&]() -> Result<> {
    TRY(open->run("INSERT INTO t VALUES(1, 'x')"));
    return Error{Code::Invalid, "no more"};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "no more");
  auto rows = open->query("SELECT count(*) FROM t");
  ASSERT_TRUE(rows && *rows->next());
  EXPECT_EQ(rows->integer(0), 0);
}

TEST(Database, IsBroughtToANewerSchemaAndKeepsWhatItHolds) {
  const TestFolder folder;
  {
    const auto old = database(folder);
    ASSERT_TRUE(old->migrate(kFirst));
    ASSERT_TRUE(old->run("INSERT INTO t VALUES(1, 'old')"));
  }
  const auto now = database(folder);
  ASSERT_TRUE(now->migrate(kSecond));
  ASSERT_TRUE(now->migrate(kSecond));
  auto rows = now->query("SELECT b, c FROM t");
  ASSERT_TRUE(rows && *rows->next());
  EXPECT_EQ(rows->text(0) + rows->text(1), "oldnew");
}

TEST(Database, OfANewerLaresIsRefusedAndNotChanged) {
  const TestFolder folder;
  {
    ASSERT_TRUE(database(folder)->migrate(kSecond));
  }
  const std::string before = *read_file(folder.file());
  {
    const auto refused = database(folder)->migrate(kFirst);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::Unsupported);
    EXPECT_NE(refused.error().message.find("format 2"), std::string::npos);
  }
  EXPECT_EQ(*read_file(folder.file()), before);
}

TEST(Database, ThatCanOnlyBeReadIsRead) {
  const TestFolder folder;
  {
    const auto open = database(folder);
    ASSERT_TRUE(open->migrate(kFirst));
    ASSERT_TRUE(open->run("INSERT INTO t VALUES(1, 'x')"));
  }
  auto open = Database::open(folder.file(), kTestKey, Database::Access::ReadOnly);
  ASSERT_TRUE(open) << open.error().message;
  auto rows = (*open)->query("SELECT b FROM t");
  ASSERT_TRUE(rows && *rows->next());
  EXPECT_EQ(rows->text(0), "x");
  EXPECT_EQ((*open)->run("INSERT INTO t VALUES(2, 'y')").error().code, Code::Denied);
}

}  // namespace
}  // namespace lares::store
