// What of a part outlives the process that fetched it.
#include "egress/part.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"

namespace lares::egress {
namespace {

constexpr uint64_t kSize = 2 * uint64_t{kChunkSize};

class PartTest : public ::testing::Test {
 protected:
  PartTest() {
    std::filesystem::create_directories(folder_);
    part_ = open_file("part");
    journal_ = open_file("journal");
  }
  ~PartTest() override { std::filesystem::remove_all(folder_); }

  Fd open_file(const char* name) const {
    return Fd(::open((folder_ / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }
  // As the next process finds it.
  Part open(bool check = false) const {
    auto opened =
        Part::open(part_.get(), journal_.get(), kSize, "a file", check, [] { return true; });
    EXPECT_TRUE(opened);
    return *std::move(opened);
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / cat("lares-part-", random_hex(6));
  Fd part_, journal_;
};

TEST_F(PartTest, WhatWasRecordedOutlivesTheProcessAndTheRestDoesNot) {
  Part first = open();
  ASSERT_TRUE(first.write(1, std::string(1'000, 'a')));
  EXPECT_EQ(first.bytes_unrecorded(), 1'000u);
  ASSERT_TRUE(first.record());
  EXPECT_EQ(first.bytes_unrecorded(), 0u);
  EXPECT_EQ(first.bytes_unsaved(), 1'000u) << "not on the disk yet";
  ASSERT_TRUE(first.write(1, std::string(500, 'b')));
  EXPECT_EQ(open().have(1), 1'000u);
  ASSERT_TRUE(first.checkpoint());
  EXPECT_EQ(first.bytes_unsaved(), 0u);
  EXPECT_EQ(open().have(1), 1'500u);
}

TEST_F(PartTest, WhatTheDiskDidNotKeepOfARecordIsFetchedAgain) {
  Part first = open();
  ASSERT_TRUE(first.write(0, std::string(kChunkSize, 'a')));
  ASSERT_TRUE(first.write(1, std::string(1'000, 'a')));
  ASSERT_TRUE(first.record());
  ASSERT_EQ(::pwrite(part_.get(), "x", 1, 10), 1);
  ASSERT_EQ(::pwrite(part_.get(), "x", 1, kChunkSize + 10), 1);
  Part next = open(/*check=*/true);
  EXPECT_EQ(next.have(0), 0u);
  EXPECT_EQ(next.have(1), 0u);
}

}  // namespace
}  // namespace lares::egress
