// Ranking with the real engine: a small cross-encoder with random weights is written, and its
// scores are held against the same sums made here, in another way and in double precision.
#include <cmath>
#include <random>

#include "engine/testing/gguf_file.h"
#include "engine/testing/talk.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

using Vector = std::vector<double>;

constexpr size_t kWidth = 32, kHeads = 4, kLayers = 2, kFeedForward = 64, kPositions = 64;
constexpr double kEpsilon = 1e-12;
const std::vector<std::string> kWords = {
    "[PAD]",     "[UNK]",    "[CLS]",     "[SEP]",     "[MASK]",    "\u2581the", "\u2581cat",
    "\u2581sat", "\u2581on", "\u2581mat", "\u2581dog", "\u2581ran", "s"};
enum : Token { kUnknown = 1, kBegin = 2, kSeparator = 3, kThe = 5, kCat, kSat, kOn, kMat, kDog };

// BERT with a head that scores, by the names that the engine has for its tensors.
class CrossEncoder {
 public:
  explicit CrossEncoder(uint32_t seed) : random_(seed) {
    file_.text("general.architecture", "bert");
    file_.text("general.name", "a small cross-encoder");
    file_.u32("general.file_type", 0);
    file_.u32("bert.context_length", kPositions);
    file_.u32("bert.embedding_length", kWidth);
    file_.u32("bert.feed_forward_length", kFeedForward);
    file_.u32("bert.block_count", kLayers);
    file_.u32("bert.attention.head_count", kHeads);
    file_.f32("bert.attention.layer_norm_epsilon", static_cast<float>(kEpsilon));
    file_.boolean("bert.attention.causal", false);
    file_.u32("bert.pooling_type", 4);
    file_.text("tokenizer.ggml.model", "bert");
    file_.text("tokenizer.ggml.pre", "default");
    file_.u32("tokenizer.ggml.token_type_count", 2);
    file_.texts("tokenizer.ggml.tokens", kWords);
    file_.u32("tokenizer.ggml.bos_token_id", kBegin);
    file_.u32("tokenizer.ggml.unknown_token_id", kUnknown);
    file_.u32("tokenizer.ggml.seperator_token_id", kSeparator);
    file_.u32("tokenizer.ggml.padding_token_id", 0);
    file_.boolean("tokenizer.ggml.add_bos_token", true);
    file_.boolean("tokenizer.ggml.add_sep_token", true);
    matrix("token_embd.weight", kWidth, kWords.size());
    matrix("token_types.weight", kWidth, 2);
    matrix("position_embd.weight", kWidth, kPositions);
    norm("token_embd_norm");
    for (size_t i = 0; i < kLayers; i++) {
      const std::string layer = cat("blk.", i, ".");
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
        linear(layer + name, kWidth, kWidth);
      norm(layer + "attn_output_norm");
      linear(layer + "ffn_up", kWidth, kFeedForward);
      linear(layer + "ffn_down", kFeedForward, kWidth);
      norm(layer + "layer_output_norm");
    }
    linear("cls", kWidth, kWidth);
    linear("cls.output", kWidth, 1);
  }

  std::string bytes() const { return file_.bytes(); }

  double score(const std::vector<Token>& tokens) const {
    std::vector<Vector> x;
    for (size_t at = 0; at < tokens.size(); at++) {
      Vector sum(kWidth);
      for (size_t i = 0; i < kWidth; i++)
        sum[i] = value("token_embd.weight", static_cast<size_t>(tokens[at]) * kWidth + i) +
                 value("token_types.weight", i) + value("position_embd.weight", at * kWidth + i);
      x.push_back(normed(sum, "token_embd_norm"));
    }
    for (size_t i = 0; i < kLayers; i++) x = through(x, cat("blk.", i, "."));
    Vector head = times("cls", x[0], kWidth);
    for (double& h : head) h = std::tanh(h);
    return times("cls.output", head, 1)[0];
  }

