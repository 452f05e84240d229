// Every chat template that the engine ships: rendered with and without tools, and a text, a call of
// a tool and a thought in that template's own writing are taken apart again. Needs no model, only
// the engine's source tree; where that is absent these tests are skipped, and say so.
#include <chat.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "base/clock.h"
#include "engine/answer_reader.h"
#include "engine/backends/llama_chat.h"
#include "engine/backends/llama_structure.h"
#include "real_models.h"

namespace lares::engine::llama {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kThought = "I think so.";
constexpr std::string_view kText = "It is sunny.";

// Tools are no part of these:
const std::set<std::string> kKnowNoTools = {
    "HuggingFaceTB-SmolLM3-3B", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "google-gemma-2-2b-it",
    "llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct"};
// Those that think, by what they write.
const std::set<std::string> kThink = {"Apriel-1.6-15b-Thinker-fixed",
                                      "Bielik-11B-v3.0-Instruct",
                                      "ByteDance-Seed-OSS",
                                      "Cohere2MoE",
                                      "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
                                      "GLM-4.6",
                                      "GLM-4.7-Flash",
                                      "HuggingFaceTB-SmolLM3-3B",
                                      "Kimi-K2-Instruct",
                                      "Kimi-K2-Thinking",
                                      "Kimi-K3",
                                      "LFM2.5-8B-A1B",
                                      "MiniMax-M2",
                                      "MiniMax-M3",
                                      "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
                                      "NVIDIA-Nemotron-Nano-v2",
                                      "Qwen-QwQ-32B",
                                      "Qwen-Qwen3-0.6B",
                                      "Qwen3.5-4B",
                                      "Reka-Edge",
                                      "Spark2.5",
                                      "StepFun3.5-Flash",
                                      "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
                                      "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
                                      "deepseek-ai-DeepSeek-V3.1",
                                      "deepseek-ai-DeepSeek-V3.2",
                                      "deepseek-ai-DeepSeek-V4-Flash-0731",
                                      "deepseek-ai-DeepSeek-V4",
                                      "google-gemma-4-31B-it-interleaved",
                                      "google-gemma-4-31B-it",
                                      "ibm-granite-granite-3.3-2B-Instruct",
                                      "inclusionai-ling-3.0-flash",
                                      "llama-cpp-deepseek-r1",
                                      "llama-cpp-rwkv-world",
                                      "mistralai-Ministral-3-14B-Reasoning-2512",
                                      "moonshotai-Kimi-K2",
                                      "muse-glimmer",
                                      "openai-gpt-oss-120b",
                                      "openbmb-MiniCPM5-1B",
                                      "poolside-Laguna-S-2.1",
                                      "poolside-Laguna-XS-2.1",
                                      "poolside-Laguna-XS.2",
                                      "tencent-Hy3",
                                      "unsloth-mistral-Devstral-Small-2507"};
// What a template needs to be told before it lets its model think.
const std::map<std::string, Json> kToThink = {{"tencent-Hy3", {{"reasoning_effort", "high"}}}};

// Templates whose own writing of a call is not to be had, and what their models write.
const std::map<std::string, std::string> kCalls = {
    // writes the call before the instructions that its prompt ends with
    {"CohereForAI-c4ai-command-r-plus-tool_use",
     "Action:\n```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": "
     "{\n            \"city\": \"Paris\"\n        }\n    }\n]```"},
    // write no calls of earlier turns
    {"LFM2-8B-A1B", "<|tool_call_start|>[get_weather(city=\"Paris\")]<|tool_call_end|>"},
    {"LFM2.5-Instruct", "<|tool_call_start|>[get_weather(city=\"Paris\")]<|tool_call_end|>"},
    {"ibm-granite-granite-3.3-2B-Instruct",
     "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]"}};
// llama-common has learnt another writing of calls than the template has. It reads what its own
// grammar makes of a call, and the template's own is text.
const std::map<std::string, std::string> kCallsByItsGrammar = {
    // has [ARGS] for a part of the name, and so twice
    {"Mistral-Small-3.2-24B-Instruct-2506",
     "[TOOL_CALLS]get_weather[ARGS][ARGS]{\"city\": \"Paris\"}"},
    // has the id that it tried the template with for a part of the format
    {"upstage-Solar-Open-100B",
     "<|tool_calls|><|tool_call:begin|>call00001<|tool_call:name|>get_weather<|tool_call:args|>"
     "{\"city\": \"Paris\"}<|tool_call:end|><|calls|>"}};
// llama-common has no parser for these calls: they are text.
const std::set<std::string> kCallsNotRead = {"ibm-granite-granite-3.3-2B-Instruct"};
// Where there are tools, llama-common leaves the sign before a text in it.
const std::map<std::string, std::string> kTextsBegin = {{"upstage-Solar-Open-100B", "<|content|>"}};
// These write calls and do not tell their models of tools: that is left to the instructions.
const std::set<std::string> kTellOfNoTools = {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
                                              "deepseek-ai-DeepSeek-V3.1",
                                              "fireworks-ai-llama-3-firefunction-v2"};
// How a turn ends that ends with a call, where a text ends otherwise.
const std::map<std::string, std::string> kCallsEnd = {
    {"Cohere2MoE", "<|END_OF_TURN_TOKEN|>"},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use",
     "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
     "<｜end▁of▁sentence｜><｜Assistant｜><｜end▁of▁sentence｜>"},
    {"NVIDIA-Nemotron-Nano-v2", "<SPECIAL_12>\n\n"},
    {"meetkai-functionary-medium-v3.1", "<|eom_id|>"},
    {"openai-gpt-oss-120b", "<|call|>"},
    {"tencent-Hy3", "<｜hy_eos:opensource｜>"},
    {"upstage-Solar-Open-100B", "<|begin|>assistant"}};

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

