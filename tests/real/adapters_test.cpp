// Adapters with the real engine: LoRA files with random weights are written for a real model,
// change what it says, never mix with each other, and are refused where they belong to another.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "engine/gguf.h"
#include "engine/testing/gguf_file.h"
#include "engine/testing/talk.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

constexpr uint64_t kRank = 4;

std::vector<float> random_values(std::mt19937& random, size_t count, double deviation) {
  std::normal_distribution<float> draw;
  std::vector<float> values(count);
  for (float& value : values) value = draw(random) * static_cast<float>(deviation);
  return values;
}

// The head of an adapter for that architecture, without weights.
GgufFile adapter_head(const std::string& architecture) {
  GgufFile file;
  file.text("general.type", "adapter");
  file.text("general.architecture", architecture);
  file.text("general.name", "a test's adapter");
  file.text("adapter.type", "lora");
  file.f32("adapter.lora.alpha", 2 * kRank);
  return file;
}

void add_pair(GgufFile& file, std::mt19937& random, const std::string& name, uint64_t in,
              uint64_t out, double strength) {
  file.floats(name + ".lora_a", {in, kRank},
              random_values(random, in * kRank, 1 / std::sqrt(static_cast<double>(in))));
  file.floats(name + ".lora_b", {kRank, out}, random_values(random, kRank * out, strength));
}

// Changes the queries and the values of every layer of the model in `model`.
std::string adapter_for(const gguf::Head& model, uint32_t seed, double strength = 0.3) {
  std::mt19937 random(seed);
  GgufFile file = adapter_head(model.text("general.architecture"));
  for (const gguf::Tensor& tensor : model.tensors) {
    if (tensor.name.ends_with("attn_q.weight") || tensor.name.ends_with("attn_v.weight"))
      add_pair(file, random, tensor.name, tensor.size[0], tensor.size[1], strength);
  }
  return file.bytes();
}

class Adapters : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = model_file(kSmolLm);
    if (!file) GTEST_SKIP() << file.error().message;
    if (!variant()) GTEST_SKIP() << variant().error().message;
    model_ = Fd(::open(file->c_str(), O_RDONLY | O_CLOEXEC));
    head_ = *gguf::read_descriptor(model_.get());
  }

  // A model with these adapters, called "0", "1", ...
  std::unique_ptr<Model> load_with(const std::vector<std::string>& adapters, Pulse& pulse) {
    LoadOrder order;
    order.load = {.context = 512, .sequences = 4};
    order.file = model_.get();
    files_.clear();
    for (size_t i = 0; i < adapters.size(); i++) {
      const TempFile file(adapters[i]);
      files_.emplace_back(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
      order.adapters.push_back(files_.back().get());
      order.load.adapters.push_back(cat(i));
    }
    auto loaded = Registered<Backend>::find("llama")->load(order, pulse);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *std::move(loaded);
  }
  Talk talk_with(const std::vector<std::string>& adapters) {
    return Talk([&](Pulse& pulse) { return load_with(adapters, pulse); });
  }

  static Json greedy(const std::vector<std::pair<std::string, double>>& adapters = {}) {
    Json lora = Json::array();
    for (const auto& [id, scale] : adapters) lora.push_back({{"id", id}, {"scale", scale}});
    return {{"temperature", 0}, {"max_tokens", 10}, {"logprobs", true}, {"lora", lora}};
  }
  // What is said alone, in a worker of its own.
  std::string alone(const std::vector<std::string>& files,
                    const std::vector<std::pair<std::string, double>>& adapters) {
    Talk t = talk_with(files);
    t.complete(1, kPrompt, greedy(adapters));
    EXPECT_TRUE(t.run());
    EXPECT_TRUE(t[1].done) << t[1].failed->message;
    return t[1].text;
  }
  Error refusal(const std::string& file) {
    Talk t = talk_with({file});
    Json little = greedy({{"0", 1}});
    little["max_tokens"] = 1;
    t.complete(1, kPrompt, little);
    little.erase("lora");
    t.complete(2, kPrompt, little);
    EXPECT_TRUE(t.run());
    EXPECT_TRUE(t[2].done) << "the model answers without it";
    return t[1].failed.value_or(Error{});
  }

  static constexpr const char* kPrompt = "The three most common colours of cars are";
  Fd model_;
  gguf::Head head_;
  std::vector<Fd> files_;
};

