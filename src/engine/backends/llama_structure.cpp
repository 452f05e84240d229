#include "engine/backends/llama_structure.h"

#include <common.h>
#include <json-schema-to-grammar.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "engine/choice_grammar.h"
#include "engine/regex_text.h"
#include "engine/schema_text.h"

namespace lares::engine::llama {
namespace {

constexpr size_t kWordsMax = 200;  // of what the converter says

Error wrong(const Must& must, std::string_view what, Code code = Code::Invalid) {
  return {code, cat("'", must.param, "' ", what), must.param};
}

// What the converter leaves out it tells only to the log.
Result<std::string> converted(const Must& must, const std::string& schema) {
  Hush hush;
  auto grammar = caught(
      [&] { return json_schema_to_grammar(common_json::parse(schema_alone(schema)), true); });
  if (!grammar) {
    std::string words = utf8_repaired(grammar.error().message.substr(0, kWordsMax));
    std::replace(words.begin(), words.end(), '\n', ' ');
    return wrong(must, cat("has a schema that cannot be made into a grammar: ", words));
  }
  if (hush.said().find("incomplete") != std::string::npos)
    return wrong(must, "has a pattern that cannot be made into a grammar", Code::Unsupported);
  return grammar;
}

// The converter knows patterns as JSON strings only: RULE ::= "\"" (...) "\"".
Result<std::string> without_quotes(const Must& must, const std::string& grammar) {
  constexpr std::string_view kBefore = "root ::= \"\\\"\" (";
  constexpr std::string_view kAfter = ") \"\\\"\"";
  std::string out;
  bool found = false;
  for (const std::string& line : split(grammar, '\n')) {
    if (line.starts_with(kBefore) && line.ends_with(kAfter)) {
      found = true;
      out += cat("root ::= (",
                 line.substr(kBefore.size(), line.size() - kBefore.size() - kAfter.size()), ")\n");
    } else {
      out += line + "\n";
    }
  }
  if (!found)
    return wrong(must, "is a regex that cannot be made into a grammar", Code::Unsupported);
  return out;
}

// The check of a whole grammar gets no further than the white space of an object.
Result<> check_patterns(const Must& must, const std::set<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    TRY_AS(const std::string alone,
           converted(must, dump({{"type", "string"}, {"pattern", pattern}})));
    TRY(Grammar::make(nullptr, alone, {}, {}, must.param));
  }
  return Unit{};
}

// The tokens that are a part of the format.
std::vector<Token> format_tokens(const llama_vocab* vocab, const common_chat_params& params) {
  std::vector<std::string> texts = params.preserved_tokens;
  texts.push_back(params.thinking_start_tag);
  texts.insert(texts.end(), params.thinking_end_tags.begin(), params.thinking_end_tags.end());
  std::vector<Token> out;
  for (const std::string& text : texts) {
    if (text.empty() || !vocab) continue;
    const auto tokens = common_tokenize(vocab, text, false, true);
    if (tokens.size() == 1) out.push_back(tokens[0]);
  }
  return out;
}

// What the prompt has written of a thought that the answer goes on with, behind the thought's tag
// and white space, which parsers leave out.
std::string thought_in_prompt(const common_chat_params& params) {
  const std::string& prompt = params.generation_prompt;
  const size_t tag = params.thinking_start_tag.empty() ? std::string::npos
                                                       : prompt.rfind(params.thinking_start_tag);
  if (tag == std::string::npos) return "";
  std::string thought = prompt.substr(tag + params.thinking_start_tag.size());
  thought.erase(0, std::min(thought.find_first_not_of(" \n"), thought.size()));
  for (const std::string& end : params.thinking_end_tags) {
    if (thought.find(end) != std::string::npos) return "";
  }
  return thought;
}

class LlamaFormat final : public AnswerFormat {
 public:
  LlamaFormat(const llama_vocab* vocab, const common_chat_params& params)
      : params_(params), in_prompt_(thought_in_prompt(params)) {
    params_.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    if (!params.parser.empty()) params_.parser.load(params.parser);
    shown = format_tokens(vocab, params);
  }

  Result<Said> read(const std::string& raw) const override {
    // Called partial, what does not fit would be an answer that says nothing; the beginning of one
    // that fits is read in either case.
    constexpr bool kPartial = false;
    auto message = caught([&] { return common_chat_parse(raw, kPartial, params_); });
    if (!message) return Error{Code::Corrupt, "the answer is not in its format"};
    Said said{std::move(message->reasoning_content), std::move(message->content), {}};
    for (auto& call : message->tool_calls)
      said.calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
    // some of the engine's parsers take the prompt's words for the model's
    if (in_prompt_.starts_with(said.reasoning)) {
      said.reasoning.clear();
    } else if (said.reasoning.starts_with(in_prompt_)) {
      said.reasoning.erase(0, in_prompt_.size());
    }
    return said;
  }

 private:
  common_chat_parser_params params_;
  const std::string in_prompt_;
};

}  // namespace

