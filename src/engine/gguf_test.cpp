#include "engine/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/text.h"
#include "engine/gguf_facts.h"
#include "engine/testing/gguf_file.h"

namespace lares::engine::gguf {
namespace {

using testing::GgufFile;

std::string error_of(const std::string& bytes) {
  const auto head = read(bytes);
  return head ? "read" : head.error().message;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
#define EXPECT_SAYS(bytes, part) \
  EXPECT_TRUE(has(error_of(bytes), part)) << error_of(bytes) << "\nwithout: " << (part)

// A small llama of two layers, whole.
GgufFile small() {
  GgufFile file;
  file.text("general.architecture", "llama");
  file.text("general.license", "apache-2.0");
  file.u32("llama.block_count", 2);
  file.u32("llama.embedding_length", 64);
  file.u32("llama.attention.head_count", 4);
  file.u32("llama.attention.head_count_kv", 2);
  file.u32("llama.feed_forward_length", 128);
  file.tensor("token_embd.weight", 8, {64, 32});
  file.tensor("blk.0.attn_q.weight", 8, {64, 64});
  file.tensor("blk.0.attn_norm.weight", 0, {64});
  return file;
}

TEST(Gguf, AWholeFileIsReadAsItIs) {
  const auto head = read(small().bytes());
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->version, 3u);
  EXPECT_EQ(head->keys.size(), 7u);
  EXPECT_EQ(head->text("general.architecture"), "llama");
  EXPECT_EQ(head->count("llama.block_count"), 2u);
  ASSERT_EQ(head->tensors.size(), 3u);
  EXPECT_EQ(head->tensors[0].bytes, 64u / 32 * 34 * 32);
  EXPECT_EQ(head->tensors[0].offset, head->data_offset);
  EXPECT_EQ(head->data_offset % 32, 0u);
  EXPECT_EQ(head->tensors[2].bytes, 256u);
}

TEST(Gguf, VersionTwoIsReadToo) {
  GgufFile file = small();
  file.version = 2;
  EXPECT_TRUE(read(file.bytes()));
  for (const uint32_t version : {0u, 1u, 4u, 99u}) {
    file.version = version;
    EXPECT_SAYS(file.bytes(), cat("version ", version, ";"));
  }
  file.version = 0x03000000;
  EXPECT_SAYS(file.bytes(), "big-endian");
}

TEST(Gguf, WhatIsNoneSaysSo) {
  EXPECT_SAYS("", "empty");
  EXPECT_SAYS("GG", "not a GGUF");
  EXPECT_SAYS("GGUF", "cut short");
  EXPECT_SAYS(std::string("<html>") + std::string(100, ' '), "not a GGUF");
  EXPECT_SAYS(std::string("FUGG") + std::string(100, ' '), "big-endian");
  EXPECT_EQ(read(std::string("<html>") + std::string(100, ' ')).error().code, Code::Invalid);
  EXPECT_EQ(read("GGUF").error().code, Code::Corrupt);
}

TEST(Gguf, ACountThatTheFileCannotHoldNamesTheRightOne) {
  GgufFile file = small();
  file.keys_said = uint64_t{1} << 31;
  file.tensors_said = 1;
  EXPECT_SAYS(file.bytes(), "2147483648 keys");
  file.keys_said.reset();
  file.tensors_said = uint64_t{1} << 63;
  EXPECT_SAYS(file.bytes(), "9223372036854775808 tensors");
  // a file that could hold them, all the same beyond what is read
  file.tensors_said = kTensorsMax + 1;
  EXPECT_SAYS(file.bytes() + std::string(24 * (kTensorsMax + 2), '\0'),
              cat(kTensorsMax + 1, " tensors"));
}

TEST(Gguf, CutShortAnywhereItIsRefusedWithBothSizes) {
  const std::string whole = small().bytes();
  for (size_t size = 24; size < whole.size(); size++) {
    const auto head = read(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(head) << size;
    EXPECT_EQ(head.error().code, Code::Corrupt);
    EXPECT_TRUE(has(head.error().message, "fetch it again")) << head.error().message;
  }
  EXPECT_SAYS(whole.substr(0, whole.size() - 1), cat("ends at byte ", whole.size()));
  EXPECT_SAYS(whole.substr(0, whole.size() - 1), cat("has ", whole.size() - 1, " bytes"));
  EXPECT_TRUE(read(whole + "more"));  // what lies behind the weights is nobody's
}

TEST(Gguf, KeysBeyondTheirLimitsAreNamed) {
  GgufFile file = small();
  file.raw_key(GgufFile::number(uint64_t{1} << 60) + std::string(200, 'k'));
  EXPECT_SAYS(file.bytes(), "1152921504606846976");
  file = small();
  file.typed("a.b", 9, GgufFile::number<uint32_t>(8) + GgufFile::number(uint64_t{1} << 40));
  EXPECT_SAYS(file.bytes(), "an array of 1099511627776 elements");
  file = small();
  file.typed("a.b", 99, std::string(100, '\0'));
  EXPECT_SAYS(file.bytes(), "'a.b' is of type 99");
  file = small();
  file.typed("a.b", 9,
             GgufFile::number<uint32_t>(9) + GgufFile::number(uint64_t{1}) + std::string(64, '\0'));
  EXPECT_SAYS(file.bytes(), "an array of arrays");
  file = small();
  file.typed("a.b", 7, "\x02");
  EXPECT_SAYS(file.bytes(), "neither true nor false but 2");
  file = small();
  file.u32("llama.block_count", 3);
  EXPECT_SAYS(file.bytes(), "'llama.block_count' is there twice");
  GgufFile bare;
  bare.u32("llama.block_count", 3);
  EXPECT_SAYS(bare.bytes(), "general.architecture");
  file = small();
  file.u32("general.alignment", 48);
  EXPECT_SAYS(file.bytes(), "'general.alignment' is 48");
}

TEST(Gguf, MoreLayersThanTheEngineBearsAreRefused) {
  GgufFile file;
  file.text("general.architecture", "llama");
  file.u32("llama.block_count", UINT32_MAX);
  EXPECT_SAYS(file.bytes(), "'llama.block_count' is 4294967295; 1 to 512");
}

TEST(Gguf, TensorsThatCannotBeAreNamed) {
  GgufFile file = small();
  file.tensor("blk.1.x.weight", 12, {64, 64});  // Q4_K packs 256 at a time
  EXPECT_SAYS(file.bytes(), "rows of 64 values, and Q4_K packs 256");
  file = small();
  file.tensor("blk.1.x.weight", 4, {64, 64});  // was removed from the format
  EXPECT_SAYS(file.bytes(), "type 4, which nobody knows");
  file = small();
  file.tensor("blk.1.x.weight", 0, {uint64_t{1} << 40, uint64_t{1} << 40});
  EXPECT_SAYS(file.bytes(), "more values than can be counted");
  file = small();
  file.tensor("blk.1.x.weight", 28, {uint64_t{1} << 62});
  EXPECT_SAYS(file.bytes(), "more bytes than can be counted");
  file = small();
  file.tensor("blk.1.x.weight", 0, {0, 4});
  EXPECT_SAYS(file.bytes(), "a dimension of 0");
  file = small();
  file.tensor("token_embd.weight", 0, {4});
  EXPECT_SAYS(file.bytes(), "'token_embd.weight' is there twice");
  file = small();
  file.tensor(std::string(128, 'n'), 0, {4});
  EXPECT_SAYS(file.bytes(), "has 128 bytes; at most 127");
  file = small();
  file.tensor_at("blk.1.x.weight", 0, {4}, 7);
  EXPECT_SAYS(file.bytes(), "begins at 7, no multiple of the alignment 32");
  file = small();
  file.tensor_at("blk.1.x.weight", 0, {4}, 0);
  EXPECT_SAYS(file.bytes(), "lie in the same bytes");
  file = small();
  file.tensor_at("blk.1.x.weight", 0, {4}, UINT64_MAX - 31);
  EXPECT_SAYS(file.bytes(), "ends beyond every file");
}

TEST(Gguf, AFileThatShrinksWhileItIsReadIsNoEndlessLoop) {
  const std::string whole = small().bytes();
  const auto head = read(
      [&](uint64_t offset, std::span<char> into) -> Result<size_t> {
        return offset > 0 ? size_t{0} : whole.copy(into.data(), std::min<size_t>(into.size(), 100));
      },
      whole.size());
  ASSERT_FALSE(head);
  EXPECT_TRUE(has(head.error().message, "shorter")) << head.error().message;
}

TEST(Gguf, AnyChangedByteIsReadOrRefusedInWords) {
  const std::string whole = small().bytes();
  std::mt19937 random(7);
  for (int round = 0; round < 5'000; round++) {
    std::string changed = whole;
    for (unsigned i = 0; i < 1 + random() % 4; i++)
      changed[random() % changed.size()] = static_cast<char>(random());
    const auto head = read(changed);
    if (head) {
      (void)work_of(*head);
    } else {
      EXPECT_FALSE(head.error().message.empty());
    }
  }
}

TEST(GgufFacts, StateAndWorkAreCountedByLayer) {
  const auto head = read(small().bytes());
  const Json work = work_of(*head);
  // two layers, two heads of 16 for keys and for values, 16 bits each
  EXPECT_EQ(work["state_bytes_per_token"], 2u * 2 * (16 + 16) * 2);
  EXPECT_EQ(work["window_state_bytes_per_token"], 0u);
  // the embedding stands for the logits: read for each token of an answer, not of a prompt
  const Json& packed = work["weights"];
  ASSERT_EQ(packed.size(), 2u);
  EXPECT_EQ(packed[1]["type"], "Q8_0");
  EXPECT_EQ(packed[1]["decode_bytes"], 64u / 32 * 34 * (32 + 64));
  EXPECT_EQ(packed[1]["prefill_values"], 64u * 64);
  EXPECT_EQ(work["logit_bytes"], 64u / 32 * 34 * 32);
  EXPECT_EQ(work["logit_rows"], 0.5);  // 64 x 32 values, of 64 x 64 in all other matrices
  EXPECT_EQ(licence_of(*head), Json({{"id", "apache-2.0"}}));
}

TEST(GgufFacts, LayersBehindAWindowAreCountedApart) {
  GgufFile file;
  file.text("general.architecture", "gemma3");
  file.u32("gemma3.block_count", 12);
  file.u32("gemma3.embedding_length", 64);
  file.u32("gemma3.attention.head_count", 4);
  file.u32("gemma3.attention.head_count_kv", 1);
  file.u32("gemma3.attention.key_length", 32);
  file.u32("gemma3.attention.value_length", 32);
  file.u32("gemma3.attention.sliding_window", 512);
  const Json work = work_of(*read(file.bytes()));
  EXPECT_EQ(work["state_bytes_per_token"], 2u * 128);  // every sixth sees everything
  EXPECT_EQ(work["window_state_bytes_per_token"], 10u * 128);
}

TEST(GgufFacts, OnlyTheExpertsThatAreAskedAreRead) {
  GgufFile file = small();
  file.u32("llama.expert_count", 8);
  file.u32("llama.expert_used_count", 2);
  file.tensor("blk.0.ffn_up_exps.weight", 1, {64, 16, 8});
  const Json work = work_of(*read(file.bytes()));
  for (const Json& each : work["weights"]) {
    if (each["type"] == "F16") {
      EXPECT_EQ(each["bytes"], 64u * 16 * 8 * 2);
      EXPECT_EQ(each["decode_bytes"], 64u * 16 * 2 * 2);
    }
  }
}

TEST(GgufFacts, AbsurdNumbersStayInRange) {
  GgufFile file = small();
  file.typed("llama.attention.key_length", 10, GgufFile::number(UINT64_MAX));
  const Json work = work_of(*read(file.bytes()));
  EXPECT_LE(work["state_bytes_per_token"].get<uint64_t>(), uint64_t{1} << 60);
}

// Every model file at hand: LARES_TEST_MODELS and LARES_EXTRA_MODELS.
TEST(Gguf, TheModelsAtHandAreRead) {
  size_t files = 0;
  for (const char* name : {"LARES_TEST_MODELS", "LARES_EXTRA_MODELS"}) {
    const char* const folder = std::getenv(name);
    if (!folder) continue;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
      if (entry.path().extension() != ".gguf") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const auto head = read(
          [&](uint64_t offset, std::span<char> into) -> Result<size_t> {
            file.clear();
            file.seekg(static_cast<std::streamoff>(offset));
            file.read(into.data(), static_cast<std::streamsize>(into.size()));
            return static_cast<size_t>(file.gcount());
          },
          entry.file_size());
      ASSERT_TRUE(head) << entry.path() << ": " << head.error().message;
      EXPECT_FALSE(head->tensors.empty()) << entry.path();
      const Json work = work_of(*head);
      EXPECT_GT(work["state_bytes_per_token"].get<uint64_t>(), 0u) << entry.path();
      uint64_t sum = 0;
      for (const Json& each : work["weights"]) sum += each["bytes"].get<uint64_t>();
      EXPECT_LE(sum + head->data_offset, entry.file_size() + 32 * head->tensors.size());
      EXPECT_GT(sum + head->data_offset, entry.file_size() / 10 * 9);
      files++;
    }
  }
  if (files == 0) GTEST_SKIP() << "LARES_TEST_MODELS names no folder with models";
}

}  // namespace
}  // namespace lares::engine::gguf
