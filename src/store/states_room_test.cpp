// The state store where there is little room, or none, and where its folder is taken away.
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <random>

#include "store/states.h"
#include "store/states_testing.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

struct StatesRoomTest : StatesTest {
  StatesRoomTest() {
    options.cap = KiB(512);
    options.segment_max = MiB(64);  // an eighth of the cap
    bytes_each = 64;
  }
  static Ids conversation(int32_t number, size_t tokens = 256) {
    return some_ids(tokens, 100'000 * number);
  }
};

TEST_F(StatesRoomTest, TheCapHoldsAfterEveryPut) {
  open();
  std::mt19937 random(7);  // NOLINT: the same conversations every time, on purpose
  uint64_t kept = 0;
  for (int i = 0; i < 150; i++) {
    clock.advance(std::chrono::minutes(10));
    const auto number = static_cast<int32_t>(1 + random() % 60);
    const Ids ids = conversation(number, 64 + random() % 400);
    kept += (ids.size() - store->find(lineage_of(), ids).tokens) * bytes_each;
    ASSERT_TRUE(keep(lineage_of(), ids));
    ASSERT_LE(bytes_on_disk(), options.cap.n);
    ASSERT_EQ(bytes_on_disk(), store->figures().disk.n);
    if (i % 20 == 0) there(lineage_of(), conversation(number));
  }
  EXPECT_GT(store->figures().live.n, options.cap.n / 2);  // and it is made use of
  EXPECT_EQ(store->figures().quarantined, 0u);
  // nothing is used more often than anything else here, which moves most
  EXPECT_LT(store->figures().written.n, 5 * kept);
  Tokens total = 0;
  for (int32_t number = 1; number <= 60; number++)
    total += there(lineage_of(), conversation(number, 463));
  ASSERT_TRUE(store->sync());
  open();
  Tokens again = 0;
  for (int32_t number = 1; number <= 60; number++)
    again += there(lineage_of(), conversation(number, 463));
  EXPECT_EQ(again, total);
  EXPECT_LE(bytes_on_disk(), options.cap.n);
}

TEST_F(StatesRoomTest, WhatSavesMoreSecondsAByteStays) {
  open();
  ASSERT_TRUE(keep(lineage_of(), conversation(1), 64, 1000));
  for (int32_t i = 2; i < 80; i++) ASSERT_TRUE(keep(lineage_of(), conversation(i), 64, 10));
  EXPECT_EQ(there(lineage_of(), conversation(1)), 256u);
  EXPECT_EQ(there(lineage_of(), conversation(2)), 0u);
  EXPECT_EQ(there(lineage_of(), conversation(79)), 256u);
}

TEST_F(StatesRoomTest, WhatWasNotUsedForLongGoesFirst) {
  open();
  ASSERT_TRUE(keep(lineage_of(), conversation(1), 64, 1000));
  ASSERT_TRUE(keep(lineage_of(), conversation(2), 64, 20));
  clock.advance(20 * kWorthHalves);  // the first is worth a thousandth of a thousandth now
  EXPECT_EQ(store->find(lineage_of(), conversation(2)).tokens, 256u);
  int32_t i = 3;
  const auto first_there = [&] {  // without using it
    return store->figures().blocks == static_cast<size_t>(4 * (i - 1));
  };
  for (; first_there(); i++) {
    ASSERT_LT(i, 60);
    ASSERT_TRUE(keep(lineage_of(), conversation(i), 64, 10));
  }
  EXPECT_LT(store->find(lineage_of(), conversation(1)).tokens, 256u);
  EXPECT_EQ(store->find(lineage_of(), conversation(2)).tokens, 256u);
}

TEST_F(StatesRoomTest, ABlockGoesOnlyAfterWhatFollowsIt) {
  open();
  const Ids shared = conversation(1, 256);
  ASSERT_TRUE(keep(lineage_of(), shared, 64, 0.001));  // worth least
  Ids longer = shared;
  const Ids more = conversation(2, 64);
  longer.insert(longer.end(), more.begin(), more.end());
  ASSERT_TRUE(keep(lineage_of(), longer, 64, 1e6));
  for (int32_t i = 3; i < 60; i++) ASSERT_TRUE(keep(lineage_of(), conversation(i), 64, 10));
  EXPECT_EQ(there(lineage_of(), longer), 320u);
}

TEST_F(StatesRoomTest, TheChainThatIsBeingKeptDoesNotMakeRoomForItself) {
  open();
  Ids ids;
  for (int32_t i = 1; i < 40; i++) {  // a conversation that is longer than the cap, from worthless
    const Ids more = conversation(i);
    ids.insert(ids.end(), more.begin(), more.end());
    if (auto kept = keep(lineage_of(), ids, 64, 0); !kept) {
      EXPECT_EQ(kept.error().code, Code::NoRoom) << kept.error().message;
      EXPECT_LE(bytes_on_disk(), options.cap.n);
      EXPECT_GT(there(lineage_of(), ids), 3000u);
      return;
    }
  }
  FAIL() << "it all fit";
}

TEST_F(StatesRoomTest, WithoutItsCheckpointAConversationMakesRoom) {
  Lineage lineage = lineage_of();
  lineage.needs_checkpoint = true;
  open();
  for (int32_t i = 1; i < 60; i++) {
    clock.advance(std::chrono::hours(1));
    const auto last = keep(lineage, conversation(i), 64, 50);
    ASSERT_TRUE(last);
    ASSERT_TRUE(store->put_checkpoint(lineage, *last, state_of(conversation(i), 0, 16), 1));
    ASSERT_LE(bytes_on_disk(), options.cap.n);
    ASSERT_EQ(store->find(lineage, conversation(i)).tokens, 256u);
  }
  EXPECT_EQ(store->find(lineage, conversation(1)).tokens, 0u);
  // no blocks are kept that nobody can go on from
  EXPECT_EQ(store->figures().blocks, 4 * store->figures().checkpoints);
}

TEST_F(StatesRoomTest, ABlockOverTheCapIsRefusedWithBothSizes) {
  open();
  const Ids ids = conversation(1);
  ASSERT_TRUE(keep(lineage_of(), ids));
  const std::vector<std::byte> large(KiB(600).n);
  const auto refused = store->put(lineage_of(), kStateStart, {some_ids(4), large, 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::NoRoom);
  EXPECT_NE(refused.error().message.find("512 KiB on disk"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(there(lineage_of(), ids), 256u);
}

TEST_F(StatesRoomTest, ALoweredCapHoldsAtOnce) {
  options.cap = MiB(4);
  open();
  for (int32_t i = 1; i < 100; i++) ASSERT_TRUE(keep(lineage_of(), conversation(i), 64, i));
  EXPECT_GT(bytes_on_disk(), MiB(1).n);
  ASSERT_TRUE(store->set_cap(KiB(300)));
  EXPECT_LE(bytes_on_disk(), KiB(300).n);
  EXPECT_EQ(there(lineage_of(), conversation(99)), 256u);
  EXPECT_EQ(there(lineage_of(), conversation(1)), 0u);
  options.cap = KiB(100);  // and at the next start
  open();
  EXPECT_LE(bytes_on_disk(), KiB(100).n);
  EXPECT_EQ(there(lineage_of(), conversation(99)), 256u);
  ASSERT_TRUE(store->set_cap({1}).error().code == Code::NoRoom);  // the keys alone are more
  EXPECT_EQ(store->figures().blocks, 0u);
  EXPECT_EQ(store->put(lineage_of(), kStateStart, {some_ids(4), {}, 1}).error().code, Code::NoRoom);
}

TEST_F(StatesRoomTest, CompactingKeepsAllThatIsLive) {
  options = {.cap = MiB(64), .segment_max = KiB(64)};
  open();
  for (int32_t i = 1; i <= 40; i++) {
    ASSERT_TRUE(keep(lineage_of(i % 4 == 0 ? "stays" : "goes"), conversation(i)));
  }
  ASSERT_TRUE(store->sync());
  ASSERT_TRUE(store->forget_principal("goes"));
  const uint64_t before = bytes_on_disk();
  ASSERT_TRUE(store->compact());
  EXPECT_LT(bytes_on_disk(), before / 2);
  for (int restart = 0; restart < 2; restart++) {
    for (int32_t i = 4; i <= 40; i += 4)
      EXPECT_EQ(there(lineage_of("stays"), conversation(i)), 256u) << i;
    EXPECT_EQ(bytes_on_disk(), store->figures().disk.n);
    open();
  }
}

TEST_F(StatesRoomTest, SmallSegmentsOfManyStartsAreGathered) {
  options.cap = MiB(64);
  for (int32_t i = 1; i <= 12; i++) {
    open();
    ASSERT_TRUE(keep(lineage_of(), conversation(i)));
    ASSERT_TRUE(store->sync());
  }
  EXPECT_EQ(segments().size(), 12u);
  open();
  ASSERT_TRUE(store->compact());
  EXPECT_EQ(segments().size(), 1u);
  open();
  for (int32_t i = 1; i <= 12; i++) EXPECT_EQ(there(lineage_of(), conversation(i)), 256u);
}

TEST_F(StatesRoomTest, DamageThatIsComeAcrossWhileCompactingIsLeftBehind) {
  options = {.cap = MiB(64), .segment_max = KiB(256)};
  open();
  ASSERT_TRUE(keep(lineage_of("goes"), conversation(1, 1024)));
  ASSERT_TRUE(keep(lineage_of(), conversation(2)));
  ASSERT_TRUE(keep(lineage_of(), conversation(3)));
  ASSERT_TRUE(store->sync());
  const fs::path file = segments().at(0);
  std::string content = *read_file(file);
  content[content.size() - 200] ^= 1;  // in the last state of conversation 3
  overwrite(file, content);
  ASSERT_TRUE(store->forget_principal("goes"));
  ASSERT_TRUE(store->compact());
  EXPECT_EQ(store->figures().quarantined, 0u);  // the one that is written to is left alone
  open();
  ASSERT_TRUE(store->compact());
  EXPECT_EQ(store->figures().quarantined, 1u);
  EXPECT_EQ(store->find(lineage_of(), conversation(3)).tokens, 192u);
  open();
  EXPECT_EQ(there(lineage_of(), conversation(2)), 256u);
  EXPECT_EQ(there(lineage_of(), conversation(3)), 192u);
  EXPECT_EQ(store->figures().quarantined, 0u);
}

// A limit on file size stands in for a full disk: the write stops in the middle just the same.
TEST_F(StatesRoomTest, AFullDiskRefusesAndKeepsWhatWasThere) {
  options.cap = MiB(64);
  open();
  ASSERT_TRUE(keep(lineage_of(), conversation(1)));
  const uint64_t size = fs::file_size(segments().at(0));
  const Ids ids = conversation(2);
  const auto state = state_of(ids, 0, bytes_each);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto signal_before = std::signal(SIGXFSZ, SIG_IGN);
  for (uint64_t more = 0; more < state.size(); more += 1000) {
    rlimit tight = old;
    tight.rlim_cur = size + more;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
    const auto refused = store->put(lineage_of(), kStateStart, {ids, state, 1});
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    ASSERT_FALSE(refused) << more;
    EXPECT_EQ(refused.error().code, Code::NoRoom);
    ASSERT_EQ(fs::file_size(segments().at(0)), size);
    ASSERT_EQ(there(lineage_of(), conversation(1)), 256u);
  }
  std::signal(SIGXFSZ, signal_before);
  ASSERT_TRUE(keep(lineage_of(), ids));
  ASSERT_TRUE(store->sync());
  open();
  EXPECT_EQ(there(lineage_of(), conversation(1)), 256u);
  EXPECT_EQ(there(lineage_of(), ids), 256u);
  EXPECT_EQ(store->figures().quarantined, 0u);
}

TEST_F(StatesRoomTest, ARealFullDiskRefusesAndGoesOnWhenThereIsRoom) {
  options.cap = MiB(64);
  fs::create_directories(path());
  if (::mount("tmpfs", path().c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "no small file system can be mounted here: " << strerror(errno);
  open();
  int32_t kept = 0;
  for (int32_t i = 1; i < 40; i++) {
    auto done = keep(lineage_of(), conversation(i));
    if (!done) {
      EXPECT_EQ(done.error().code, Code::NoRoom) << done.error().message;
      break;
    }
    kept = i;
  }
  EXPECT_GT(kept, 5);
  EXPECT_LT(kept, 20);
  EXPECT_TRUE(store->sync());
  for (int32_t i = 1; i <= kept; i++) EXPECT_EQ(there(lineage_of(), conversation(i)), 256u);
  std::ofstream(path() / "a person's file") << std::string(KiB(300).n, 'x');  // takes the rest
  // a new lineage needs a new manifest, for which there is no room either
  EXPECT_EQ(keep(lineage_of("guest"), conversation(1)).error().code, Code::NoRoom);
  ASSERT_TRUE(store->forget_principal("owner"));
  ASSERT_TRUE(keep(lineage_of("guest"), conversation(1)));
  ASSERT_TRUE(store->sync());
  open();
  EXPECT_EQ(there(lineage_of("guest"), conversation(1)), 256u);
  EXPECT_EQ(there(lineage_of(), conversation(1)), 0u);
  store.reset();
  EXPECT_EQ(::umount(path().c_str()), 0);
}

TEST_F(StatesRoomTest, AFolderThatIsRemovedWhileItRunsIsSaidAndBegunAfresh) {
  open();
  const Ids ids = conversation(1);
  ASSERT_TRUE(keep(lineage_of(), ids));
  ASSERT_TRUE(store->sync());
  fs::remove_all(path());
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  for (const bool with_sync : {false, true}) {
    const auto refused =
        with_sync ? Result<StateId>(store->sync().error()) : keep(lineage_of(), ids);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::NotFound);
    EXPECT_NE(refused.error().message.find("was removed or replaced while Lares ran"),
              std::string::npos);
    EXPECT_EQ(store->figures().disk, Bytes{});
    ASSERT_TRUE(keep(lineage_of(), ids));
    ASSERT_TRUE(store->sync());
    EXPECT_EQ(there(lineage_of(), ids), 256u);
    if (!with_sync) fs::remove_all(path());
  }
  open();
  EXPECT_EQ(there(lineage_of(), ids), 256u);
}

TEST_F(StatesRoomTest, AFolderThatCannotBeMadeIsSaidUntilItCan) {
  open();
  ASSERT_TRUE(keep(lineage_of(), conversation(1)));
  fs::remove_all(path());
  overwrite(path(), "a file in its place");
  const auto noticed = keep(lineage_of(), conversation(2));
  ASSERT_FALSE(noticed);
  EXPECT_EQ(noticed.error().code, Code::NotFound);
  for (int i = 0; i < 3; i++) {
    const auto refused = keep(lineage_of(), conversation(1));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("a file of this name is in the way"), std::string::npos)
        << refused.error().message;
  }
  fs::remove(path());
  ASSERT_TRUE(keep(lineage_of(), conversation(1)));
  EXPECT_EQ(there(lineage_of(), conversation(1)), 256u);
}

TEST_F(StatesRoomTest, AReadOnlyFolderIsReadAndSaysSo) {
  options.segment_max = KiB(8);
  open();
  ASSERT_TRUE(keep(lineage_of(), conversation(1)));
  ASSERT_TRUE(store->sync());
  // root may write everywhere, so it acts as somebody else
  const bool root = ::geteuid() == 0;
  constexpr unsigned kNobody = 65534;
  if (root) {
    for (const auto& entry : fs::directory_iterator(path()))
      ASSERT_EQ(::chown(entry.path().c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(::chown(path().c_str(), kNobody, kNobody), 0);
  }
  for (const auto& entry : fs::directory_iterator(path())) ::chmod(entry.path().c_str(), 0400);
  ::chmod(path().c_str(), 0500);
  if (root) ::setfsuid(kNobody);
  const auto refused = keep(lineage_of(), conversation(2));
  const auto not_forgotten = store->forget_principal("somebody");
  const Tokens left = there(lineage_of(), conversation(1));
  Result<> forgot = store->forget_principal("owner");
  if (root) {
    ::setfsuid(0);
    ASSERT_EQ(::chown(path().c_str(), 0, 0), 0);
  }
  for (const auto& entry : fs::directory_iterator(path())) ::chmod(entry.path().c_str(), 0600);
  ::chmod(path().c_str(), 0700);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Denied) << refused.error().message;
  EXPECT_NE(refused.error().message.find(path().string()), std::string::npos);
  EXPECT_TRUE(not_forgotten);
  EXPECT_EQ(left, 256u);
  EXPECT_FALSE(forgot);  // it is not to be found, and it is said that it is on disk
  EXPECT_EQ(there(lineage_of(), conversation(1)), 0u);
  ASSERT_TRUE(store->forget_principal("owner"));
  open();
  EXPECT_EQ(there(lineage_of(), conversation(1)), 0u);
}

}  // namespace
}  // namespace lares::store