const Json& to_think(const std::string& name) {
  static const Json none;
  const auto found = kToThink.find(name);
  return found == kToThink.end() ? none : found->second;
}

// What the template writes behind the question.
class OwnWriting {
 public:
  OwnWriting(const std::string& name, const std::string& source)
      : name_(name), templates_(common_chat_templates_init(nullptr, source, "<s>", "</s>")) {}

  // Of a text and the thought before it; "" where it does not say the text.
  std::string text(const Structure& structure, const std::string& prompt) const {
    common_chat_msg answer;
    answer.role = "assistant";
    answer.content = std::string(kText);
    answer.reasoning_content = std::string(kThought);
    std::string all = whole(structure, answer);
    if (all.find(kText) == std::string::npos) {  // has no place for both
      answer.reasoning_content.clear();
      all = whole(structure, answer);
    }
    return behind(prompt, all.substr(0, all.rfind(kText) + kText.size()));
  }

  std::string call(const Structure& structure, const std::string& prompt) const {
    if (const auto by_hand = kCalls.find(name_); by_hand != kCalls.end()) return by_hand->second;
    common_chat_msg answer;
    answer.role = "assistant";
    answer.content = std::string(kText);
    const std::string said = whole(structure, answer);
    std::string end = said.substr(said.rfind(kText) + kText.size());
    if (const auto other = kCallsEnd.find(name_); other != kCallsEnd.end()) end = other->second;
    answer.content.clear();
    answer.reasoning_content = std::string(kThought);
    answer.tool_calls = {{"get_weather", R"({"city":"Paris"})", "abcd12345"}};
    std::string all = whole(structure, answer);
    if (!end.empty() && all.ends_with(end)) all.resize(all.size() - end.size());
    return behind(prompt, all);
  }

 private:
  std::string whole(const Structure& structure, const common_chat_msg& answer) const {
    common_chat_templates_inputs inputs;
    common_chat_msg question;
    question.role = "user";
    question.content = kQuestion[0]["content"];
    inputs.messages = {question, answer};
    for (const Tool& tool : structure.tools)
      inputs.tools.push_back({tool.name, tool.description, tool.parameters});
    for (const auto& [kwarg, value] : to_think(name_).items())
      inputs.chat_template_kwargs[kwarg] = dump(value);
    inputs.add_generation_prompt = false;
    inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    const auto all =
        caught([&] { return common_chat_templates_apply(templates_.get(), inputs).prompt; });
    return all ? *all : "";
  }

