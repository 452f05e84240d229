// Answers of a real model that another says ahead: itself, itself without some of its layers'
// matrices, and a tiny one of random weights with its vocabulary. How long a step takes is said by
// the test, so that it does not hang on the machine.
#include <ggml.h>
#include <gguf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "engine/gguf.h"
#include "engine/testing/talk.h"
#include "engine/testing/timed_model.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

struct FreeGguf {
  void operator()(gguf_context* file) const { gguf_free(file); }
};
using GgufPointer = std::unique_ptr<gguf_context, FreeGguf>;
struct FreeGgml {
  void operator()(ggml_context* context) const { ggml_free(context); }
};

// A file with the bytes of another, in which some matrices are nothing: what it says is sometimes
// what the other says.
TempFile damaged(const fs::path& file, int from_layer, int to_layer) {
  std::ifstream in(file, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto head = gguf::read(bytes);
  EXPECT_TRUE(head);
  for (const gguf::Tensor& tensor : head->tensors) {
    for (int layer = from_layer; layer < to_layer; layer++) {
      if (tensor.name != cat("blk.", layer, ".ffn_down.weight")) continue;
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(head->data_offset + tensor.offset),
                  tensor.bytes, '\0');
    }
  }
  return TempFile(bytes);
}

// One layer of random weights, with the vocabulary of another model.
TempFile random_model(const fs::path& file) {
  constexpr int64_t kWidth = 64;
  constexpr int64_t kForward = 128;
  const GgufPointer like(gguf_init_from_file(file.c_str(), {true, nullptr}));
  EXPECT_TRUE(like);
  const GgufPointer out(gguf_init_empty());
  gguf_set_kv(out.get(), like.get());
  gguf_set_val_u32(out.get(), "llama.block_count", 1);
  gguf_set_val_u32(out.get(), "llama.embedding_length", kWidth);
  gguf_set_val_u32(out.get(), "llama.feed_forward_length", kForward);
  gguf_set_val_u32(out.get(), "llama.attention.head_count", 4);
  gguf_set_val_u32(out.get(), "llama.attention.head_count_kv", 2);
  gguf_set_val_u32(out.get(), "llama.rope.dimension_count", kWidth / 4);
  gguf_set_val_u32(out.get(), "general.file_type", 0);
  const auto tokens = static_cast<int64_t>(
      gguf_get_arr_n(like.get(), gguf_find_key(like.get(), "tokenizer.ggml.tokens")));
  const size_t room = static_cast<size_t>(tokens * kWidth) * sizeof(float) + (1u << 20);
  const std::unique_ptr<ggml_context, FreeGgml> weights(ggml_init({room, nullptr, false}));
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto add = [&](const char* name, int64_t columns, int64_t rows) {
    ggml_tensor* const tensor =
        rows > 0 ? ggml_new_tensor_2d(weights.get(), GGML_TYPE_F32, columns, rows)
                 : ggml_new_tensor_1d(weights.get(), GGML_TYPE_F32, columns);
    ggml_set_name(tensor, name);
    auto* const values = static_cast<float*>(tensor->data);
    for (int64_t i = 0; i < ggml_nelements(tensor); i++)
      values[i] = rows > 0 ? normal(random) * 0.1F : 1.0F;
    gguf_add_tensor(out.get(), tensor);
  };
  add("token_embd.weight", kWidth, tokens);
  add("output_norm.weight", kWidth, 0);
  add("blk.0.attn_norm.weight", kWidth, 0);
  add("blk.0.attn_q.weight", kWidth, kWidth);
  add("blk.0.attn_k.weight", kWidth, kWidth / 2);
  add("blk.0.attn_v.weight", kWidth, kWidth / 2);
  add("blk.0.attn_output.weight", kWidth, kWidth);
  add("blk.0.ffn_norm.weight", kWidth, 0);
  add("blk.0.ffn_gate.weight", kWidth, kForward);
  add("blk.0.ffn_up.weight", kWidth, kForward);
  add("blk.0.ffn_down.weight", kForward, kWidth);
  TempFile made("");
  EXPECT_TRUE(gguf_write_to_file(out.get(), made.path.c_str(), false));
  return made;
}

const char* const kPrompt =
    "The lighthouse keeper wrote in her book each evening. This is what she wrote:";

struct Said {
  std::string text;
  Json logprobs;
  wire::Done done;
  double ms = 0;
};

