#include "store/states.h"

#include <sys/stat.h>

#include "store/states_testing.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

TEST_F(StatesTest, FindsAConversationAgainAfterARestart) {
  open();
  const Ids ids = some_ids(200);
  ASSERT_TRUE(keep(lineage_of(), ids));
  EXPECT_EQ(there(lineage_of(), ids), 200u);
  ASSERT_TRUE(store->sync());
  open();
  EXPECT_EQ(there(lineage_of(), ids), 200u);
  EXPECT_FALSE(fresh);
  EXPECT_EQ(torn, Bytes{});
  EXPECT_EQ(store->figures().blocks, 4u);
  EXPECT_EQ(store->figures().lineages, 1u);
  EXPECT_EQ(store->figures().quarantined, 0u);
  EXPECT_EQ(store->figures().disk.n, bytes_on_disk());
}

TEST_F(StatesTest, AnEmptyStoreHasNothing) {
  open();
  EXPECT_TRUE(store->find(lineage_of(), some_ids(5)).blocks.empty());
  EXPECT_TRUE(store->sync());
  EXPECT_TRUE(store->compact());
  EXPECT_TRUE(store->forget_principal("owner"));
  EXPECT_EQ(store->figures().disk, Bytes{});
}

TEST_F(StatesTest, BlocksEndWhereTheTurnEnds) {
  EXPECT_EQ(block_ends(0, 150, 64), (std::vector<Tokens>{64, 128, 150}));
  EXPECT_EQ(block_ends(150, 214, 64), (std::vector<Tokens>{214}));
  EXPECT_TRUE(block_ends(7, 7, 64).empty());
}

TEST_F(StatesTest, ATurnWritesItsOwnTokensAndNoMore) {
  bytes_each = 4096;
  open();
  Ids ids = some_ids(100);
  ASSERT_TRUE(keep(lineage_of(), ids));
  for (int turn = 0; turn < 10; turn++) {
    const Bytes before = store->figures().written;
    const Ids more = some_ids(30 + static_cast<size_t>(turn), 5000 * (turn + 1));
    ids.insert(ids.end(), more.begin(), more.end());
    ASSERT_TRUE(keep(lineage_of(), ids));
    const uint64_t written = store->figures().written.n - before.n;
    const uint64_t own = more.size() * bytes_each;
    EXPECT_GE(written, own);
    EXPECT_LE(written, own + own / 100 + 512) << turn;
    EXPECT_EQ(store->find(lineage_of(), ids).tokens, ids.size());
  }
  EXPECT_EQ(there(lineage_of(), ids), ids.size());
}

TEST_F(StatesTest, WhatIsThereIsNotWrittenAgain) {
  open();
  const Ids ids = some_ids(64);
  const auto state = state_of(ids, 0, bytes_each);
  const auto first = store->put(lineage_of(), kStateStart, {ids, state, 1});
  const Bytes written = store->figures().written;
  const auto again = store->put(lineage_of(), kStateStart, {ids, state, 1});
  ASSERT_TRUE(first && again);
  EXPECT_EQ(*first, *again);
  EXPECT_EQ(store->figures().written, written);
}