  // Templates do not write again what a prompt has begun of a thought.
  static std::string behind(std::string prompt, const std::string& all) {
    while (!prompt.empty() && !all.starts_with(prompt)) {
      const size_t sign = prompt.find_last_of("\n<[");
      prompt.resize(sign == std::string::npos ? 0 : sign);
    }
    return prompt.empty() ? "" : all.substr(prompt.size());
  }

  const std::string name_;
  const common_chat_templates_ptr templates_;
};

// With the thought, where it is not in it: most templates leave those of earlier turns out.
std::string with_thought(std::string said, const Rendered& rendered) {
  if (said.find(kThought) != std::string::npos) return said;
  const auto& constraint = static_cast<const LlamaConstraint&>(*rendered.constraint);
  const std::string& begin = constraint.tags.begin;
  const std::string& end = constraint.tags.ends.front();
  const size_t begun = rendered.prompt.find(begin, rendered.prompt.rfind("Paris?"));
  const bool inside =
      begun != std::string::npos && rendered.prompt.find(end, begun) == std::string::npos;
  EXPECT_EQ(Thinking(constraint.tags, constraint.prompt_end, {}).inside(), inside);
  if (inside) {
    if (said.find(end) == std::string::npos) said = cat("\n", end, "\n\n", said);
    return cat(kThought, said);
  }
  if (const size_t at = said.find(begin); at != std::string::npos && said.find(end) != at)
    return said.insert(at + begin.size(), kThought);
  return cat(begin, "\n", kThought, "\n", end, said);
}

// All that a reader tells of it, which gets it in pieces.
Said read_in_pieces(const Rendered& rendered, const std::string& said) {
  const FakeClock clock;
  AnswerReader reader(rendered.format, clock, 1);
  Said all;
  const auto take = [&](const AnswerReader::News& news) {
    all.reasoning += news.reasoning;
    all.text += news.text;
    for (const Json& one : news.tool_calls) {
      if (one["index"] == all.calls.size()) all.calls.push_back({one["id"], one["name"], ""});
      all.calls.back().arguments += one["arguments"].get<std::string>();
    }
  };
  for (size_t from = 0; from < said.size(); from += 5) take(reader.add(said.substr(from, 5)));
  take(reader.end());
  return all;
}

class Templates : public ::testing::Test {
 protected:
  void SetUp() override {
    if (all_templates().empty())
      GTEST_SKIP() << "the engine's templates are not in " << kFolder.string();
    static_cast<void>(testing::variant());  // and the engine does not log
  }
  Pulse pulse;
};

TEST_F(Templates, EachIsRenderedAndThoughtsAreTakenFromTheAnswer) {
  std::set<std::string> think;
  for (const fs::path& file : all_templates()) {
    const std::string name = file.stem().string();
    const std::string source = read_file(file);
    const ChatTemplate model(nullptr, source, pulse);
    const auto rendered = model.render({kQuestion, to_think(name), {}});
    ASSERT_TRUE(rendered) << name << ": " << rendered.error().message;
    EXPECT_NE(rendered->prompt.find("Paris"), std::string::npos) << name;
    EXPECT_EQ(rendered->format != nullptr, model.thinks()) << name;
    if (!model.thinks()) continue;
    think.insert(name);
    const std::string own = OwnWriting(name, source).text({}, rendered->prompt);
    ASSERT_FALSE(own.empty()) << name;
    const std::string said = with_thought(own, *rendered);
    const auto whole = rendered->format->read(said);
    EXPECT_TRUE(whole) << name << ": " << said;
    for (const Said& parts : {whole ? *whole : Said(), read_in_pieces(*rendered, said)}) {
      EXPECT_EQ(trimmed(parts.reasoning), kThought) << name << ": " << said;
      EXPECT_EQ(trimmed(parts.text), kText) << name << ": " << said;
    }
  }
  EXPECT_GE(all_templates().size(), 70U);
  EXPECT_EQ(think, kThink);
}

