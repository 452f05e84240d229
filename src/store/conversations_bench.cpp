#include <filesystem>

#include "base/bench.h"
#include "base/file.h"
#include "base/text.h"
#include "store/conversations.h"

namespace lares::store {
namespace {

namespace fs = std::filesystem;

// A store of many conversations of six messages each; its folder goes with it.
class Many {
 public:
  explicit Many(int count) : folder_(fs::temp_directory_path() / ("lares-bench-" + random_hex(6))) {
    fs::create_directories(folder_);
    auto opened = Conversations::open(folder_, std::string(32, 'k'));
    assert(opened);
    store_ = std::make_unique<Conversations>(std::move(opened->conversations));
    auto& database = store_->database();
    assert(database.script("BEGIN"));
    for (int i = 0; i < count; i++) {
      assert(
          database.run("INSERT INTO conversation(id, principal, title, model, created_ms, "
                       "updated_ms, messages) VALUES(?, 'owner', ?, '', ?, ?, 6)",
                       cat("c-", i), cat("About the number ", i), int64_t{i}, int64_t{i}));
      const int64_t key = database.last_row();
      for (int m = 0; m < 6; m++) {
        assert(database.run(
            "INSERT INTO message(id, conversation, role, text, parts, created_ms, model, receipt, "
            "state, error) VALUES(?, ?, 'user', ?, '', ?, '', '', 'whole', '')",
            cat("m-", i, "-", m), key,
            cat("Tell me everything that there is to know of the number ", i,
                ", of its neighbours ", i + 1, " and ", i - 1,
                ", and what people have thought of all three of them."),
            int64_t{i}));
      }
    }
    assert(database.script("COMMIT"));
  }
  ~Many() {
    store_.reset();
    fs::remove_all(folder_);
  }
  Conversations& operator*() { return *store_; }

 private:
  const fs::path folder_;
  std::unique_ptr<Conversations> store_;
};

BENCH(conversations_list) {
  Many store(bench.size(100, 10'000));
  bench.run([&] { return (*store).list("owner", {.limit = 50})->size(); });
}

BENCH(conversations_search) {
  Many store(bench.size(100, 10'000));
  bench.run([&] { return (*store).list("owner", {.query = "777 people", .limit = 50})->size(); });
}

}  // namespace
}  // namespace lares::store