TEST_F(StatesTest, ConversationsThatBeginAlikeShareTheirBlocks) {
  open();
  Ids one = some_ids(128), other = one;
  for (int32_t i = 0; i < 64; i++) one.push_back(i), other.push_back(90'000 + i);
  ASSERT_TRUE(keep(lineage_of(), one));
  ASSERT_TRUE(keep(lineage_of(), other));
  EXPECT_EQ(store->figures().blocks, 4u);
  EXPECT_EQ(there(lineage_of(), one), 192u);
  EXPECT_EQ(there(lineage_of(), other), 192u);
}

TEST_F(StatesTest, TheLongestBeginningIsFoundWhereverItsBlocksEnd) {
  open();
  const Ids ids = some_ids(300);
  // the same conversation, once in long blocks and once with a short one at its start
  ASSERT_TRUE(keep(lineage_of(), Ids(ids.begin(), ids.begin() + 10)));
  const auto long_block = state_of(ids, 0, 200, bytes_each);
  ASSERT_TRUE(store->put(lineage_of(), kStateStart, {std::span(ids).first(200), long_block, 1}));
  EXPECT_EQ(there(lineage_of(), ids), 200u);
  const auto found = store->find(lineage_of(), std::span(ids).first(10));
  ASSERT_EQ(found.blocks.size(), 1u);
  const auto rest = state_of(ids, 10, 300, bytes_each);
  ASSERT_TRUE(store->put(lineage_of(), found.blocks[0].id, {std::span(ids).subspan(10), rest, 1}));
  EXPECT_EQ(there(lineage_of(), ids), 300u);
  EXPECT_EQ(there(lineage_of(), Ids(ids.begin(), ids.begin() + 299)), 200u);
  EXPECT_EQ(there(lineage_of(), Ids(ids.begin(), ids.begin() + 9)), 0u);
}

TEST_F(StatesTest, ALineageIsEverythingThatAStateIsValidFor) {
  open();
  Lineage lineage = lineage_of();
  lineage.adapters = {{"a", 1.0f}, {"b", 0.5f}};
  const Ids ids = some_ids(64);
  ASSERT_TRUE(keep(lineage, ids));
  ASSERT_TRUE(store->sync());
  std::vector<Lineage> others(9, lineage);
  others[0].principal = "guest";
  others[1].model_digest += "0";
  others[2].engine = "engine 2";
  others[3].cache_type = "q8_0";
  others[4].adapters[1].scale = 0.25f;
  others[5].adapters.pop_back();
  others[6].adapters[0].id = "A";
  others[7].needs_checkpoint = true;
  others[8].principal = "ownersha256:", others[8].model_digest = "aaaa";  // the same letters
  for (int restart = 0; restart < 2; restart++) {
    for (size_t i = 0; i < others.size(); i++)
      EXPECT_EQ(store->find(others[i], ids).tokens, 0u) << i;
    EXPECT_EQ(there(lineage, ids), 64u);
    open();
  }
  const StateId block = store->find(lineage, ids).blocks.at(0).id;
  for (const Lineage& other : others) {
    const auto refused = store->put(other, block, {ids, {}, 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::NotFound);
    EXPECT_FALSE(store->put_checkpoint(other, block, {}, 1));
  }
}

Digest same_name(const Digest&, std::span<const int32_t>) { return {}; }

TEST_F(StatesTest, TokensAreComparedAndNotOnlyNames) {
  options.name_of = same_name;
  open();
  const Ids one = some_ids(128, 1), other = some_ids(128, 5000);
  ASSERT_TRUE(keep(lineage_of(), one));
  ASSERT_TRUE(keep(lineage_of(), other));
  EXPECT_EQ(there(lineage_of(), one), 128u);
  EXPECT_EQ(there(lineage_of(), other), 128u);
  Ids mixed(one.begin(), one.begin() + 64);
  mixed.insert(mixed.end(), other.begin() + 64, other.end());
  EXPECT_EQ(there(lineage_of(), mixed), 64u);
  ASSERT_TRUE(store->sync());
  open();  // now only names say what goes on from what, and nobody guesses
  EXPECT_EQ(there(lineage_of(), one), 64u);
  EXPECT_EQ(there(lineage_of(), other), 64u);
  EXPECT_EQ(there(lineage_of(), mixed), 64u);
}

TEST_F(StatesTest, AModelThatNeedsCheckpointsGoesOnFromTheLastOne) {
  Lineage lineage = lineage_of();
  lineage.needs_checkpoint = true;
  open();
  const Ids ids = some_ids(192);
  const Ids until_128(ids.begin(), ids.begin() + 128);
  const auto at_128 = keep(lineage, until_128);
  ASSERT_TRUE(at_128);
  EXPECT_EQ(store->find(lineage, ids).tokens, 0u);  // nothing to go on from
  const auto window = state_of(some_ids(9), 77, 33);
  ASSERT_TRUE(store->put_checkpoint(lineage, *at_128, window, 5));
  const Bytes written = store->figures().written;
  ASSERT_TRUE(store->put_checkpoint(lineage, *at_128, window, 5));
  EXPECT_EQ(store->figures().written, written);
  ASSERT_TRUE(keep(lineage, ids));  // a later turn, whose checkpoint is not there yet
  ASSERT_TRUE(store->sync());
  for (int restart = 0; restart < 2; restart++) {
    const auto found = store->find(lineage, ids);
    EXPECT_EQ(found.tokens, 128u);
    EXPECT_EQ(found.blocks.size(), 2u);
    ASSERT_TRUE(found.checkpoint);
    EXPECT_EQ(found.checkpoint->until, 128u);
    EXPECT_EQ(found.size, Bytes{128 * bytes_each + window.size()});
    std::vector<std::byte> into(window.size());
    ASSERT_TRUE(store->read(std::vector{found.checkpoint->id}, into));
    EXPECT_TRUE(into == window);
    open();
    EXPECT_EQ(store->figures().checkpoints, 1u);
  }
}

TEST_F(StatesTest, ABlockMayHaveNoStateOfItsOwn) {
  Lineage lineage = lineage_of();
  lineage.needs_checkpoint = true;
  open();
  const Ids ids = some_ids(64);
  const auto block = store->put(lineage, kStateStart, {ids, {}, 1});
  ASSERT_TRUE(block);
  const auto all = state_of(ids, 0, 50);
  ASSERT_TRUE(store->put_checkpoint(lineage, *block, all, 64));
  ASSERT_TRUE(store->sync());
  open();
  const auto found = store->find(lineage, ids);
  ASSERT_TRUE(found.checkpoint);
  std::vector<std::byte> into(all.size());
  EXPECT_TRUE(store->read(std::vector{found.blocks[0].id, found.checkpoint->id}, into));
  EXPECT_TRUE(into == all);
}

TEST_F(StatesTest, LargeStatesAreReadByTwoThreads) {
  bytes_each = 20'000;
  open();
  const Ids ids = some_ids(700);
  ASSERT_TRUE(keep(lineage_of(), ids, 100));
  EXPECT_EQ(there(lineage_of(), ids), 700u);
}

TEST_F(StatesTest, APlaceOfAnotherSizeIsRefused) {
  open();
  const Ids ids = some_ids(64);
  const auto block = keep(lineage_of(), ids);
  std::vector<std::byte> into(64 * bytes_each + 1);
  const auto refused = store->read(std::vector{*block}, into);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Invalid);
  EXPECT_NE(refused.error().message.find("they have 1024 bytes, and there is a place of 1025"),
            std::string::npos)
      << refused.error().message;
  EXPECT_EQ(store->read(std::vector<StateId>{999}, into).error().code, Code::NotFound);
  EXPECT_EQ(there(lineage_of(), ids), 64u);
}

TEST_F(StatesTest, WhatCannotBeABlockIsRefusedWithWords) {
  open();
  const Ids many = some_ids(kBlockTokensMax + 1);
  EXPECT_EQ(store->put(lineage_of(), kStateStart, {many, {}, 1}).error().code, Code::Invalid);
  EXPECT_EQ(store->put(lineage_of(), kStateStart, {{}, {}, 1}).error().code, Code::Invalid);
  const Ids ids = some_ids(3);
  EXPECT_EQ(store->put(lineage_of(), kStateStart, {ids, {}, -1}).error().code, Code::Invalid);
  EXPECT_EQ(store->put(lineage_of(), kStateStart, {ids, {}, 0.0 / 0.0}).error().code,
            Code::Invalid);
  EXPECT_EQ(store->put(lineage_of(std::string(5000, 'p')), kStateStart, {ids, {}, 1}).error().code,
            Code::Invalid);
  EXPECT_EQ(store->put(lineage_of(), 12345, {ids, {}, 1}).error().code, Code::NotFound);
  EXPECT_EQ(store->figures().blocks, 0u);
  EXPECT_TRUE(store->put(lineage_of(), kStateStart, {ids, {}, 0}));
}

TEST_F(StatesTest, FilesAreForTheirOwnerAlone) {
  open();
  ASSERT_TRUE(keep(lineage_of(), some_ids(64)));
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const auto& entry : fs::directory_iterator(path())) {
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
  }
}

