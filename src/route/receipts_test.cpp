#include "route/receipts.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/text.h"

namespace lares::route {
namespace {

namespace fs = std::filesystem;

struct ReceiptsTest : testing::Test {
  ReceiptsTest() {
    char name[] = "/tmp/lares-receipts-XXXXXX";
    folder = mkdtemp(name);
  }
  ~ReceiptsTest() override { fs::remove_all(folder); }
  // Writes at once: the background thread is not what is tested here.
  Receipts open() {
    auto opened = Receipts::open(
        folder,
        [](Task task) {
          task();
          return true;
        },
        log);
    EXPECT_TRUE(opened) << opened.error().message;
    return *std::move(opened);
  }
  static Receipt receipt(const std::string& id) {
    Receipt made;
    made.id = id;
    made.model = "m";
    made.outcome = "stop";
    made.why = {"place: local"};
    made.prompt_tokens = 12;
    made.decode_tokens_per_s = 31.5;
    return made;
  }
  Log log = Log::silent();
  fs::path folder;
};

TEST_F(ReceiptsTest, KnowsThemAgainAfterARestart) {
  {
    Receipts receipts = open();
    receipts.add(receipt("r-aaaa1"));
    receipts.add(receipt("r-bbbb2"));
  }
  Receipts receipts = open();
  ASSERT_TRUE(receipts.find(""));
  EXPECT_EQ((*receipts.find(""))->id, "r-bbbb2");
  EXPECT_EQ(to_json(**receipts.find("r-aaaa1")), to_json(receipt("r-aaaa1")));
  EXPECT_EQ(receipts.newest(1).at(0)->id, "r-bbbb2");
}

TEST_F(ReceiptsTest, FindsByAUniqueBeginning) {
  Receipts receipts = open();
  EXPECT_EQ(receipts.find("").error().code, Code::NotFound);
  receipts.add(receipt("r-aaaa1"));
  receipts.add(receipt("r-aaaa2"));
  EXPECT_EQ((*receipts.find("r-aaaa2"))->id, "r-aaaa2");
  EXPECT_NE(receipts.find("r-aa").error().message.find("more than one"), std::string::npos);
  EXPECT_EQ(receipts.find("r-zz").error().code, Code::NotFound);
}

TEST_F(ReceiptsTest, KeepsTheLastThousandAndTheFileShort) {
  {
    Receipts receipts = open();
    Receipt large = receipt("r-0");
    large.error = std::string(6'000, 'x');
    for (size_t i = 0; i < kReceiptsMax + 50; i++) {
      large.id = cat("r-", i);
      receipts.add(large);
    }
    EXPECT_EQ(receipts.newest(5'000).size(), kReceiptsMax);
  }
  Receipts receipts = open();
  EXPECT_EQ(receipts.newest(5'000).size(), kReceiptsMax);
  EXPECT_EQ((*receipts.find(""))->id, cat("r-", kReceiptsMax + 49));
  EXPECT_LT(fs::file_size(folder / "receipts.log"), MiB(10).n);
}

TEST_F(ReceiptsTest, ADamagedFileIsSetAsideAndSaid) {
  std::string content;
  {
    Receipts receipts = open();
    receipts.add(receipt("r-1"));
    content = *read_file(folder / "receipts.log");
    receipts.add(receipt("r-2"));
    receipts.add(receipt("r-3"));
  }
  std::string damaged = *read_file(folder / "receipts.log");
  damaged[content.size() + 30] ^= 1;  // in the second of three
  ASSERT_TRUE(write_file(folder / "receipts.log", damaged));
  testing::internal::CaptureStderr();
  {
    Log told("test");
    const auto receipts = Receipts::open(folder, [](const Task&) { return false; }, told);
    ASSERT_TRUE(receipts);
    EXPECT_TRUE(receipts->find("r-1"));
  }
  const std::string said = testing::internal::GetCapturedStderr();
  fs::path aside;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().string().find(".damaged-") != std::string::npos) aside = entry.path();
  }
  EXPECT_EQ(*read_file(aside), damaged);
  EXPECT_NE(said.find(aside.filename().string()), std::string::npos) << said;
  EXPECT_NE(said.find("receipts.log could not be read whole"), std::string::npos) << said;
}

// No file may grow beyond `most`, as on a full disk, while this lives.
struct FullDisk {
  explicit FullDisk(rlim_t most) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit full{most, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before); }
  rlimit before{};
};

TEST_F(ReceiptsTest, WhatAFullDiskDidNotTakeIsWrittenWhenThereIsRoom) {
  testing::internal::CaptureStderr();
  {
    Log told("test");
    auto opened = Receipts::open(
        folder,
        [](Task task) {
          task();
          return true;
        },
        told);
    ASSERT_TRUE(opened);
    Receipts& receipts = *opened;
    receipts.add(receipt("r-1"));
    EXPECT_TRUE(receipts.written());
    {
      const FullDisk full(fs::file_size(folder / "receipts.log") + 20);
      receipts.add(receipt("r-2"));
      receipts.add(receipt("r-3"));
      EXPECT_EQ(receipts.written().error().code, Code::NoRoom);
      EXPECT_EQ(receipts.written().error().message.find("2 of the last 3 are not on disk: "), 0u)
          << receipts.written().error().message;
      for (size_t i = 0; i < kReceiptsMax + 10; i++) receipts.add(receipt(cat("r-x", i)));
      EXPECT_EQ(receipts.written().error().message.find("1000 of the last 1000 are"), 0u)
          << receipts.written().error().message;
    }
    receipts.flush();
    EXPECT_TRUE(receipts.written());
    receipts.add(receipt("r-4"));
  }
  const std::string said = testing::internal::GetCapturedStderr();
  size_t lines = 0;
  for (const std::string& line : split(said, '\n')) lines += !line.empty();
  EXPECT_EQ(lines, 2u) << said;
  EXPECT_NE(said.find("receipts cannot be written"), std::string::npos);
  EXPECT_NE(said.find("receipts are written again"), std::string::npos);
  Receipts receipts = open();
  EXPECT_EQ(receipts.newest(5'000).size(), kReceiptsMax);
  EXPECT_EQ((*receipts.find(""))->id, "r-4");
  EXPECT_TRUE(receipts.find("r-x999"));
}

TEST_F(ReceiptsTest, WhatAFullQueueDidNotTakeIsWrittenWithTheNext) {
  {
    bool is_full = false;
    auto receipts = Receipts::open(
        folder,
        [&](Task task) {
          if (is_full) return false;
          task();
          return true;
        },
        log);
    ASSERT_TRUE(receipts);
    is_full = true;
    receipts->add(receipt("r-1"));
    is_full = false;
    receipts->add(receipt("r-2"));
  }
  Receipts receipts = open();
  EXPECT_EQ(receipts.newest(10).size(), 2u);
}

}  // namespace
}  // namespace lares::route
