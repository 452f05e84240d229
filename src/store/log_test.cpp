#include "store/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <vector>

#include "base/text.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

struct LogTest : testing::Test {
  LogTest() {
    char name[] = "/tmp/lares-log-XXXXXX";
    folder = mkdtemp(name);
    file = folder / "a.log";
  }
  ~LogTest() override { fs::remove_all(folder); }

  DurableLog::Opened open() {
    records.clear();
    auto opened = DurableLog::open(
        file, [&](const DurableLog::Record& r) { records.push_back(cat(r.type, ":", r.payload)); });
    EXPECT_TRUE(opened) << opened.error().message;
    return *std::move(opened);
  }
  void write(std::initializer_list<const char*> payloads) {
    auto opened = open();
    for (const char* payload : payloads) ASSERT_TRUE(opened.log.append(7, payload));
    ASSERT_TRUE(opened.log.sync());
  }
  std::string bytes() const { return *read_file(file); }
  void overwrite(const std::string& content) { std::ofstream(file, std::ios::binary) << content; }

  fs::path folder;
  fs::path file;
  std::vector<std::string> records;
};
using Records = std::vector<std::string>;

TEST_F(LogTest, ReplaysWhatWasAppended) {
  write({"one", "", "three"});
  write({"four"});
  open();
  EXPECT_EQ(records, (Records{"7:one", "7:", "7:three", "7:four"}));
}

TEST_F(LogTest, KnowsTheChecksumOfTheStandard) { EXPECT_EQ(crc32c("123456789"), 0xE3069283u); }

TEST_F(LogTest, CutsATornRecordAtEveryByteAndGoesOn) {
  write({"first", "second"});
  const std::string whole = bytes();
  write({"third"});
  const std::string longer = bytes();
  for (size_t size = whole.size(); size < longer.size(); size++) {
    overwrite(longer.substr(0, size));
    {
      auto opened = open();
      EXPECT_EQ(records, (Records{"7:first", "7:second"})) << size;
      EXPECT_EQ(opened.cut_bytes, size - whole.size());
      EXPECT_TRUE(opened.set_aside.empty());
      ASSERT_TRUE(opened.log.append(7, "again"));
    }
    open();
    EXPECT_EQ(records, (Records{"7:first", "7:second", "7:again"})) << size;
  }
}

TEST_F(LogTest, NoticesEveryFlippedBit) {
  write({"first", "second", "third"});
  const std::string whole = bytes();
  for (size_t at = 16; at < whole.size(); at++) {
    for (int bit = 0; bit < 8; bit++) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      overwrite(damaged);
      auto opened = open();
      EXPECT_LT(records.size(), 3u) << at << "." << bit;  // never a record that was not written
      for (size_t i = 0; i < records.size(); i++)
        EXPECT_EQ(records[i], (Records{"7:first", "7:second", "7:third"})[i]);
      if (!opened.set_aside.empty()) {
        EXPECT_EQ(*read_file(opened.set_aside), damaged);  // what we could not read is kept
        fs::remove(opened.set_aside);
      }
    }
  }
}

TEST_F(LogTest, NoticesARecordThatWasCutOut) {
  write({"a", "b", "c"});
  const std::string whole = bytes();
  const size_t record = 16 + 1 + 12;
  overwrite(whole.substr(0, 16 + record) + whole.substr(16 + 2 * record));
  auto opened = open();
  EXPECT_EQ(records, (Records{"7:a"}));
  EXPECT_FALSE(opened.set_aside.empty());
}

TEST_F(LogTest, RefusesANewerFormatAndTouchesNothing) {
  write({"kept"});
  std::string newer = bytes();
  newer[8] = 9;
  overwrite(newer);
  auto opened = DurableLog::open(file, [](const DurableLog::Record&) { FAIL(); });
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Unsupported);
  EXPECT_NE(opened.error().message.find("format 9, this one knows 1"), std::string::npos);
  EXPECT_EQ(bytes(), newer);
}

TEST_F(LogTest, SetsAsideAFileOfAnotherKind) {
  overwrite("this is somebody's letter");
  auto opened = open();
  EXPECT_TRUE(records.empty());
  EXPECT_EQ(*read_file(opened.set_aside), "this is somebody's letter");
}

// A limit on file size stands in for a full disk: the write stops in the middle just the same.
TEST_F(LogTest, SaysWhenTheDiskIsFullAndGoesOnWhenItIsNot) {
  write({"before"});
  {
    auto opened = open();
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    const auto signal_before = std::signal(SIGXFSZ, SIG_IGN);
    rlimit tight = old;
    tight.rlim_cur = opened.log.size().n + 20;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
    auto refused = opened.log.append(7, "does not fit");
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    std::signal(SIGXFSZ, signal_before);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::NoRoom);
    EXPECT_TRUE(opened.log.append(7, "after"));
  }
  auto opened = open();
  EXPECT_EQ(records, (Records{"7:before", "7:after"}));
  EXPECT_TRUE(opened.set_aside.empty());
}

}  // namespace
}  // namespace lares::store