TEST_F(StatesTest, NothingThatPeopleWroteStandsInTheFiles) {
  open();
  const Lineage lineage = lineage_of("a principal's name", "a model's digest");
  Ids ids(64, 0x41424344);  // "DCBA" as bytes
  std::vector<std::byte> state(5000, std::byte{'s'});
  ASSERT_TRUE(store->put(lineage, kStateStart, {ids, state, 1}));
  for (const auto& entry : fs::directory_iterator(path())) {
    const std::string content = *read_file(entry.path());
    for (const std::string_view word : {"DCBADCBA", "ssssssss", "principal's", "digest"})
      EXPECT_EQ(content.find(word), std::string::npos) << entry.path() << word;
  }
}

TEST_F(StatesTest, ForgettingAPrincipalLeavesNothingThatOpens) {
  options.segment_max = KiB(4);
  open();
  const Ids ids = some_ids(640);
  ASSERT_TRUE(keep(lineage_of("owner"), ids));
  ASSERT_TRUE(keep(lineage_of("guest"), ids));
  ASSERT_TRUE(keep(lineage_of("guest", "sha256:bbbb"), ids));
  ASSERT_TRUE(store->sync());
  const fs::path copy = folder.path() / "copy";
  fs::copy(path(), copy, fs::copy_options::recursive);
  const Bytes before = store->figures().disk;
  ASSERT_TRUE(store->forget_principal("guest"));
  EXPECT_LT(store->figures().disk, before);
  EXPECT_EQ(store->figures().lineages, 1u);
  // even with every old segment put back
  for (const auto& entry : fs::directory_iterator(copy)) {
    if (entry.path().extension() == ".seg")
      fs::copy(entry.path(), path() / entry.path().filename(),
               fs::copy_options::overwrite_existing);
  }
  open();
  EXPECT_EQ(there(lineage_of("owner"), ids), 640u);
  EXPECT_EQ(store->find(lineage_of("guest"), ids).tokens, 0u);
  EXPECT_EQ(store->find(lineage_of("guest", "sha256:bbbb"), ids).tokens, 0u);
  EXPECT_EQ(store->figures().quarantined, 0u);
  ASSERT_TRUE(keep(lineage_of("guest"), ids));  // who comes again begins again
  EXPECT_EQ(there(lineage_of("guest"), ids), 640u);
}

