// What bad bytes do to the state store: nothing but that a state is not there.

#include "store/log.h"
#include "store/states.h"
#include "store/states_testing.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

struct StatesDamageTest : StatesTest {
  const Ids ids = some_ids(12);

  // Three blocks of four tokens, in one segment, synced; the store is closed.
  void keep_three() {
    bytes_each = 3;
    open();
    ASSERT_TRUE(keep(lineage_of(), ids, 4));
    ASSERT_TRUE(store->sync());
    store.reset();
    ASSERT_EQ(segments().size(), 1u);
    segment = segments()[0];
    whole = *read_file(segment);
    manifest = *read_file(path() / "manifest");
  }
  // As it was kept, but for the segment's bytes.
  void put_back(const std::string& content) {
    overwrite(path() / "manifest", manifest);
    overwrite(segment, content);
  }
  // Where each record begins, and the end.
  std::vector<size_t> records() const {
    std::vector<size_t> found;
    for (size_t at = kStateAlign; at < whole.size();) {
      found.push_back(at);
      at += record_header(std::string_view(whole).substr(at))->size();
    }
    found.push_back(whole.size());
    return found;
  }

  fs::path segment;
  std::string whole, manifest;
};

TEST_F(StatesDamageTest, EveryFlippedBitEndsInABlockThatIsNotThere) {
  keep_three();
  const auto at = records();
  ASSERT_EQ(at.size(), 4u);
  size_t noticed = 0;
  for (size_t i = 0; i < at[2]; i++) {  // the file's header and the first two records
    for (int bit = 0; bit < 8; bit++) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      put_back(damaged);
      open();
      const Tokens left = there(lineage_of(), ids);
      const Tokens expected = i < at[1] ? 0 : 4;
      // padding between records is nobody's
      ASSERT_TRUE(left == expected || left == 12) << i << "." << bit << ": " << left;
      if (left == 12) continue;
      noticed++;
      EXPECT_EQ(store->figures().quarantined, 1u) << i << "." << bit;
    }
  }
  const size_t padding = 2 * ((kStateAlign - (60 + 16 + 16 + 12 + 16) % kStateAlign) % kStateAlign);
  EXPECT_EQ(noticed, 8 * (at[2] - padding));
}

TEST_F(StatesDamageTest, WhatWasQuarantinedIsNotUsedAgainAndIsWrittenAnew) {
  keep_three();
  std::string damaged = whole;
  const size_t second = records()[1];
  const size_t in_second_state = second + record_header(whole.substr(second))->state_at();
  damaged[in_second_state] = static_cast<char>(~damaged[in_second_state]);
  put_back(damaged);
  open();
  EXPECT_EQ(store->find(lineage_of(), ids).tokens, 12u);  // only reading tells
  EXPECT_EQ(there(lineage_of(), ids), 4u);
  open();
  EXPECT_EQ(store->find(lineage_of(), ids).tokens, 4u);
  EXPECT_EQ(store->figures().quarantined, 0u);
  ASSERT_TRUE(keep(lineage_of(), ids, 4));
  EXPECT_EQ(there(lineage_of(), ids), 12u);
  ASSERT_TRUE(store->compact());  // its space comes back with its segment
  EXPECT_EQ(there(lineage_of(), ids), 12u);
  EXPECT_EQ(segments().size(), 1u);
  EXPECT_EQ(fs::file_size(segments()[0]), whole.size());
}

TEST_F(StatesDamageTest, ATruncationAtEveryByteLeavesTheRecordsBeforeIt) {
  keep_three();
  const auto at = records();
  for (size_t size = 0; size < whole.size(); size++) {
    put_back(whole.substr(0, size));
    open();
    const auto records_left =
        static_cast<Tokens>(std::ranges::count_if(at, [&](size_t end) { return end <= size; }));
    const Tokens expected = records_left == 0 ? 0 : 4 * (records_left - 1);
    ASSERT_EQ(there(lineage_of(), ids), expected) << size;
    if (size >= kStateAlign) {
      EXPECT_EQ(torn.n, size - at[records_left - 1]) << size;
      EXPECT_EQ(fs::file_size(segment), at[records_left - 1]) << size;
    }
    ASSERT_TRUE(keep(lineage_of(), ids, 4));
    ASSERT_EQ(there(lineage_of(), ids), 12u) << size;
    store.reset();
    for (const auto& file : segments()) fs::remove(file);
  }
}

