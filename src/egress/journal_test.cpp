#include "egress/journal.h"

#include <gtest/gtest.h>

#include "wire/pull.h"

namespace lares::egress {
namespace {

constexpr uint64_t kSize = uint64_t{2} * kChunkSize + 5;

std::string some(const std::vector<std::pair<size_t, uint32_t>>& states) {
  std::string text = head_record(kSize, "id");
  for (const auto& [chunk, have] : states)
    text += chunk_record(chunk, {have, half(sha256(std::to_string(have)))});
  return text;
}

TEST(Journal, KnowsItsChunks) {
  EXPECT_EQ(chunks_of(0), 0U);
  EXPECT_EQ(chunks_of(1), 1U);
  EXPECT_EQ(chunks_of(kChunkSize), 1U);
  EXPECT_EQ(chunks_of(kSize), 3U);
  EXPECT_EQ(size_of_chunk(kSize, 1), kChunkSize);
  EXPECT_EQ(size_of_chunk(kSize, 2), 5U);
}

TEST(Journal, TheLaterRecordOfAChunkCounts) {
  const auto journal = read_journal(some({{0, 7}, {2, 5}, {0, 9}}), kSize, "id");
  ASSERT_TRUE(journal);
  EXPECT_EQ(journal->chunks[0], (ChunkState{9, half(sha256("9"))}));
  EXPECT_EQ(journal->chunks[1], ChunkState{});
  EXPECT_EQ(journal->chunks[2].have, 5U);
  EXPECT_EQ(journal->good_bytes, 4 * kRecordSize);
}

TEST(Journal, EndsWhereItWasCutOff) {
  const std::string text = some({{0, 7}, {1, 8}});
  for (size_t cut = kRecordSize; cut <= text.size(); cut++) {
    const auto journal = read_journal(text.substr(0, cut), kSize, "id");
    ASSERT_TRUE(journal);
    EXPECT_EQ(journal->good_bytes, cut / kRecordSize * kRecordSize);
    EXPECT_EQ(journal->chunks[1].have, cut == text.size() ? 8U : 0U);
  }
}

TEST(Journal, EndsWhereABitFlipped) {
  const std::string text = some({{0, 7}, {1, 8}});
  for (size_t at = kRecordSize; at < text.size(); at++) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    const auto journal = read_journal(damaged, kSize, "id");
    ASSERT_TRUE(journal);
    EXPECT_EQ(journal->good_bytes, at / kRecordSize * kRecordSize) << at;
  }
}

TEST(Journal, OfAnotherFileIsNone) {
  const std::string text = some({{0, 7}});
  EXPECT_FALSE(read_journal(text, kSize, "other"));
  EXPECT_FALSE(read_journal(text, kSize + 1, "id"));
  EXPECT_FALSE(read_journal("", kSize, "id"));
  EXPECT_FALSE(read_journal(text.substr(1), kSize, "id"));
}

TEST(Journal, BelievesNoRecordThatIsTooLarge) {
  EXPECT_EQ(read_journal(some({{2, 6}}), kSize, "id")->chunks[2].have, 0U);
  EXPECT_EQ(read_journal(some({{3, 1}}), kSize, "id")->good_bytes, kRecordSize);
}

TEST(Sha256, IsTheOneOfTheStandard) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  hash.add("a");
  EXPECT_EQ(hash.so_far(), sha256("a"));
  hash.add("bc");
  EXPECT_EQ(hash.so_far(), sha256("abc"));
  EXPECT_TRUE(wire::is_sha256(to_hex(sha256(""))));
  EXPECT_FALSE(wire::is_sha256("abc"));
  EXPECT_FALSE(wire::is_sha256(std::string(64, 'G')));
}

}  // namespace
}  // namespace lares::egress
