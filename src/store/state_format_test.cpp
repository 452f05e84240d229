#include "store/state_format.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lares::store {
namespace {

RecordHead a_head() {
  RecordHead head;
  head.before = 7;
  head.last_use_s = 1'700'000'000;
  head.saves_ms = 12.5;
  head.previous.fill(9);
  head.ids = {1, -1, 128'000};
  return head;
}

TEST(StateFormat, AHeadIsReadAsItWasWritten) {
  const auto read = record_head(encoded(a_head()));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->before, 7u);
  EXPECT_EQ(read->last_use_s, 1'700'000'000u);
  EXPECT_EQ(read->saves_ms, 12.5);
  EXPECT_EQ(read->previous, a_head().previous);
  EXPECT_EQ(read->ids, a_head().ids);
}

TEST(StateFormat, AHeadOverItsLimitsIsNone) {
  const auto refused = [](auto change) {
    RecordHead head = a_head();
    change(head);
    return !record_head(encoded(head));
  };
  EXPECT_FALSE(refused([](RecordHead&) {}));
  EXPECT_TRUE(refused([](RecordHead& head) { head.ids.resize(kBlockTokensMax + 1); }));
  EXPECT_TRUE(refused([](RecordHead& head) { head.ids.clear(); }));
  EXPECT_TRUE(refused([](RecordHead& head) { head.kind = RecordHead::Kind::Checkpoint; }));
  EXPECT_TRUE(refused([](RecordHead& head) { head.saves_ms = -1; }));
  EXPECT_TRUE(refused([](RecordHead& head) { head.saves_ms = std::nan(""); }));
  EXPECT_TRUE(refused([](RecordHead& head) { head.saves_ms = INFINITY; }));
  EXPECT_TRUE(refused([](RecordHead& head) { head.before = UINT32_MAX - 1; }));
  const std::string bytes = encoded(a_head());
  for (size_t size = 0; size < bytes.size(); size++)
    EXPECT_FALSE(record_head(std::string_view(bytes).substr(0, size))) << size;
  EXPECT_FALSE(record_head(bytes + '\0'));
}

TEST(StateFormat, AHeaderIsReadAsItWasWrittenAndNotWithAnyBitFlipped) {
  RecordHeader header;
  header.live = false;
  header.counter = 77;
  header.lineage.fill(3);
  header.head_bytes = 100;
  header.state_bytes = 500'000'000;
  const std::string bytes = encoded(header);
  ASSERT_EQ(bytes.size(), kStateAlign);
  const auto read = record_header(bytes);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->live);
  EXPECT_EQ(read->counter, 77u);
  EXPECT_EQ(read->lineage, header.lineage);
  EXPECT_EQ(read->head_bytes, 100u);
  EXPECT_EQ(read->state_bytes, header.state_bytes);
  for (size_t i = 0; i < 8 * bytes.size(); i++) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(record_header(damaged)) << i;
  }
}

TEST(StateFormat, AHeaderOverItsLimitsIsNone) {
  const auto read = [](uint32_t head_bytes, uint64_t state_bytes) {
    RecordHeader header;
    header.head_bytes = head_bytes;
    header.state_bytes = state_bytes;
    return record_header(encoded(header)).has_value();
  };
  EXPECT_TRUE(read(76, 16));
  EXPECT_TRUE(read(76 + 4 * kBlockTokensMax, kStateBytesMax.n + 16));
  EXPECT_FALSE(read(75, 16));
  EXPECT_FALSE(read(76, 15));
  EXPECT_FALSE(read(77 + 4 * kBlockTokensMax, 16));
  EXPECT_FALSE(read(76, kStateBytesMax.n + 17));
  EXPECT_FALSE(read(76, UINT64_MAX));
}

TEST(StateFormat, AManifestIsReadAsItWasWrittenUnderItsKeyAlone) {
  Manifest manifest;
  manifest.lineages.push_back({{1}, {2}, SealKey::random(), "owner", "sha256:aaaa"});
  manifest.segments.push_back({42, {7}});
  const SealKey key = SealKey::random();
  const std::string file = sealed_manifest(manifest, key);
  const auto read = opened_manifest(file, key).manifest;
  ASSERT_TRUE(read);
  EXPECT_EQ(encoded(*read), encoded(manifest));
  EXPECT_EQ(read->lineages[0].principal, "owner");
  EXPECT_EQ(read->segments[0].number, 42u);
  EXPECT_FALSE(opened_manifest(file, SealKey::random()).manifest);
  EXPECT_NE(sealed_manifest(manifest, key), file);  // under a salt of its own each time
}

}  // namespace
}  // namespace lares::store
