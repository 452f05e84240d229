#include "inventory/adapters.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/log.h"

namespace lares::inventory {
namespace {

class Adapters : public ::testing::Test {
 protected:
  Adapters() {
    std::string pattern = std::filesystem::temp_directory_path() / "lares-adapters-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    models_ = std::make_unique<Models>(*Models::open(folder_, log_));
    add("chat", {{"architecture", "llama"}});
    add("other", {{"architecture", "gemma3"}});
    add("a", {{"type", "adapter"}, {"architecture", "llama"}});
    add("b", {{"type", "adapter"}, {"architecture", "llama"}});
    add("c", {{"type", "adapter"}, {"architecture", "gemma3"}});
  }
  ~Adapters() override { std::filesystem::remove_all(folder_); }
  void add(const std::string& id, Json info) {
    const auto file = folder_ / (id + ".gguf");
    ASSERT_TRUE(write_file(file, "GGUF????"));
    ASSERT_TRUE(models_->add(file, id, std::move(info)));
  }
  const Model& model(const std::string& id) { return **models_->find(id); }
  Error refused(const std::string& of, std::vector<std::string> names) {
    auto found = adapters_named(*models_, model(of), names);
    EXPECT_FALSE(found);
    return found ? Error{} : found.error();
  }

  std::filesystem::path folder_;
  Log log_ = Log::silent();
  std::unique_ptr<Models> models_;
};

TEST_F(Adapters, AreListedAsWhatTheyAreAndAnswerNobodyByThemselves) {
  EXPECT_EQ(model("a").use, Use::Adapter);
  EXPECT_EQ(use_name(model("a").use), "adapter");
  EXPECT_EQ((*models_->default_for(Use::Chat))->id, "chat");
  const auto again = Models::open(folder_, log_);
  EXPECT_EQ((*again->find("a"))->use, Use::Adapter);
}

TEST_F(Adapters, AreFoundByTheirNames) {
  const std::vector<std::string> names = {"b", "a"};
  const auto found = adapters_named(*models_, model("chat"), names);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0]->id, "b");
}

TEST_F(Adapters, OfAnotherKindOrNameAreRefused) {
  EXPECT_EQ(refused("chat", {"d"}).message, "no adapter 'd'; there are: a, b, c");
  EXPECT_EQ(refused("chat", {"other"}).message,
            "'other' is no adapter but a model; name it as 'model'");
  EXPECT_EQ(refused("chat", {"a", "c"}).message,
            "adapter 'c' is for 'gemma3' models, but 'chat' is 'llama'; name the model that it was "
            "made for");
  EXPECT_EQ(refused("chat", {"d"}).param, "lora");
}

TEST_F(Adapters, TheWantedOnesGoFirst) {
  const auto ids = [&](std::vector<std::string> wanted, size_t most) {
    std::string out;
    for (const Model* each : adapters_for(*models_, model("chat"), wanted, most)) out += each->id;
    return out;
  };
  EXPECT_EQ(ids({}, 16), "ab");
  EXPECT_EQ(ids({"b"}, 16), "ba");
  EXPECT_EQ(ids({"b"}, 1), "b");
  EXPECT_EQ(ids({"c"}, 16), "ab");
}

}  // namespace
}  // namespace lares::inventory