 private:
  void tensor(const std::string& name, const std::vector<uint64_t>& size, double scale,
              double middle = 0) {
    size_t count = 1;
    for (const uint64_t n : size) count *= static_cast<size_t>(n);
    std::normal_distribution<float> draw(static_cast<float>(middle), static_cast<float>(scale));
    std::vector<float> values(count);
    for (float& v : values) v = draw(random_);
    file_.floats(name, size, values);
    weights_[name] = std::move(values);
  }
  void matrix(const std::string& name, uint64_t in, uint64_t out) { tensor(name, {in, out}, 0.3); }
  void linear(const std::string& name, uint64_t in, uint64_t out) {
    matrix(name + ".weight", in, out);
    tensor(name + ".bias", {out}, 0.1);
  }
  void norm(const std::string& name) {
    tensor(name + ".weight", {kWidth}, 0.1, 1);
    tensor(name + ".bias", {kWidth}, 0.1);
  }

  double value(const std::string& name, size_t at) const {
    return static_cast<double>(weights_.at(name)[at]);
  }
  Vector times(const std::string& name, const Vector& in, size_t out) const {
    Vector result(out);
    for (size_t row = 0; row < out; row++) {
      result[row] = value(name + ".bias", row);
      for (size_t i = 0; i < in.size(); i++)
        result[row] += value(name + ".weight", row * in.size() + i) * in[i];
    }
    return result;
  }
  Vector normed(const Vector& in, const std::string& name) const {
    double mean = 0, square = 0;
    for (const double v : in) mean += v / static_cast<double>(in.size());
    for (const double v : in) square += (v - mean) * (v - mean) / static_cast<double>(in.size());
    Vector out(in.size());
    for (size_t i = 0; i < in.size(); i++)
      out[i] = (in[i] - mean) / std::sqrt(square + kEpsilon) * value(name + ".weight", i) +
               value(name + ".bias", i);
    return out;
  }
  static Vector sum(Vector a, const Vector& b) {
    for (size_t i = 0; i < a.size(); i++) a[i] += b[i];
    return a;
  }

  std::vector<Vector> through(const std::vector<Vector>& x, const std::string& layer) const {
    constexpr size_t kHead = kWidth / kHeads;
    std::vector<Vector> q, k, v, out;
    for (const Vector& one : x) {
      q.push_back(times(layer + "attn_q", one, kWidth));
      k.push_back(times(layer + "attn_k", one, kWidth));
      v.push_back(times(layer + "attn_v", one, kWidth));
    }
    for (size_t at = 0; at < x.size(); at++) {
      Vector mixed(kWidth);
      for (size_t head = 0; head < kHeads; head++) {
        Vector weight(x.size());
        double total = 0;
        for (size_t other = 0; other < x.size(); other++) {
          double dot = 0;
          for (size_t i = head * kHead; i < (head + 1) * kHead; i++) dot += q[at][i] * k[other][i];
          weight[other] = std::exp(dot / std::sqrt(static_cast<double>(kHead)));
          total += weight[other];
        }
        for (size_t other = 0; other < x.size(); other++) {
          for (size_t i = head * kHead; i < (head + 1) * kHead; i++)
            mixed[i] += weight[other] / total * v[other][i];
        }
      }
      const Vector attended = normed(sum(times(layer + "attn_output", mixed, kWidth), x[at]),
                                     layer + "attn_output_norm");
      Vector inner = times(layer + "ffn_up", attended, kFeedForward);
      for (double& h : inner)  // GELU by tanh; the engine looks it up in a table of 16 bits
        h = 0.5 * h * (1 + std::tanh(std::sqrt(2 / M_PI) * (h + 0.044715 * h * h * h)));
      out.push_back(normed(sum(times(layer + "ffn_down", inner, kWidth), attended),
                           layer + "layer_output_norm"));
    }
    return out;
  }

  std::mt19937 random_;
  GgufFile file_;
  std::map<std::string, std::vector<float>> weights_;
};

constexpr std::string_view kQuery = "the cat";
const std::vector<std::string> kDocuments = {"the cat sat on the mat", "dog", "on the mat",
                                             "the dog ran", "cats"};

