#include <filesystem>
#include <memory>
#include <vector>

#include "base/bench.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/states.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

constexpr Tokens kBlock = 256;
constexpr int kRounds = 100;

// One conversation with the state of a small model: 24 KB for each token; its folder goes with it.
class Kept {
 public:
  Kept(Tokens tokens, unsigned threads)
      : folder_(fs::temp_directory_path() / ("lares-bench-" + random_hex(6))),
        options_{.cap = GiB(1), .read_threads = threads},
        into_(size_t{tokens} * kBytesEach) {
    lineage_.principal = "owner";
    for (Tokens i = 0; i < tokens; i++) ids_.push_back(static_cast<int32_t>(i));
    reopen();
    const std::vector<std::byte> state(size_t{kBlock} * kBytesEach, std::byte{7});
    StateId last = kStateStart;
    Tokens from = 0;
    for (const Tokens end : block_ends(0, tokens, kBlock)) {
      const auto put = store_->put(lineage_, last,
                                   {std::span(ids_).subspan(from, end - from),
                                    std::span(state).first(size_t{end - from} * kBytesEach), 100});
      assert(put);
      last = *put;
      from = end;
    }
    const auto synced = store_->sync();
    assert(synced);
  }
  ~Kept() {
    store_.reset();
    fs::remove_all(folder_);
  }
  void reopen() {
    store_.reset();
    auto opened = States::open(folder_, std::string(32, 'k'), clock_, options_);
    assert(opened);
    store_ = std::make_unique<States>(std::move(opened->states));
  }
  uint64_t found() { return store_->find(lineage_, ids_).tokens; }
  uint64_t read() {
    std::vector<StateId> blocks;
    for (const auto& block : store_->find(lineage_, ids_).blocks) blocks.push_back(block.id);
    const auto done = store_->read(blocks, into_);
    assert(done);
    return static_cast<uint64_t>(into_.back());
  }

 private:
  static constexpr size_t kBytesEach = 24'000;
  const fs::path folder_;
  const StatesOptions options_;
  const SystemClock clock_;
  Lineage lineage_;
  std::vector<int32_t> ids_;
  std::vector<std::byte> into_;
  std::unique_ptr<States> store_;
};

// 60 MB from the page cache into memory that is there already.
BENCH(states_read_one_thread) {
  Kept kept(bench.size(300u, 2500u), 1);
  bench.run([&] { return kept.read(); }, kRounds);
}
BENCH(states_read_two_threads) {
  Kept kept(bench.size(300u, 2500u), 2);
  bench.run([&] { return kept.read(); }, kRounds);
}

BENCH(states_find) {
  Kept kept(bench.size(300u, 8000u), 1);
  bench.run([&] { return kept.found(); });
}

// What a start of the daemon waits for.
BENCH(states_open) {
  Kept kept(bench.size(300u, 8000u), 1);
  bench.run(
      [&] {
        kept.reopen();
        return kept.found();
      },
      kRounds);
}

// With what makes it durable.
BENCH(states_keep) {
  bench.run([&] { return Kept(bench.size(300u, 2500u), 1).found(); }, kRounds / 10);
}

}  // namespace
}  // namespace lares::store