TEST_F(Templates, EachIsRenderedWithToolsAndItsCallsAreTakenApart) {
  std::set<std::string> know_none, tell_of_none, not_read, by_its_grammar;
  size_t of_no_format = 0;
  for (const fs::path& file : all_templates()) {
    const std::string name = file.stem().string();
    const std::string source = read_file(file);
    const ChatTemplate model(nullptr, source, pulse);
    const auto rendered = model.render({kQuestion, to_think(name), with_tools()});
    if (!rendered) {
      EXPECT_EQ(rendered.error().code, Code::Unsupported)
          << name << ": " << rendered.error().message;
      know_none.insert(name);
      continue;
    }
    EXPECT_NE(rendered->prompt.find("Paris"), std::string::npos) << name;
    if (rendered->prompt.find("get_weather") == std::string::npos) tell_of_none.insert(name);
    const std::string_view thought = model.thinks() ? kThought : "";
    const OwnWriting writing(name, source);

    const std::string call = writing.call(with_tools(), rendered->prompt);
    ASSERT_NE(call.find("get_weather"), std::string::npos) << name << ": " << call;
    const auto is_the_call = [&](const Said& parts) {
      if (parts.calls.size() != 1 || !trimmed(parts.text).empty()) return false;
      const auto arguments = parse_json(parts.calls[0].arguments);
      return arguments && parts.calls[0].name == "get_weather" &&
             *arguments == Json{{"city", "Paris"}} && trimmed(parts.reasoning) == thought;
    };
    std::string said = model.thinks() ? with_thought(call, *rendered) : call;
    const auto parts = rendered->format->read(said);
    const bool right = parts && is_the_call(*parts);
    const Said in_pieces = read_in_pieces(*rendered, said);
    EXPECT_EQ(is_the_call(in_pieces), right) << name << ": " << said << "\n  " << in_pieces.text;
    if (!right) {
      const auto grammar = kCallsByItsGrammar.find(name);
      if (grammar != kCallsByItsGrammar.end()) {
        const auto other = rendered->format->read(grammar->second);
        EXPECT_TRUE(other && is_the_call(*other)) << name;
        by_its_grammar.insert(name);
      } else {
        not_read.insert(name);
      }
      EXPECT_NE(in_pieces.text.find(call), std::string::npos)
          << name << ": it is text then, not '" << in_pieces.text << "'";
    }

    // a text, in the format or, where the model leaves that, outside of it
    std::string text = writing.text(with_tools(), rendered->prompt);
    if (text.empty()) text = kText;
    said = model.thinks() ? with_thought(text, *rendered) : text;
    const Said as_text = read_in_pieces(*rendered, said);
    const auto begin = kTextsBegin.find(name);
    EXPECT_EQ(trimmed(as_text.text), begin == kTextsBegin.end() ? kText : cat(begin->second, kText))
        << name << ": " << said;
    EXPECT_EQ(trimmed(as_text.reasoning), thought) << name << ": " << said;
    EXPECT_TRUE(as_text.calls.empty()) << name;
    of_no_format += rendered->format->read(std::string(kText)) ? 0 : 1;
    const Said bare = read_in_pieces(*rendered, std::string(kText));
    EXPECT_EQ(trimmed(bare.text + bare.reasoning), kText) << name;
  }
  EXPECT_EQ(know_none, kKnowNoTools);
  EXPECT_EQ(tell_of_none, kTellOfNoTools);
  EXPECT_EQ(not_read, kCallsNotRead);
  EXPECT_EQ(by_its_grammar.size(), kCallsByItsGrammar.size());
  EXPECT_GT(of_no_format, 3U);  // or that would show nothing
}

}  // namespace
}  // namespace lares::engine::llama