std::vector<Token> tokens_of(size_t document) {
  static const std::vector<std::vector<Token>> kTokens = {
      {kThe, kCat, kSat, kOn, kThe, kMat}, {kDog}, {kOn, kThe, kMat}, {kThe, kDog, 11}, {kCat, 12}};
  std::vector<Token> all = {kBegin, kThe, kCat, kSeparator};
  all.insert(all.end(), kTokens[document].begin(), kTokens[document].end());
  all.push_back(kSeparator);
  return all;
}

class Ranking : public ::testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override {
    if (!variant()) GTEST_SKIP() << variant().error().message;
  }
  Result<std::unique_ptr<Model>> load(const TempFile& file, bool inspect_only = false) {
    return load_file(file.path, {.embeddings = true}, pulse_, inspect_only);
  }
  Pulse pulse_;
};

TEST_P(Ranking, GivesTheScoresThatTheSameSumsGiveHere) {
  const CrossEncoder reference(GetParam());
  const TempFile file(reference.bytes());
  auto loaded = load(file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE((*loaded)->facts().ranks);
  EXPECT_FALSE((*loaded)->facts().pools);
  std::shared_ptr<Model> shared = *std::move(loaded);
  std::optional<wire::Done> done;
  std::optional<Error> failed;
  const SystemClock clock;
  Lease lease;
  OwnMaker batcher(
      *shared, pulse_, clock, lease,
      [&](uint64_t, Batcher::Event event) {
        if (auto* end = std::get_if<wire::Done>(&event)) done = *end;
        if (auto* end = std::get_if<wire::Failed>(&event)) failed = end->error;
      },
      [] { return 1U; });
  batcher.rank(1, {std::string(kQuery), Json(kDocuments)});
  while (batcher.step()) {
  }
  ASSERT_TRUE(done) << failed->message;
  EXPECT_EQ(done->reason, "ranked");
  ASSERT_EQ(done->vectors.size(), kDocuments.size() * sizeof(float));
  double spread = 0;
  for (size_t i = 0; i < kDocuments.size(); i++) {
    EXPECT_EQ(*shared->tokenize_pair(kQuery, kDocuments[i]), tokens_of(i)) << i;
    float score = 0;
    std::memcpy(&score, done->vectors.data() + i * sizeof score, sizeof score);
    const double expected = reference.score(tokens_of(i));
    EXPECT_NEAR(static_cast<double>(score), expected, 5e-3 * std::max(1.0, std::abs(expected)))
        << kDocuments[i];
    spread = std::max(spread, std::abs(expected - reference.score(tokens_of(0))));
  }
  EXPECT_GT(spread, 0.05);  // else any score would do
}

TEST_P(Ranking, ALongPairIsRefusedWithBothNumbers) {
  const TempFile file(CrossEncoder(GetParam()).bytes());
  auto loaded = load(file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const SystemClock clock;
  RequestMaker maker(**loaded, pulse_, clock, [] { return 1U; });
  std::string most = "cat";
  for (size_t i = 1; i < kPositions - 5; i++) most += " cat";
  EXPECT_TRUE(maker.rank(1, wire::Rank{std::string(kQuery), Json::array({most})}));
  const auto longer =
      maker.rank(2, wire::Rank{std::string(kQuery), Json::array({"a", most + " cat"})});
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().param, "documents");
  EXPECT_EQ(longer.error().message,
            "'documents' number 1 has 65 tokens together with the query, but this model takes 64; "
            "split it into shorter pieces");
}

TEST_P(Ranking, TheFileSaysThatItRanks) {
  const TempFile file(CrossEncoder(GetParam()).bytes());
  const auto seen = load(file, true);
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ((*seen)->facts().info["pooling"], "rank");
}

INSTANTIATE_TEST_SUITE_P(Seeds, Ranking, ::testing::Values(1U, 2U, 3U));

}  // namespace
}  // namespace lares::engine::testing