TEST_F(Adapters, ChangeTheAnswerByTheirScale) {
  const std::vector<std::string> files = {adapter_for(head_, 1)};
  const std::string plain = alone(files, {});
  const std::string changed = alone(files, {{"0", 1}});
  EXPECT_NE(changed, plain);
  EXPECT_EQ(alone(files, {{"0", 0}}), plain);
  EXPECT_EQ(alone({}, {}), plain);  // to be there changes nothing
  Talk t = talk_with(files);
  std::map<double, double> moved;  // how far the first token's logprob moves
  for (const double scale : {0.0, 0.05, 0.5}) {
    t.complete(static_cast<uint64_t>(scale * 100) + 1, kPrompt, greedy({{"0", scale}}));
    ASSERT_TRUE(t.run());
    moved[scale] = t[static_cast<uint64_t>(scale * 100) + 1].logprobs[0]["logprob"].get<double>();
  }
  EXPECT_LT(std::abs(moved[0.05] - moved[0.0]), std::abs(moved[0.5] - moved[0.0]));
  EXPECT_NE(moved[0.05], moved[0.0]);
}

// How far apart two answers are, in nats: by the logprobs of the tokens that both say and, where
// they part, by how much likelier each thought its own token than the other's.
double apart(const Json& a, const Json& b) {
  const auto preferred = [](const Json& own, const Json& other) {
    for (const Json& each : own["top_logprobs"]) {
      if (each["token"] == other["token"])
        return own["logprob"].get<double>() - each["logprob"].get<double>();
    }
    return 100.0;  // it was not even among the likeliest
  };
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); i++) {
    if (a[i]["token"] != b[i]["token"])
      return std::max({most, preferred(a[i], b[i]), preferred(b[i], a[i])});
    most = std::max(most, std::abs(a[i]["logprob"].get<double>() - b[i]["logprob"].get<double>()));
  }
  return most;
}

// In company the sums have another order, so the bytes may differ; those of another set of adapters
// differ by much more.
TEST_F(Adapters, TwoServedAtOnceGiveWhatEachGivesAlone) {
  const std::vector<std::string> files = {adapter_for(head_, 1), adapter_for(head_, 2)};
  const std::vector<std::vector<std::pair<std::string, double>>> sets = {
      {}, {{"0", 1}}, {{"1", 1}}, {{"0", 1}, {"1", 0.5}}};
  const auto asked = [](const auto& set) {
    Json options = greedy(set);
    options["top_logprobs"] = 20;
    return options;
  };
  std::vector<Json> expected;
  for (const auto& set : sets) {
    Talk t = talk_with(files);
    t.complete(1, kPrompt, asked(set));
    ASSERT_TRUE(t.run());
    expected.push_back(t[1].logprobs);
  }
  Talk t = talk_with(files);
  for (uint64_t round = 0; round < 2; round++) {  // the second builds upon the first
    for (uint64_t i = 0; i < sets.size(); i++)
      t.complete(round * 10 + i + 1, kPrompt, asked(sets[i]));
    ASSERT_TRUE(t.run());
    for (uint64_t i = 0; i < sets.size(); i++) {
      const Json& found = t[round * 10 + i + 1].logprobs;
      ASSERT_EQ(found.size(), 10U) << round << ": " << i;
      for (size_t j = 0; j < sets.size(); j++) {
        const double nats = apart(found, expected[j]);
        if (i == j) {
          EXPECT_LT(nats, 0.3) << round << ": " << i;
        } else {
          EXPECT_GT(nats, 1) << round << ": " << i << " is as " << j;
        }
      }
    }
  }
}

TEST_F(Adapters, AddWhatTheirMatricesSay) {
  const auto made = [&](double strength) {
    std::mt19937 random(3);
    GgufFile file = adapter_head("llama");
    add_pair(file, random, "blk.0.attn_q.weight", head_.count("llama.embedding_length"),
             head_.count("llama.embedding_length"), strength);
    return file.bytes();
  };
  // B of zeros adds nothing, at any scale
  EXPECT_EQ(alone({made(0)}, {{"0", 16}}), alone({}, {}));
  EXPECT_NE(alone({made(2)}, {{"0", 16}}), alone({}, {}));
}