TEST_F(StatesTest, ForgettingAModelIsForAllPrincipals) {
  open();
  const Ids ids = some_ids(64);
  ASSERT_TRUE(keep(lineage_of("owner", "gone"), ids));
  ASSERT_TRUE(keep(lineage_of("guest", "gone"), ids));
  ASSERT_TRUE(keep(lineage_of("guest", "stays"), ids));
  ASSERT_TRUE(store->forget_model("gone"));
  for (int restart = 0; restart < 2; restart++) {
    EXPECT_EQ(store->find(lineage_of("owner", "gone"), ids).tokens, 0u);
    EXPECT_EQ(store->find(lineage_of("guest", "gone"), ids).tokens, 0u);
    EXPECT_EQ(there(lineage_of("guest", "stays"), ids), 64u);
    open();
  }
}

TEST_F(StatesTest, TheKeysOfTheForgottenAreOverwrittenInTheOldFile) {
  open();
  ASSERT_TRUE(keep(lineage_of(), some_ids(64)));
  const fs::path other_name = folder.path() / "old manifest";
  fs::create_hard_link(path() / "manifest", other_name);
  ASSERT_TRUE(store->forget_principal("owner"));
  const std::string content = *read_file(other_name);
  EXPECT_EQ(content, std::string(content.size(), '\0'));
}

}  // namespace
}  // namespace lares::store