TEST_F(StatesDamageTest, ATruncationWhileItRunsIsNoticedAtReading) {
  keep_three();
  const auto at = records();
  for (size_t size = at[1]; size < whole.size(); size++) {
    put_back(whole);
    open();
    fs::resize_file(segment, size);
    constexpr size_t kPadding = 8;
    const Tokens expected = size < at[2] - kPadding ? 4 : size < at[3] - kPadding ? 8 : 12;
    ASSERT_EQ(there(lineage_of(), ids), expected) << size;
  }
}

TEST_F(StatesDamageTest, PagesOfZerosAreATornEnd) {
  keep_three();
  put_back(whole + std::string(8192, '\0'));
  open();
  EXPECT_EQ(torn, Bytes{8192});
  EXPECT_EQ(store->figures().quarantined, 0u);
  EXPECT_EQ(there(lineage_of(), ids), 12u);
}

TEST_F(StatesDamageTest, RecordsThatWereMovedOrSwappedDoNotOpen) {
  keep_three();
  const auto at = records();
  const auto record = [&](size_t i) { return whole.substr(at[i], at[i + 1] - at[i]); };
  const std::string head = whole.substr(0, at[0]);
  ASSERT_EQ(record(0).size(), record(1).size());
  put_back(head + record(1) + record(0) + record(2));  // swapped
  open();
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  EXPECT_EQ(store->figures().quarantined, 2u);
  put_back(head + record(0) + record(0) + record(2));  // one for another
  open();
  EXPECT_EQ(there(lineage_of(), ids), 4u);
  put_back(whole + record(2) + record(0));  // said again at the end
  open();
  EXPECT_EQ(there(lineage_of(), ids), 12u);
  EXPECT_EQ(store->figures().quarantined, 2u);
  put_back(head + record(1) + record(2));  // one was cut out
  open();
  EXPECT_EQ(there(lineage_of(), ids), 0u);
}

TEST_F(StatesDamageTest, AStateUnderTheHeadOfAnotherDoesNotOpen) {
  keep_three();
  const auto at = records();
  const size_t state = kStateAlign + record_header(whole.substr(at[0]))->head_bytes;
  std::string mixed = whole;
  mixed.replace(at[0] + state, 12 + 16, whole, at[1] + state, 12 + 16);
  put_back(mixed);
  open();
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  EXPECT_EQ(store->figures().quarantined, 1u);
}

TEST_F(StatesDamageTest, ARecordOfAnotherSegmentDoesNotOpen) {
  keep_three();
  open();
  const Ids others = some_ids(4, 7000);
  ASSERT_TRUE(keep(lineage_of(), others, 4));
  ASSERT_TRUE(store->sync());
  const auto files = segments();
  ASSERT_EQ(files.size(), 2u);
  std::string second = *read_file(files[1]);
  second.replace(kStateAlign, second.npos, whole, kStateAlign, second.size() - kStateAlign);
  overwrite(files[1], second);
  overwrite(files[0], "");
  open();
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  EXPECT_EQ(store->find(lineage_of(), others).tokens, 0u);
  // and a whole segment under another's name
  overwrite(files[1], whole);
  open();
  EXPECT_EQ(there(lineage_of(), ids), 0u);
}

TEST_F(StatesDamageTest, AnOldCopyOfASegmentThatIsPutBackDoesNotOpen) {
  keep_three();
  open();
  ASSERT_TRUE(store->forget_principal("owner"));  // and the same number is given again
  store.reset();
  open();
  ASSERT_TRUE(keep(lineage_of(), some_ids(4, 7000), 4));
  ASSERT_TRUE(store->sync());
  ASSERT_EQ(segments(), std::vector{segment});
  overwrite(segment, whole);
  EXPECT_EQ(there(lineage_of(), some_ids(4, 7000)), 0u);  // while it runs
  open();
  EXPECT_EQ(store->figures().blocks, 0u);
  EXPECT_EQ(there(lineage_of(), ids), 0u);
}

