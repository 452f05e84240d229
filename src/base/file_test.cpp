#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace lares {
namespace {

namespace fs = std::filesystem;

struct FileTest : testing::Test {
  fs::path folder = fs::temp_directory_path() / ("lares-file-test-" + random_hex(6));
  FileTest() { fs::create_directory(folder); }
  ~FileTest() override { fs::remove_all(folder); }
  static unsigned mode_of(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777u;
  }
};

TEST_F(FileTest, WritesWholeFilesWithTheirMode) {
  const fs::path file = folder / "a";
  ASSERT_TRUE(write_file(file, "one"));
  EXPECT_EQ(*read_file(file), "one");
  EXPECT_EQ(mode_of(file), 0600u);
  ASSERT_TRUE(write_file(file, std::string("two\0three", 9), 0644));
  EXPECT_EQ(read_file(file)->size(), 9u);
}

TEST_F(FileTest, LeavesTheOldFileWhenTheNewOneCannotTakeItsPlace) {
  fs::create_directory(folder / "in-the-way");
  ASSERT_TRUE(write_file(folder / "in-the-way" / "keep", "x"));
  const auto written = write_file(folder / "in-the-way", "y");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("writing '"), std::string::npos);
  EXPECT_EQ(*read_file(folder / "in-the-way" / "keep"), "x");
  // and no half-written neighbour stays
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST_F(FileTest, AFullDiskIsNoRoomAndLeavesNothing) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  // a write to a full device, by the same path that a full disk takes
  const Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  EXPECT_EQ(::write(full.get(), "x", 1), -1);
  EXPECT_EQ(system_error("writing", errno).code, Code::NoRoom);
}

TEST_F(FileTest, ReadsOnlySoMuchAtOnce) {
  ASSERT_TRUE(write_file(folder / "big", std::string(5000, 'x')));
  EXPECT_EQ(read_file(folder / "big", Bytes{4999}).error().code, Code::Invalid);
  EXPECT_EQ(read_file(folder / "big", Bytes{5000})->size(), 5000u);
}

TEST_F(FileTest, ErrorsCarryThePathAndTheirKind) {
  const auto gone = read_file(folder / "gone");
  EXPECT_EQ(gone.error().code, Code::NotFound);
  EXPECT_NE(gone.error().message.find((folder / "gone").string()), std::string::npos);
  EXPECT_EQ(system_error("x", EACCES).code, Code::Denied);
  EXPECT_EQ(system_error("x", EPERM).code, Code::Denied);
  EXPECT_EQ(system_error("x", ENOSPC).code, Code::NoRoom);
  EXPECT_EQ(system_error("x", EDQUOT).code, Code::NoRoom);
  EXPECT_EQ(system_error("x", EIO).code, Code::Io);
  EXPECT_EQ(system_error("opening 'y'", ENOENT).message, "opening 'y': No such file or directory");
  EXPECT_FALSE(write_file(folder / "no" / "folder", "x"));
  EXPECT_FALSE(read_file(folder));
}

TEST_F(FileTest, MakesFoldersThatOnlyTheirOwnerEnters) {
  ASSERT_TRUE(make_private_folder(folder / "a" / "b" / "c"));
  EXPECT_EQ(mode_of(folder / "a"), 0700u);
  EXPECT_EQ(mode_of(folder / "a" / "b" / "c"), 0700u);
  EXPECT_TRUE(make_private_folder(folder / "a" / "b" / "c")) << "a second time";
}

TEST_F(FileTest, RefusesAFileWhereAFolderShouldBe) {
  ASSERT_TRUE(write_file(folder / "file", "x"));
  EXPECT_FALSE(make_private_folder(folder / "file"));
  EXPECT_FALSE(make_private_folder(folder / "file" / "below"));
}

TEST_F(FileTest, RefusesAFolderOfAnotherUser) {
  if (::geteuid() != 0) {
    EXPECT_EQ(make_private_folder("/").error().code, Code::Denied);
    return;
  }
  fs::create_directory(folder / "theirs");
  ASSERT_EQ(::chown((folder / "theirs").c_str(), 12345, 12345), 0);
  EXPECT_EQ(make_private_folder(folder / "theirs").error().code, Code::Denied);
}

TEST(Fd, ClosesWhatItOwnsOnce) {
  int raw = -1;
  {
    Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = fd.get();
    Fd moved(std::move(fd));
    EXPECT_EQ(moved.get(), raw);
    Fd assigned;
    assigned = std::move(moved);
    EXPECT_TRUE(assigned);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(Random, IsHexadecimalOfTheAskedLengthAndNotTheSameTwice) {
  EXPECT_EQ(random_hex(16).size(), 32u);
  EXPECT_EQ(random_hex(0), "");
  EXPECT_EQ(random_hex(100).find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(random_hex(16), random_hex(16));
}

}  // namespace
}  // namespace lares
