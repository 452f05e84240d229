// Every vocabulary that the engine's source tree has reference answers for, read by our own reader
// of heads, loaded as a file that is inspected, and asked for the tokens of the texts there. The
// tree is the one that `tools/bootstrap peer` unpacks; where it is absent the test is skipped.
#include <fstream>
#include <map>
#include <sstream>

#include "real_models.h"

namespace lares::engine::testing {
namespace {

constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";

// ".../llama-cpp-python-X/vendor/llama.cpp" has its tests in ".../llama-cpp-python-X-whole/...".
fs::path vocabularies() {
  const fs::path tree = fs::path(LARES_ENGINE_SOURCE).lexically_normal();
  const fs::path archive = tree.parent_path().parent_path();
  return archive.string() + "-whole/vendor/llama.cpp/models";
}

std::string file_text(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

// Pairs of a text and its tokens, without those that a model wants around every text.
std::vector<std::pair<std::string, std::vector<Token>>> cases(const fs::path& vocabulary) {
  const std::string texts = file_text(vocabulary.string() + ".inp");
  std::istringstream lines(file_text(vocabulary.string() + ".out"));
  std::vector<std::pair<std::string, std::vector<Token>>> out;
  for (size_t from = 0; from < texts.size();) {
    const size_t to = texts.find(kBetween, from);
    if (to == std::string::npos) break;
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    std::vector<Token> tokens;
    for (Token token = 0; numbers >> token;) tokens.push_back(token);
    out.emplace_back(texts.substr(from, to - from), std::move(tokens));
    from = to + kBetween.size();
  }
  return out;
}

// The same vocabulary with four numbers as its weights: the engine maps no file that has none.
std::string with_a_tensor(std::string bytes) {
  constexpr size_t kCountAt = 8;
  bytes[kCountAt] = 1;
  const auto append = [&](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  append(uint64_t{1});
  bytes += 'x';
  append(uint32_t{1});  // dimensions
  append(uint64_t{4});
  append(uint32_t{0});  // F32
  append(uint64_t{0});  // where
  bytes.resize((bytes.size() + 31) / 32 * 32 + 32);
  return bytes;
}

std::string shown(const std::vector<Token>& tokens) {
  std::string out;
  for (const Token token : tokens) out += cat(token, " ");
  return out;
}

TEST(Tokenizers, GiveTheTokensThatTheEnginesTreeExpects) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  size_t vocabularies_seen = 0, texts_seen = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(vocabularies(), none)) {
    const fs::path& file = entry.path();
    if (file.extension() != ".gguf" || !fs::exists(file.string() + ".out")) continue;
    Pulse pulse;
    const TempFile with_weights(with_a_tensor(file_text(file)));
    const auto model = load_file(with_weights.path, {}, pulse, true);
    ASSERT_TRUE(model) << file << ": " << model.error().message;
    const auto around = (*model)->tokenize("", Special::AsText);
    ASSERT_TRUE(around) << file;
    ASSERT_LE(around->size(), 2U) << file;
    for (const auto& [text, expected] : cases(file)) {
      std::vector<Token> whole = expected;
      if (!around->empty()) whole.insert(whole.begin(), around->front());
      if (around->size() == 2) whole.push_back(around->back());
      const auto tokens = (*model)->tokenize(text, Special::AsText);
      ASSERT_TRUE(tokens) << file;
      EXPECT_EQ(*tokens, whole) << file.filename() << ": '" << text << "'\n  " << shown(*tokens)
                                << "\n  " << shown(whole);
      texts_seen++;
    }
    vocabularies_seen++;
  }
  if (vocabularies_seen == 0) {
    GTEST_SKIP() << "no vocabularies in " << vocabularies()
                 << "; tools/bootstrap peer fetches them";
  }
  EXPECT_GE(vocabularies_seen, 14U);
  EXPECT_GE(texts_seen, 600U);
}

// By the vocabularies alone: what surrounds a gap stands between the tokens that they have for it.
TEST(Tokenizers, SurroundAGapWithTheVocabularysOwnTokens) {
  if (!variant()) GTEST_SKIP() << variant().error().message;
  const Gap gap{"def add(a, b):\n    return ", "\n\nprint(add(1, 2))", "a", {{"x.py", "import y"}}};
  const std::map<std::string, std::string> expected = {
      {"starcoder",
       "\n\nimport y<fim_prefix>def add(a, b):\n    return a<fim_suffix>\n\nprint(add(1, "
       "2))<fim_middle>"},
      {"gpt-2", ""}};  // has none
  for (const auto& [name, text] : expected) {
    const fs::path file = vocabularies() / cat("ggml-vocab-", name, ".gguf");
    if (!fs::exists(file)) GTEST_SKIP() << "no " << file << "; tools/bootstrap peer fetches them";
    Pulse pulse;
    const TempFile with_weights(with_a_tensor(file_text(file)));
    const auto model = load_file(with_weights.path, {}, pulse, true);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->facts().fills, !text.empty()) << name;
    if (!(*model)->facts().fills) continue;
    const auto tokens = (*model)->tokenize_gap(gap, 1000);
    ASSERT_TRUE(tokens) << tokens.error().message;
    std::string said;
    for (const Token token : *tokens) said += (*model)->piece(token, Special::AsText);
    EXPECT_EQ(said, text);
    EXPECT_LE((*model)->tokenize_gap(gap, 16)->size(), 16U);
  }
}

}  // namespace
}  // namespace lares::engine::testing