TEST_F(StatesDamageTest, ASegmentThatTheManifestDoesNotHaveIsRemoved) {
  keep_three();
  overwrite(path() / "00000777.seg", whole);
  overwrite(path() / "manifest.new-12345678", "half");
  overwrite(path() / "a person's file", "stays");
  open();
  EXPECT_EQ(there(lineage_of(), ids), 12u);
  EXPECT_FALSE(fs::exists(path() / "00000777.seg"));
  EXPECT_FALSE(fs::exists(path() / "manifest.new-12345678"));
  EXPECT_TRUE(fs::exists(path() / "a person's file"));
}

TEST_F(StatesDamageTest, AnotherKeyOpensNothing) {
  keep_three();
  key[0] = 'K';
  open();
  EXPECT_TRUE(fresh);
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  ASSERT_TRUE(keep(lineage_of(), ids, 4));
  ASSERT_TRUE(store->sync());
  open();
  EXPECT_FALSE(fresh);
  EXPECT_EQ(there(lineage_of(), ids), 12u);
}

TEST_F(StatesDamageTest, EveryFlippedBitOfTheManifestBeginsAfresh) {
  keep_three();
  for (size_t i = 0; i < manifest.size(); i++) {
    put_back(whole);
    std::string damaged = manifest;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    overwrite(path() / "manifest", damaged);
    open();
    EXPECT_TRUE(fresh) << i;
    ASSERT_EQ(there(lineage_of(), ids), 0u) << i;
  }
  for (size_t size = 0; size < manifest.size(); size++) {
    put_back(whole);
    overwrite(path() / "manifest", manifest.substr(0, size));
    open();
    ASSERT_EQ(there(lineage_of(), ids), 0u) << size;
  }
}

TEST_F(StatesDamageTest, ANewerFormatIsRefusedAndNothingIsTouched) {
  keep_three();
  std::string newer = manifest.substr(0, 8) + std::string("\2\0\0\0", 4);
  const uint32_t crc = crc32c(newer);
  for (size_t i = 0; i < 4; i++) newer += static_cast<char>((crc >> (8 * i)) & 0xFF);
  newer += "whatever it has";
  overwrite(path() / "manifest", newer);
  const auto opened = States::open(path(), key, clock, options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Unsupported);
  EXPECT_EQ(*read_file(segment), whole);
  EXPECT_EQ(*read_file(path() / "manifest"), newer);
}

TEST_F(StatesDamageTest, ASegmentThatIsAFolderOrALinkIsNoneOfOurs) {
  keep_three();
  fs::rename(segment, path() / "elsewhere");
  fs::create_symlink(path() / "elsewhere", segment);
  open();
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  EXPECT_EQ(*read_file(path() / "elsewhere"), whole);
}

TEST_F(StatesDamageTest, ASegmentThatIsRemovedWhileItRunsIsNotThere) {
  keep_three();
  open();
  fs::remove(segment);
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  ASSERT_TRUE(keep(lineage_of(), ids, 4));
  EXPECT_EQ(there(lineage_of(), ids), 12u);
  fs::remove(segments().at(0));  // the one that is being written
  const auto refused = store->sync();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::NotFound);
  EXPECT_EQ(there(lineage_of(), ids), 0u);
  ASSERT_TRUE(keep(lineage_of(), ids, 4));
  EXPECT_TRUE(store->sync());
  open();
  EXPECT_EQ(there(lineage_of(), ids), 12u);
}

// Each writing of the same things is another file: salts are drawn, counters go on.
TEST_F(StatesDamageTest, TheSameStateIsNeverSealedTheSameWayTwice) {
  keep_three();
  fs::remove_all(path());
  const std::string first = whole;
  keep_three();
  ASSERT_EQ(first.size(), whole.size());
  const size_t sealed_at = records()[0] + kStateAlign;
  size_t equal = 0;
  for (size_t i = sealed_at; i < sealed_at + 104; i++) equal += first[i] == whole[i];
  EXPECT_LT(equal, 12u);
}

}  // namespace
}  // namespace lares::store
