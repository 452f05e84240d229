// For tests of the state store: a folder that goes with the test, conversations whose states can
// be told from one another, and ways to damage files.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "store/conversations_testing.h"
#include "store/states.h"

namespace lares::store {

using Ids = std::vector<int32_t>;

inline Lineage lineage_of(std::string principal = "owner", std::string model = "sha256:aaaa") {
  Lineage lineage;
  lineage.principal = std::move(principal);
  lineage.model_digest = std::move(model);
  lineage.cache_type = "f16";
  lineage.engine = "engine 1";
  return lineage;
}

inline Ids some_ids(size_t count, int32_t from = 1000) {
  Ids ids(count);
  for (size_t i = 0; i < count; i++) ids[i] = from + static_cast<int32_t>(i);
  return ids;
}

// `bytes_each` bytes for each token, which no other tokens at another place have.
inline std::vector<std::byte> state_of(std::span<const int32_t> ids, Tokens before,
                                       size_t bytes_each) {
  std::vector<std::byte> state(ids.size() * bytes_each);
  uint64_t noise = 0x9E3779B97F4A7C15ull * (before + 1);
  for (size_t i = 0; i < state.size(); i++) {
    if (i % bytes_each == 0) noise ^= static_cast<uint32_t>(ids[i / bytes_each]);
    noise = noise * 6364136223846793005ull + 1442695040888963407ull;
    state[i] = static_cast<std::byte>(noise >> 56);
  }
  return state;
}

inline std::vector<std::byte> state_of(std::span<const int32_t> chain, Tokens before, Tokens until,
                                       size_t bytes_each) {
  return state_of(chain.subspan(before, until - before), before, bytes_each);
}

struct StatesTest : testing::Test {
  std::filesystem::path path() const { return folder.path() / "states"; }

  void open() {
    store.reset();
    auto opened = States::open(path(), key, clock, options);
    ASSERT_TRUE(opened) << opened.error().message;
    fresh = opened->fresh;
    torn = opened->torn;
    store.emplace(std::move(opened->states));
  }

  // Keeps what is new of a conversation, in blocks; the id of its last one.
  Result<StateId> keep(const Lineage& lineage, const Ids& ids, Tokens block = 64,
                       double saves_ms = 1) {
    const auto found = store->find(lineage, ids);
    StateId last = found.blocks.empty() ? kStateStart : found.blocks.back().id;
    Tokens from = found.tokens;
    for (const Tokens end : block_ends(from, static_cast<Tokens>(ids.size()), block)) {
      const auto state = state_of(ids, from, end, bytes_each);
      TRY_AS(last, store->put(lineage, last,
                              {std::span(ids).subspan(from, end - from), state, saves_ms}));
      from = end;
    }
    return last;
  }

  // How many of the tokens are there, with exactly the bytes that were kept; what is damaged ends
  // in fewer, and anything else fails the test.
  Tokens there(const Lineage& lineage, const Ids& ids) {
    for (;;) {
      const auto found = store->find(lineage, ids);
      std::vector<StateId> blocks;
      std::vector<std::byte> expected;
      for (const auto& block : found.blocks) {
        blocks.push_back(block.id);
        const auto state = state_of(ids, block.before, block.until, bytes_each);
        expected.insert(expected.end(), state.begin(), state.end());
      }
      std::vector<std::byte> into(expected.size(), std::byte{0xEE});
      if (auto read = store->read(blocks, into); read) {
        EXPECT_TRUE(into == expected);
        return found.tokens;
      } else {
        EXPECT_TRUE(std::ranges::all_of(into, [](std::byte b) { return b == std::byte{0}; }));
        if (store->find(lineage, ids).tokens >= found.tokens) {
          ADD_FAILURE() << "unreadable and still found: " << read.error().message;
          return 0;
        }
      }
    }
  }

  std::vector<std::filesystem::path> segments() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      if (entry.path().extension() == ".seg") found.push_back(entry.path());
    }
    std::ranges::sort(found);
    return found;
  }
  uint64_t bytes_on_disk() const {
    uint64_t sum = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path()))
      sum += std::filesystem::file_size(entry.path());
    return sum;
  }
  // In place: a file that is cut to nothing first is flushed to the disk each time.
  static void overwrite(const std::filesystem::path& file, const std::string& content) {
    std::ofstream(file, std::ios::binary | std::ios::app).close();
    std::fstream(file, std::ios::binary | std::ios::in | std::ios::out) << content;
    std::filesystem::resize_file(file, content.size());
  }

  TestFolder folder;
  FakeClock clock;
  std::string key = std::string(31, 'k') + '\n';
  StatesOptions options{.cap = MiB(64), .segment_max = MiB(4)};
  size_t bytes_each = 16;
  std::optional<States> store;
  bool fresh = false;
  Bytes torn;
};

}  // namespace lares::store