// What SmolLM2 answers, with a draft model of that file, or with none; a step of its own is said to
// take 20 ms, one of the draft model `draft_ms`.
struct Answering {
  explicit Answering(const fs::path& draft_file, double draft_ms = 3)
      : talk([&](Pulse& pulse) {
          auto model = load(kSmolLm, shape(), pulse);
          EXPECT_TRUE(model);
          return std::make_unique<TimedModel>(*std::move(model), clock(), 20, 0.5);
        }) {
    if (draft_file.empty()) return;
    auto made = load_file(draft_file, shape(), talk.pulse, false, &model().inner());
    EXPECT_TRUE(made) << made.error().message;
    draft = std::make_unique<TimedModel>(*std::move(made), talk.clock, draft_ms, 0.05);
    talk.batcher.draft_with(*draft);
  }
  static wire::Load shape() { return {.name = "m", .context = 512, .sequences = 2, .threads = 1}; }
  FakeClock& clock() { return talk.clock; }
  TimedModel& model() { return static_cast<TimedModel&>(*talk.model); }
  Said ask(uint64_t id, const Json& more, const std::string& prompt = kPrompt) {
    Json body = {{"max_tokens", 60}, {"logprobs", true}, {"ignore_eos", true}};
    body.update(more);
    talk.seed = 5;
    const SteadyTime from = talk.clock.now();
    talk.complete(id, prompt, std::move(body));
    EXPECT_TRUE(talk.run());
    const Heard& heard = talk[id];
    EXPECT_TRUE(heard.done) << (heard.failed ? heard.failed->message : "");
    const double ms = std::chrono::duration<double, std::milli>(talk.clock.now() - from).count();
    return {heard.text, heard.logprobs, heard.done.value_or(wire::Done{}), ms};
  }

  std::unique_ptr<TimedModel> draft;
  Talk talk;
};

#define SMOL_LM_OR_SKIP(file)                                      \
  const auto file##_found = model_file(kSmolLm);                   \
  if (!file##_found) GTEST_SKIP() << file##_found.error().message; \
  const fs::path file = *file##_found

TEST(LlamaDrafts, AModelThatDraftsForItselfIsNearlyAlwaysRight) {
  SMOL_LM_OR_SKIP(file);
  const Said plain = Answering("").ask(1, {{"temperature", 0}});
  const Said drafted = Answering(file).ask(1, {{"temperature", 0}});
  EXPECT_EQ(drafted.text, plain.text);
  const auto& done = drafted.done;
  EXPECT_GT(done.model_drafted_tokens, 20U);
  // but where two tokens are as likely but for the last bits, which differ with the rows of a step
  EXPECT_GE(done.model_accepted_tokens + 3, done.model_drafted_tokens);
  EXPECT_LT(drafted.ms * 1.5, plain.ms);
  ASSERT_EQ(drafted.logprobs.size(), plain.logprobs.size());
  for (size_t i = 0; i < plain.logprobs.size(); i++) {
    EXPECT_NEAR(drafted.logprobs[i]["logprob"], plain.logprobs[i]["logprob"], 0.25)
        << i << " " << plain.logprobs[i]["token"];
  }
}

TEST(LlamaDrafts, OneThatIsOftenWrongChangesNoAnswer) {
  SMOL_LM_OR_SKIP(file);
  const TempFile worse = damaged(file, 14, 16);
  for (const Json& how : std::vector<Json>{{{"temperature", 0}}, {{"temperature", 0.8}}}) {
    const Said plain = Answering("").ask(1, how);
    const Said drafted = Answering(worse.path).ask(1, how);
    EXPECT_EQ(drafted.text, plain.text) << dump(how);
    const auto& done = drafted.done;
    EXPECT_GT(done.model_drafted_tokens, 0U);
    EXPECT_GT(done.model_accepted_tokens, 0U);
    EXPECT_LT(done.model_accepted_tokens, done.model_drafted_tokens) << "some were wrong";
  }
}

TEST(LlamaDrafts, OneThatKnowsNothingIsHardlyAsked) {
  SMOL_LM_OR_SKIP(file);
  const TempFile random = random_model(file);
  const Said plain = Answering("").ask(1, {{"temperature", 0}, {"max_tokens", 150}});
  const Said drafted = Answering(random.path, 1).ask(1, {{"temperature", 0}, {"max_tokens", 150}});
  EXPECT_EQ(drafted.text, plain.text);
  EXPECT_GT(drafted.done.model_drafted_tokens, 0U) << "it was tried";
  EXPECT_LT(drafted.done.model_drafted_tokens, 60U);
  EXPECT_LE(drafted.done.model_accepted_tokens * 4, drafted.done.model_drafted_tokens);
  EXPECT_LT(drafted.ms, plain.ms * 1.15);
}

TEST(LlamaDrafts, TwoAnswersAndAFollowUpAreThoseWithoutDrafts) {
  SMOL_LM_OR_SKIP(file);
  const auto both = [](Answering& here) {
    std::vector<std::string> texts;
    Json body = {{"temperature", 0}, {"max_tokens", 40}, {"ignore_eos", true}};
    here.talk.complete(1, kPrompt, body);
    here.talk.complete(2, "A recipe for bread, in ten short steps:", body);
    EXPECT_TRUE(here.talk.run());
    here.talk.complete(3, kPrompt + here.talk[1].text + " The next evening", body);
    EXPECT_TRUE(here.talk.run());
    for (uint64_t id = 1; id <= 3; id++) texts.push_back(here.talk[id].text);
    return texts;
  };
  Answering plain("");
  Answering drafted(file);
  EXPECT_EQ(both(drafted), both(plain));
  for (uint64_t id = 1; id <= 3; id++)
    EXPECT_GT(drafted.talk[id].done->model_accepted_tokens, 10U) << id;
}

TEST(LlamaDrafts, ASeededAnswerIsTheSameFromRunToRun) {
  SMOL_LM_OR_SKIP(file);
  const TempFile random = random_model(file);
  const auto run = [&](double draft_ms) {
    Answering here(random.path, draft_ms);
    return here.ask(1, {{"seed", 3}, {"temperature", 0.9}});
  };
  const Said one = run(1);
  const Said two = run(300);
  EXPECT_GT(one.done.model_drafted_tokens, 0U) << "by its size it should pay";
  EXPECT_EQ(one.text, two.text);
  EXPECT_EQ(one.logprobs, two.logprobs) << "bit for bit";
}

TEST(LlamaDrafts, AnotherVocabularyIsRefusedWithItsFirstDifference) {
  SMOL_LM_OR_SKIP(file);
  const auto gemma = model_file(kGemma);
  if (!gemma) GTEST_SKIP() << gemma.error().message;
  Answering here("");
  const auto refused =
      load_file(*gemma, Answering::shape(), here.talk.pulse, false, &here.model().inner());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Invalid);
  EXPECT_TRUE(refused.error().message.starts_with("its vocabulary is another: of "))
      << refused.error().message;
}