Result<std::string> grammar_of(const Must& must) {
  if (!must.grammar.empty()) return must.grammar;
  if (!must.schema.empty()) {
    std::set<std::string> patterns;
    TRY_AS(const std::string schema,
           schema_for_grammar(must.schema, must.strict ? Strict::Yes : Strict::No, must.param,
                              &patterns));
    TRY_AS(const std::string grammar, converted(must, schema));
    TRY(check_patterns(must, patterns));
    return choices_as_trees(grammar);
  }
  if (!must.regex.empty()) {
    auto pattern = regex_for_grammar(must.regex, RegexOf::Text);
    if (!pattern) return wrong(must, pattern.error().message, pattern.error().code);
    TRY_AS(const std::string grammar,
           converted(must, dump({{"type", "string"}, {"pattern", *pattern}})));
    return without_quotes(must, grammar);
  }
  std::string choices;
  for (const std::string& one : must.choice)
    choices += cat(choices.empty() ? "" : " | ", gbnf_format_literal(one));
  return choices_as_trees(cat("root ::= (", choices, ")\n"));
}

Result<std::vector<common_chat_tool>> tools_of(const llama_vocab* vocab,
                                               const Structure& structure) {
  std::vector<common_chat_tool> out;
  // the schemas of all come into one grammar
  const auto called = [&] { return structure.tools.size() > 1 ? cat(out.size() + 1) : ""; };
  for (const Tool& tool : structure.tools) {
    const auto about = [&](Error error) {
      error.message = cat("'tools', '", tool.name, "': ", error.message);
      return error;
    };
    std::set<std::string> patterns;
    auto schema = schema_for_grammar(tool.parameters, tool.strict ? Strict::Yes : Strict::No,
                                     "parameters", &patterns, called());
    if (!schema) {
      Error error = about(std::move(schema).error());
      error.param = "tools";
      return error;
    }
    Must as_one;
    as_one.param = "tools";
    auto grammar = converted(as_one, *schema);
    if (!grammar) return about(std::move(grammar).error());
    if (auto checked = check_patterns(as_one, patterns); !checked)
      return about(std::move(checked).error());
    if (auto checked = Grammar::make(vocab, choices_as_trees(*grammar), {}, {}, "tools"); !checked)
      return about(std::move(checked).error());
    out.push_back({tool.name, tool.description, *std::move(schema)});
  }
  return out;
}

std::shared_ptr<LlamaConstraint> constraint_of(const llama_vocab* vocab,
                                               const common_chat_params& params,
                                               std::string param) {
  auto out = std::make_shared<LlamaConstraint>();
  out->grammar = choices_as_trees(params.grammar);
  out->param = std::move(param);
  out->prompt_end = params.generation_prompt;
  out->tags = {params.thinking_start_tag, params.thinking_end_tags};
  out->controls = format_tokens(vocab, params);
  out->ambiguity = Ambiguity::Known;  // what is from outside in it is checked by itself
  out->covers_prompt = !params.grammar_lazy;
  if (!params.grammar_lazy) return out;
  for (const auto& trigger : params.grammar_triggers) {
    switch (trigger.type) {
      case COMMON_GRAMMAR_TRIGGER_TYPE_WORD: out->triggers.words.push_back(trigger.value); break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN:
        out->triggers.patterns.push_back(trigger.value);
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL:
        out->triggers.patterns.push_back(cat("^", trigger.value, "$"));
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN: out->triggers.tokens.push_back(trigger.token); break;
    }
  }
  // the engine's waiting needs words as patterns once it waits for anything else
  if (!out->triggers.patterns.empty() || !out->triggers.tokens.empty()) {
    for (const std::string& word : out->triggers.words)
      out->triggers.patterns.push_back(regex_escape(word));
    out->triggers.words.clear();
  }
  if (out->triggers.none()) out->grammar.clear();
  return out;
}

size_t tag_tokens(const llama_vocab* vocab, const Thinking::Tags& tags) {
  if (!vocab || !tags.known()) return 0;
  return common_tokenize(vocab, tags.begin, false, true).size() +
         common_tokenize(vocab, tags.ends.front(), false, true).size();
}

void complete_generation_prompt(common_chat_params& params) {
  const std::string& tag = params.thinking_start_tag;
  if (tag.empty() || params.generation_prompt.find(tag) != std::string::npos) return;
  const std::string_view prompt = params.prompt;
  const size_t at = prompt.rfind(tag);
  if (at == std::string_view::npos || !trimmed(prompt.substr(at + tag.size())).empty()) return;
  params.generation_prompt += prompt.substr(at);
}

bool reads_thoughts(const common_chat_params& params) {
  if (!params.supports_thinking) return false;
  if (params.thinking_end_tags.empty()) return params.thinking_start_tag.empty();
  common_chat_params tried = params;
  const std::string& begin = params.thinking_start_tag;
  const size_t begun = begin.empty() ? std::string::npos : tried.generation_prompt.find(begin);
  if (begun != std::string::npos) tried.generation_prompt.resize(begun);
  const auto said =
      LlamaFormat(nullptr, tried).read(cat(begin, "a", params.thinking_end_tags.front()));
  return said && trimmed(said->reasoning) == "a";
}

std::shared_ptr<const AnswerFormat> format_of(const llama_vocab* vocab,
                                              const common_chat_params& params) {
  return std::make_shared<LlamaFormat>(vocab, params);
}

}  // namespace lares::engine::llama
