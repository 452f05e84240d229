#include "route/receipts.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

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

}  // namespace
}  // namespace lares::route