TEST(LlamaDrafts, OneTokenThatDiffersIsNamed) {
  SMOL_LM_OR_SKIP(file);
  std::ifstream in(*model_file(kSmolLm), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  // a whole word of the vocabulary, with the length before it, as the file has it
  std::string word("\x0b\0\0\0\0\0\0\0", 8);
  word += "\xC4\xA0government";
  word[0] = static_cast<char>(word.size() - 8);
  const size_t at = bytes.find(word);
  ASSERT_NE(at, std::string::npos);
  bytes[at + word.size() - 1] = 'd';
  const TempFile other(bytes);
  Answering here("");
  const auto refused =
      load_file(other.path, Answering::shape(), here.talk.pulse, false, &here.model().inner());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("'\xC4\xA0governmend' and not '\xC4\xA0government'"),
            std::string::npos)
      << refused.error().message;
}

TEST(LlamaDrafts, AnEmbedderDoesNotDraft) {
  SMOL_LM_OR_SKIP(file);
  const auto embedder = model_file(kMiniLm);
  if (!embedder) GTEST_SKIP() << embedder.error().message;
  Answering here("");
  const auto refused =
      load_file(*embedder, Answering::shape(), here.talk.pulse, false, &here.model().inner());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("vectors"), std::string::npos) << refused.error().message;
}

// What it takes is told, so that the daemon can count it: weights and cells, and nothing parked.
TEST(LlamaDrafts, ItsMemoryIsTold) {
  SMOL_LM_OR_SKIP(file);
  Answering here(file);
  const Facts& own = here.model().facts();
  const Facts& its = here.draft->facts();
  EXPECT_EQ(its.parked_bytes, 0U);
  EXPECT_EQ(its.memory_bytes + own.parked_bytes, own.memory_bytes);
}

}  // namespace
}  // namespace lares::engine::testing