TEST_F(Adapters, OfAnotherModelAreRefusedAndTheModelGoesOn) {
  std::mt19937 random(1);
  const uint64_t width = head_.count("llama.embedding_length");
  const std::string query = "blk.0.attn_q.weight";
  const auto made = [&](const std::function<void(GgufFile&)>& fill,
                        const std::string& architecture = "llama") {
    GgufFile file = adapter_head(architecture);
    fill(file);
    return file.bytes();
  };
  const auto good = [&](GgufFile& file) { add_pair(file, random, query, width, width, 0.1); };
  struct Bad {
    const char* what;
    std::string file;
    Code code;
    const char* words;
  };
  const std::string whole = made(good);
  const std::vector<Bad> table = {
      {"another architecture", made(good, "gemma3"), Code::Invalid,
       "it is for 'gemma3' models, and this one is 'llama'"},
      {"another width",
       made([&](GgufFile& f) { add_pair(f, random, query, width + 32, width, 1); }), Code::Invalid,
       "name the model that it was made for"},
      {"a tensor that is not there",
       made([&](GgufFile& f) { add_pair(f, random, "blk.99.attn_q.weight", width, width, 1); }),
       Code::Invalid, "name the model that it was made for"},
      {"half a pair", made([&](GgufFile& f) { f.tensor(query + ".lora_a", 0, {width, kRank}); }),
       Code::Corrupt, "only one half"},
      {"ranks that differ", made([&](GgufFile& f) {
         f.tensor(query + ".lora_a", 0, {width, kRank});
         f.tensor(query + ".lora_b", 0, {kRank + 1, width});
       }),
       Code::Corrupt, "the ranks 4 and 5"},
      {"integers", made([&](GgufFile& f) {
         f.tensor(query + ".lora_a", 26, {width, kRank});
         f.tensor(query + ".lora_b", 26, {kRank, width});
       }),
       Code::Unsupported, "no matrix of F32"},
      {"no weights", made([](GgufFile&) {}), Code::Corrupt, "no weights"},
      {"something else", made([&](GgufFile& f) { f.tensor("blk.0.attn_q.weight", 0, {8, 8}); }),
       Code::Corrupt, "no half of a pair"},
      {"one that begins at a word", made([&](GgufFile& f) {
         good(f);
         f.typed("adapter.alora.invocation_tokens", 9,
                 GgufFile::number(uint32_t{4}) + GgufFile::number(uint64_t{1}) +
                     GgufFile::number(uint32_t{7}));
       }),
       Code::Unsupported, "aLoRA"},
      {"a weight that is no number", made([&](GgufFile& f) {
         add_pair(f, random, query, width, width, std::numeric_limits<double>::infinity());
       }),
       Code::Corrupt, "no finite number"},
      {"cut short", whole.substr(0, whole.size() - 1000), Code::Corrupt, ""},
      {"no GGUF", "hello", Code::Invalid, ""},
  };
  for (const auto& [what, file, code, words] : table) {
    const Error error = refusal(file);
    EXPECT_EQ(error.code, code) << what << ": " << error.message;
    EXPECT_EQ(error.param, "lora") << what;
    EXPECT_TRUE(error.message.starts_with("adapter '0': ")) << error.message;
    EXPECT_NE(error.message.find(words), std::string::npos) << what << ": " << error.message;
  }
}

// What overflows in one answer stays in cells that others' attention steps over.
TEST_F(Adapters, ThatOverflowEndTheirOwnAnswersAlone) {
  const std::vector<std::string> files = {adapter_for(head_, 1, 1e30)};
  const std::string plain = alone(files, {});
  Talk t = talk_with(files);
  for (uint64_t round = 0; round < 3; round++) {
    t.complete(10 * round + 1, cat(kPrompt, " and so on"), greedy({{"0", 16}}));
    t.complete(10 * round + 2, cat(kPrompt, " and"), greedy());
    ASSERT_TRUE(t.run());
    ASSERT_TRUE(t[10 * round + 1].failed);
    EXPECT_EQ(t[10 * round + 1].failed->code, Code::Invalid);
    EXPECT_EQ(t[10 * round + 1].failed->param, "lora");
    EXPECT_TRUE(t[10 * round + 2].done) << t[10 * round + 2].failed->message;
  }
  t.complete(100, kPrompt, greedy());
  ASSERT_TRUE(t.run());
  EXPECT_EQ(t[100].text, plain);
}

TEST_F(Adapters, AreNoModelAndSayWhatTheyAre) {
  const TempFile file(adapter_for(head_, 1));
  Pulse pulse;
  const auto loaded = load_file(file.path, {}, pulse);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::Invalid);
  EXPECT_NE(loaded.error().message.find("adapter for 'llama' models"), std::string::npos);
  const Fd opened(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto about = Registered<Backend>::find("llama")->addition(opened.get());
  ASSERT_TRUE(about) << about.error().message;
  EXPECT_EQ((*about)["type"], "adapter");
  EXPECT_EQ((*about)["architecture"], "llama");
  EXPECT_EQ((*about)["adapter"]["rank"], kRank);
  EXPECT_EQ((*about)["adapter"]["alpha"], 2.0 * kRank);
  EXPECT_TRUE(Registered<Backend>::find("llama")->addition(model_.get())->is_null());
}

}  // namespace
}  // namespace lares::engine::testing
