// How an answer has to be, made into what the engine can follow and read: grammars by
// llama-common's converter, formats by its parsers.
#pragma once

#include <chat.h>
#include <llama.h>

#include "engine/backends/llama_grammar.h"
#include "engine/model.h"
#include "engine/thinking.h"

namespace lares::engine::llama {

// What a sampler has to keep to.
class LlamaConstraint final : public Constraint {
 public:
  std::string grammar;          // GBNF; "" for none
  std::string param;            // the field that asked for it
  Triggers triggers;            // none: in force from the beginning
  std::vector<Token> controls;  // the control tokens that are a part of it
  // The grammar has this prompt's end too, and is at the end of it when the answer begins.
  bool covers_prompt = false;
  Ambiguity ambiguity = Ambiguity::Checked;
  // It is the answer's alone: not in force while the model thinks.
  bool after_thinking = false;
  std::string prompt_end;  // what the prompt begins the answer with
  Thinking::Tags tags;
};

// GBNF of what a text must be. Invalid or Unsupported, with must.param. Requires: not empty.
Result<std::string> grammar_of(const Must& must);

// The tools as llama-common takes them, with schemas that it survives. Invalid with param "tools".
Result<std::vector<common_chat_tool>> tools_of(const llama_vocab* vocab,
                                               const Structure& structure);

// The sampler's and the reader's part of what a template made of a chat.
std::shared_ptr<LlamaConstraint> constraint_of(const llama_vocab* vocab,
                                               const common_chat_params& params, std::string param);
std::shared_ptr<const AnswerFormat> format_of(const llama_vocab* vocab,
                                              const common_chat_params& params);

// How many tokens the tags take.
size_t tag_tokens(const llama_vocab* vocab, const Thinking::Tags& tags);

// What the prompt begins the answer with, in `generation_prompt`, has the thought that the prompt
// begins, too. The engine overlooks it in templates that begin one only where it is asked for.
void complete_generation_prompt(common_chat_params& params);

// A thought is taken out of the answer: between its tags, or by a parser that names none. Some
// templates are said to think, and their parser takes nothing out.
bool reads_thoughts(const common_chat_params& params);

// Calls what may end with an exception of llama-common's, whose words may quote what is private.
template <class Call>
auto caught(Call call) -> Result<decltype(call())> {
  try {
    return call();
  } catch (const std::exception& e) {
    return Error{Code::Invalid, e.what()};
  }
}

}  // namespace lares::engine::llama
