// The llama engine with real models: the contract of every backend, templates, embeddings, windows,
// and files that are none. Models are looked for in LARES_TEST_MODELS, else in the person's own
// folder; what is absent is skipped, and says so.
#include <fcntl.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "engine/gguf.h"
#include "engine/testing/child.h"
#include "engine/testing/contract.h"
#include "real_models.h"

namespace lares::engine::testing {
namespace {

// The reader of heads has a table of its own of how weights are packed.
TEST(Packings, AreAsTheEngineHasThem) {
  size_t known = 0;
  for (uint32_t type = 0; type < GGML_TYPE_COUNT + 8; type++) {
    const gguf::Packing* const packed = gguf::packing(type);
    const bool exists = type < GGML_TYPE_COUNT && ggml_type_size(static_cast<ggml_type>(type)) > 0;
    ASSERT_EQ(packed != nullptr, exists) << type;
    if (!packed) continue;
    EXPECT_EQ(packed->values, ggml_blck_size(static_cast<ggml_type>(type))) << packed->name;
    EXPECT_EQ(packed->bytes, ggml_type_size(static_cast<ggml_type>(type))) << packed->name;
    known++;
  }
  EXPECT_GT(known, 30u);
}

ContractCase contract_for(const std::string& name, const std::vector<std::string>& with) {
  return {name, [with](const wire::Load& shape, Pulse& pulse) { return load(with, shape, pulse); }};
}
INSTANTIATE_TEST_SUITE_P(Llama, BackendContract,
                         ::testing::Values(contract_for("SmolLM2", kSmolLm),
                                           contract_for("Gemma3", kGemma)),
                         contract_name);

TEST(Llama, RendersSmolLm2sTemplateAsItsAuthorsWroteIt) {
  LOAD_OR_SKIP(model, kSmolLm, {});
  const auto render = [&](const Json& messages) {
    return model.render_chat({messages, nullptr, {}})->prompt;
  };
  EXPECT_EQ(render({{{"role", "user"}, {"content", "Hi"}}}),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(render({{{"role", "developer"}, {"content", "Be brief."}},
                    {{"role", "user"},
                     {"content",
                      {{{"type", "text"}, {"text", "One"}}, {{"type", "text"}, {"text", "two"}}}}},
                    {{"role", "assistant"}, {"content", "Three"}},
                    {{"role", "user"}, {"content", "Four"}}}),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne\ntwo<|im_end|>\n"
            "<|im_start|>assistant\nThree<|im_end|>\n<|im_start|>user\nFour<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(Llama, ReadsControlTokensOfTheTemplateAndNotOfAnInput) {
  LOAD_OR_SKIP(model, kSmolLm, {});
  EXPECT_EQ(model.tokenize("<|im_end|>", Special::Parsed)->size(), 1U);
  EXPECT_GT(model.tokenize("<|im_end|>", Special::AsText)->size(), 1U);
}

TEST(Llama, ABaseModelWithoutATemplateRefusesChats) {
  LOAD_OR_SKIP(model, kGemma, {});
  const auto rendered =
      model.render_chat({Json::array({{{"role", "user"}, {"content", "Hi"}}}), nullptr, {}});
  ASSERT_FALSE(rendered);
  EXPECT_EQ(rendered.error().code, Code::Invalid);
  EXPECT_NE(rendered.error().message.find("no chat template"), std::string::npos);
}

TEST(Llama, InspectsAFileAsALoadDescribesIt) {
  LOAD_OR_SKIP(model, kSmolLm, {});
  Json whole = model.facts().info;
  auto inspected = load(kSmolLm, {}, pulse, true);
  ASSERT_TRUE(inspected);
  Json head = (*inspected)->facts().info;
  EXPECT_EQ(head["context_train"], 8192);
  EXPECT_EQ(head["architecture"], "llama");
  // what only one of them can know: the buffers of a load, or of a dry run of one; what it takes
  // beside text
  for (const char* own : {"context", "memory", "dry_run", "inputs"}) {
    whole.erase(own);
    head.erase(own);
  }
  EXPECT_EQ(head, whole);
}

TEST(Llama, AChatModelIsNotLoadedForEmbeddings) {
  Pulse pulse;
  wire::Load shape;
  shape.embeddings = true;
  const auto loaded = load(kSmolLm, shape, pulse);
  if (!loaded && loaded.error().code == Code::NotFound) GTEST_SKIP() << loaded.error().message;
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("all-minilm-l6-v2"), std::string::npos);
}

TEST(Llama, AWindowIsBuiltUponOnlyWhereItIsWhole) {
  Pulse pulse;
  wire::Load shape;
  shape.context = 4096;
  shape.sequences = 1;  // or the cells of the window have room for more than the window
  shape.threads = 2;
  auto probe = load(kGemma, shape, pulse);
  if (!probe && probe.error().code == Code::NotFound) GTEST_SKIP() << probe.error().message;
  ASSERT_TRUE(probe) << probe.error().message;
  ASSERT_GT((*probe)->facts().window, 0U);
  probe->reset();

  Talk talk([&](Pulse& p) { return *load(kGemma, shape, p); });
  const auto prompt = [](size_t count) {
    Json tokens = Json::array({2});
    for (size_t i = 1; i < count; i++) tokens.push_back(1000 + i % 997);
    return tokens;
  };
  const Json few = {{"max_tokens", 4}, {"temperature", 0}, {"ignore_eos", true}};
  talk.complete(1, prompt(1500), few);
  ASSERT_TRUE(talk.run());
  Json longer = prompt(1500);
  for (int i = 0; i < 40; i++) longer.push_back(500 + i);
  talk.complete(2, longer, few);
  ASSERT_TRUE(talk.run());
  EXPECT_GE(talk[2].started->reused_tokens, 1499U);
  Json cut = prompt(300);
  for (int i = 0; i < 40; i++) cut.push_back(500 + i);
  talk.complete(3, cut, few);
  ASSERT_TRUE(talk.run());
  EXPECT_EQ(talk[3].started->reused_tokens, 0U);
  ASSERT_TRUE(talk[3].done);
}

const char* const kRecited =
    "One two three four five six seven eight nine ten. One two three four five six seven eight "
    "nine "
    "ten. One two three four five six seven eight nine ten. One two three";

// What the model itself says of each token that came of a draft is what it says without one, but
// for the last bits: rows that are computed together are summed in another order.
TEST(Llama, DraftsAreKeptOnlyWhereTheModelAgrees) {
  for (const auto& with : {kSmolLm, kGemma}) {
    const auto say = [&](const Json& more, int& steps) {
      Talk talk([&](Pulse& pulse) {
        auto model = load(with, {.name = "m", .context = 1024, .sequences = 2}, pulse);
        return model ? *std::move(model) : nullptr;
      });
      Json body = {
          {"temperature", 0}, {"max_tokens", 40}, {"logprobs", true}, {"ignore_eos", true}};
      body.update(more);
      talk.complete(1, kRecited, std::move(body));
      for (steps = 0; talk.batcher.step(); steps++) {
      }
      EXPECT_TRUE(talk[1].done);
      return talk[1];
    };
    if (!model_file(with)) GTEST_SKIP() << model_file(with).error().message;
    int plain_steps = 0, steps = 0, again_steps = 0;
    const Heard plain = say(Json::object(), plain_steps);
    const Heard drafted = say({{"seed", 1}}, steps);
    const Heard again = say({{"seed", 1}}, again_steps);
    EXPECT_EQ(drafted.text, plain.text);
    EXPECT_LT(steps, plain_steps);
    EXPECT_EQ(steps, again_steps);
    EXPECT_EQ(drafted.logprobs, again.logprobs) << "bit for bit, from run to run";
    ASSERT_EQ(drafted.logprobs.size(), plain.logprobs.size());
    for (size_t i = 0; i < plain.logprobs.size(); i++) {
      EXPECT_NEAR(drafted.logprobs[i]["logprob"], plain.logprobs[i]["logprob"], 0.25)
          << i << " " << plain.logprobs[i]["token"];
    }
  }
}

TEST(Llama, EmbedsTextsOfLikeMeaningNearEachOther) {
  wire::Load shape;
  shape.embeddings = true;
  LOAD_OR_SKIP(model, kMiniLm, shape);
  EXPECT_TRUE(model.facts().pools);
  EXPECT_FALSE(model.facts().generates);
  const auto length = model.facts().info["embedding_length"].get<size_t>();
  EXPECT_EQ(length, 384U);
  std::vector<std::vector<Token>> tokens;
  for (const char* text : {"A cat sits on the mat.", "A kitten is lying on a rug.",
                           "The stock market fell by three percent.", "x"}) {
    tokens.push_back(*model.tokenize(text, Special::AsText));
  }
  const std::vector<std::span<const Token>> together(tokens.begin(), tokens.end());
  const auto all = model.embed(together);
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 4 * length);
  const auto dot = [&](std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++)
      sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  };
  const auto at = [&](size_t i) { return std::span(*all).subspan(i * length, length); };
  for (size_t i = 0; i < 4; i++) EXPECT_NEAR(dot(at(i), at(i)), 1, 1e-4);
  EXPECT_GT(dot(at(0), at(1)), dot(at(0), at(2)) + 0.2);
  // alone or together makes no difference that matters
  for (size_t i = 0; i < 4; i++) {
    const auto alone = model.embed(std::span(together).subspan(i, 1));
    ASSERT_TRUE(alone);
    EXPECT_GT(dot(*alone, at(i)), 0.9999);
  }
}

TEST(Llama, AnEmbeddingModelTakesItsLongestInputAndRefusesALongerOne) {
  wire::Load shape;
  shape.embeddings = true;
  {
    LOAD_OR_SKIP(model, kMiniLm, shape);
    EXPECT_EQ(model.facts().context, 256U);
  }
  Talk talk([&](Pulse& p) { return *load(kMiniLm, shape, p); });
  const auto input = [](size_t count) { return std::vector<int>(count, 2000); };
  talk.batcher.embed(1, {Json::array({input(256), "short"})});
  ASSERT_TRUE(talk.run());
  EXPECT_TRUE(talk[1].done);
  talk.batcher.embed(2, {Json::array({input(257)})});
  ASSERT_TRUE(talk[2].failed);
  EXPECT_NE(talk[2].failed->message.find("257"), std::string::npos);
}

// --- files that are none
// -----------------------------------------------------------------------------

// A real lares-worker, sandbox and all, with this file as its model.
class Worker : public Child {
 public:
  explicit Worker(const fs::path& model)
      : Child([&](int control) {
          const int file = ::open(model.c_str(), O_RDONLY);
          const int ends[2] = {::dup(control), ::dup(file)};  // out of each other's way
          ::dup2(ends[0], wire::kControlFd);
          ::dup2(ends[1], wire::kModelFd);
          const std::string variant_option = cat("--variant=", variant()->string());
          ::execl(LARES_BIN_FOLDER "/lares-worker", "lares-worker", "--engine=llama",
                  variant_option.c_str(), nullptr);
          return 99;
        }) {}
};

// What a worker makes of a file: "loaded", the code of its error, or "dead"; "hangs" is what must
// never be.
std::string verdict(const fs::path& file, wire::Type ask) {
  Worker worker(file);
  if (!worker.next_of(wire::Type::Hello)) return cat("no hello: ", worker.log());
  worker.send(ask == wire::Type::Load
                  ? wire::to_frame(wire::Load{.name = "bad", .context = 256, .threads = 1})
                  : wire::to_frame(ask, 0));
  while (const auto frame = worker.next(std::chrono::seconds(60))) {
    if (frame->type == static_cast<uint8_t>(wire::Type::Failed)) {
      const auto failed = wire::from_frame<wire::Failed>(*frame);
      EXPECT_TRUE(failed);
      EXPECT_FALSE(failed->error.message.empty());
      return std::string(row(failed->error.code).name);
    }
    if (frame->type != static_cast<uint8_t>(wire::Type::Loaded)) continue;
    if (ask == wire::Type::Inspect) return "loaded";
    // loaded: then it must answer, or die of it, too
    worker.send(wire::to_frame(
        wire::Generate{"completion", {{"prompt", {1, 2}}, {"max_tokens", 2}, {"ignore_eos", true}}},
        1));
    while (const auto next = worker.next(std::chrono::seconds(60))) {
      if (next->type == static_cast<uint8_t>(wire::Type::Done) ||
          next->type == static_cast<uint8_t>(wire::Type::Failed)) {
        return "loaded";
      }
    }
    break;
  }
  return worker.end(std::chrono::seconds(5)) ? "dead" : "hangs";
}

void expect_refused(const fs::path& file, const std::string& what) {
  for (const wire::Type ask : {wire::Type::Inspect, wire::Type::Load}) {
    const std::string said = verdict(file, ask);
    EXPECT_TRUE(said == "corrupt" || said == "invalid" || said == "unsupported" ||
                said == "no_room" || said == "dead")
        << what << ": " << said;
  }
}

template <class Int>
std::string little(Int value) {
  std::string bytes(sizeof value, '\0');
  for (size_t i = 0; i < sizeof value; i++) bytes[i] = static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

std::string header(uint32_t version, uint64_t tensors, uint64_t keys) {
  return "GGUF" + little(version) + little(tensors) + little(keys);
}

TEST(LlamaBadFiles, AreRefusedWithWords) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  const struct {
    const char* what;
    std::string bytes;
    std::string code;
  } table[] = {
      {"empty", "", "corrupt"},
      {"a zip archive", std::string("PK\x03\x04", 4) + std::string(100, 'x'), "invalid"},
      {"an HTML page", "<!DOCTYPE html><html>not found</html>", "invalid"},
      {"the letters only", "GGUF", "corrupt"},
      {"2^31 keys", header(3, 0, uint64_t{1} << 31), "corrupt"},
      {"2^63 keys", header(3, 0, uint64_t{1} << 63), "corrupt"},
      {"2^31 tensors", header(3, uint64_t{1} << 31, 0), "corrupt"},
      {"version 99", header(99, 0, 0), "corrupt"},
      {"nothing in it", header(3, 0, 0), "corrupt"},
      {"a key of 2^60 bytes", header(3, 0, 1) + little(uint64_t{1} << 60), "corrupt"},
  };
  for (const auto& [what, bytes, code] : table) {
    const TempFile file(bytes);
    EXPECT_EQ(verdict(file.path, wire::Type::Load), code) << what;
    EXPECT_EQ(verdict(file.path, wire::Type::Inspect), code) << what;
  }
}

TEST(LlamaBadFiles, TruncatedAnywhereAreRefused) {
  const auto whole = model_file(kSmolLm);
  if (!whole) GTEST_SKIP() << whole.error().message;
  std::string bytes(3'000'000, '\0');
  std::ifstream(*whole, std::ios::binary)
      .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  for (const size_t size : {1, 5, 23, 24, 100, 5'000, 700'000, 2'000'000, 3'000'000}) {
    const TempFile file(std::string_view(bytes).substr(0, size));
    expect_refused(file.path, cat("the first ", size, " bytes"));
  }
}

TEST(LlamaBadFiles, FlippedBitsNeverHang) {
  const auto whole = model_file(kSmolLm);
  if (!whole) GTEST_SKIP() << whole.error().message;
  std::string bytes(fs::file_size(*whole), '\0');
  std::ifstream(*whole, std::ios::binary)
      .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::mt19937 random(11);
  for (int i = 0; i < 12; i++) {
    std::string bad = bytes;
    const size_t within = i % 3 == 0   ? 200
                          : i % 3 == 1 ? 4'000
                                       : 1'800'000;  // header, keys, tensors
    for (int k = 0; k < 3; k++) bad[random() % within] ^= static_cast<char>(1 << (random() % 8));
    const TempFile file(bad);
    const std::string said = verdict(file.path, wire::Type::Load);
    EXPECT_NE(said, "hangs") << i;
    EXPECT_FALSE(said.starts_with("no hello")) << said;
  }
}

TEST(LlamaBadFiles, TheCollectionOfThemIsRefused) {
  const char* data = std::getenv("LARES_TEST_DATA");
  if (!data) GTEST_SKIP() << "LARES_TEST_DATA names no folder";
  if (!variant()) GTEST_SKIP() << variant().error().message;
  std::error_code none;
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(data) / "fuzz/gguf", none)) {
    // none of them is a model, the well-formed ones neither
    expect_refused(entry.path(), entry.path().filename().string());
    count++;
  }
  EXPECT_GT(count, 0U);
}

}  // namespace
}  // namespace lares::engine::testing
