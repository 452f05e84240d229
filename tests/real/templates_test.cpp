// Every chat template that the engine ships: rendered with tools, and a call of a tool and a
// thought in that template's own writing are taken apart again. Needs no model, only the engine's
// source tree; where that is absent these tests are skipped, and say so.
#include <chat.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "engine/backends/llama_chat.h"
#include "engine/backends/llama_structure.h"

namespace lares::engine::llama {
namespace {

namespace fs = std::filesystem;

// What does not work with templates of this version of the engine. Tools are no part of these:
const std::set<std::string> kKnowNoTools = {
    "HuggingFaceTB-SmolLM3-3B", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "google-gemma-2-2b-it",
    "llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct"};
// What these write for a call llama-common's parser for them does not read back: it is text then.
const std::set<std::string> kCallsNotRead = {
    "CohereForAI-c4ai-command-r-plus-tool_use", "LFM2-8B-A1B", "LFM2.5-Instruct",
    "Mistral-Small-3.2-24B-Instruct-2506", "ibm-granite-granite-3.3-2B-Instruct"};
// The same of a thought between the tags that llama-common names for them.
const std::set<std::string> kThoughtsNotRead = {"Apriel-1.6-15b-Thinker-fixed",
                                                "Cohere2MoE",
                                                "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
                                                "LFM2-8B-A1B",
                                                "LFM2.5-Instruct",
                                                "openai-gpt-oss-120b",
                                                "tencent-Hy3"};

const fs::path kFolder = fs::path(LARES_ENGINE_SOURCE) / "models" / "templates";

std::vector<fs::path> all_templates() {
  std::vector<fs::path> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(kFolder, none)) {
    if (entry.path().extension() == ".jinja") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string read_file(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

Structure with_tools() {
  Structure structure;
  structure.tools = {
      {"get_weather", "What the weather is like in a city.",
       R"({"type":"object","properties":{"city":{"type":"string","description":"Which."},"days":{"type":"integer"}},"required":["city"]})"},
      {"add", "Adds two numbers.",
       R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]})"}};
  return structure;
}

const Json kQuestion =
    Json::array({{{"role", "user"}, {"content", "How is the weather in Paris?"}}});

// What the template writes for an assistant's message after `kQuestion`, "" where it cannot.
std::vector<std::string> own_writing(const std::string& source, const common_chat_msg& answer,
                                     const std::string& prompt) {
  std::vector<std::string> out;
  auto templates = common_chat_templates_init(nullptr, source, "<s>", "</s>");
  common_chat_templates_inputs inputs;
  common_chat_msg question;
  question.role = "user";
  question.content = "How is the weather in Paris?";
  inputs.messages = {question, answer};
  for (const Tool& tool : with_tools().tools)
    inputs.tools.push_back({tool.name, tool.description, tool.parameters});
  inputs.add_generation_prompt = false;
  inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  const auto whole =
      caught([&] { return common_chat_templates_apply(templates.get(), inputs).prompt; });
  if (!whole) return out;
  // a thought that the prompt begins and ends is not in what was said
  std::string before = prompt;
  while (!before.empty() && !whole->starts_with(before)) {
    const size_t line = before.find_last_of("\n<[");
    before.resize(line == std::string::npos ? 0 : line);
  }
  if (before.empty()) return out;
  std::string said = whole->substr(before.size());
  out.push_back(said);
  // then the signs that end a turn, one after another
  for (int i = 0; i < 4; i++) {
    said = std::string(trimmed(said));
    out.push_back(said);
    const size_t sign = said.find_last_of("<[");
    if (sign == std::string::npos) break;
    said.resize(sign);
    out.push_back(said);
  }
  return out;
}

class Templates : public ::testing::Test {
 protected:
  void SetUp() override {
    if (all_templates().empty())
      GTEST_SKIP() << "the engine's templates are not in " << kFolder.string();
  }
  Pulse pulse;
};

TEST_F(Templates, EachIsRenderedWithToolsAndItsCallsAreTakenApart) {
  std::set<std::string> know_none;
  std::set<std::string> not_read;
  size_t read = 0;
  for (const fs::path& file : all_templates()) {
    const std::string name = file.stem().string();
    const std::string source = read_file(file);
    const ChatTemplate model(nullptr, source, pulse);
    const Json none;
    const auto rendered = model.render({kQuestion, none, with_tools()});
    if (!rendered) {
      EXPECT_EQ(rendered.error().code, Code::Unsupported)
          << name << ": " << rendered.error().message;
      know_none.insert(name);
      continue;
    }
    EXPECT_NE(rendered->prompt.find("Paris"), std::string::npos) << name;
    common_chat_msg answer;
    answer.role = "assistant";
    answer.tool_calls = {{"get_weather", R"({"city":"Paris"})", "call00001"}};
    // where the prompt has begun a thought, an answer ends it first
    const auto& constraint = static_cast<const LlamaConstraint&>(*rendered->constraint);
    const bool inside = Thinking(constraint.tags, constraint.prompt_end, {}).inside();
    const std::string thought = inside ? cat("Hm.\n", constraint.tags.ends.front(), "\n\n") : "";
    bool right = false;
    for (const std::string& said : own_writing(source, answer, rendered->prompt)) {
      for (const std::string& before : {std::string(), thought}) {
        const auto parts = rendered->format->read(before + said);
        const auto arguments = parts && parts->calls.size() == 1
                                   ? parse_json(parts->calls[0].arguments)
                                   : Result<Json>(Error{Code::Corrupt, ""});
        right = right || (arguments && parts->calls[0].name == "get_weather" &&
                          *arguments == Json{{"city", "Paris"}});
      }
      if (right) break;
    }
    if (!right) not_read.insert(name);
    read += right ? 1 : 0;
  }
  EXPECT_EQ(know_none, kKnowNoTools);
  EXPECT_EQ(not_read, kCallsNotRead);
  std::printf("%zu templates: calls of %zu are taken apart, %zu know no tools, %zu are not read\n",
              all_templates().size(), read, know_none.size(), not_read.size());
}

TEST_F(Templates, ThoughtsAreTakenFromTheAnswer) {
  std::set<std::string> not_read;
  size_t think = 0;
  for (const fs::path& file : all_templates()) {
    const std::string name = file.stem().string();
    const std::string source = read_file(file);
    const ChatTemplate model(nullptr, source, pulse);
    const Json none;
    if (!model.thinks()) continue;
    think++;
    const auto rendered = model.render({kQuestion, none, {}});
    ASSERT_TRUE(rendered) << name << ": " << rendered.error().message;
    const auto& constraint = static_cast<const LlamaConstraint&>(*rendered->constraint);
    const Thinking place(constraint.tags, constraint.prompt_end, {});
    const std::string begin = place.inside() ? "" : constraint.tags.begin + "\n";
    bool right = false;
    for (const char* between : {"\n\n", ""}) {
      const std::string said =
          cat(begin, "I think so.\n", constraint.tags.ends.front(), between, "It is sunny.");
      const auto parts = rendered->format->read(said);
      right = right || (parts && trimmed(parts->reasoning) == "I think so." &&
                        trimmed(parts->text) == "It is sunny.");
    }
    if (!right) not_read.insert(name);
  }
  EXPECT_EQ(not_read, kThoughtsNotRead);
  std::printf("%zu templates think; the thoughts of %zu are taken apart\n", think,
              think - not_read.size());
}

}  // namespace
}  // namespace lares::engine::llama
