// A grammar in force over one answer: which tokens it allows next, by the engine's own matcher. The
// text of a grammar may come from outside; what the engine would not survive is refused here first.
#pragma once

#include <llama.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model.h"

struct llama_grammar;

namespace lares::engine::llama {

// What makes a grammar that waits come into force.
struct Triggers {
  std::vector<std::string> words;     // found anywhere in the answer; the grammar begins with it
  std::vector<std::string> patterns;  // as the engine has them
  std::vector<Token> tokens;
  bool none() const { return words.empty() && patterns.empty() && tokens.empty(); }
};

// llama-common's own frames around schemas can read white space in many ways, which does no harm.
enum class Ambiguity : uint8_t { Checked, Known };

class Grammar {
 public:
  // `text`: GBNF, from its rule 'root' on. With triggers it waits for one of them. Of the control
  // tokens only `controls` are text to it. Invalid with `param` for a grammar that is none, that
  // the engine cannot follow, or that nothing can meet.
  static Result<std::unique_ptr<Grammar>> make(const llama_vocab* vocab, const std::string& text,
                                               const Triggers& triggers,
                                               std::vector<Token> controls, std::string param,
                                               Ambiguity ambiguity = Ambiguity::Checked);
  ~Grammar();

  bool in_force() const;
  bool allows(Token token) const;
  // What is not allowed becomes -INFINITY; false: that was all.
  bool mask(std::span<float> logits) const;
  bool may_end() const;
  bool must_end() const;  // it is complete, and nothing can follow
  // A token was chosen that it allows; while it waits, any. Invalid when it could not be.
  Result<> accept(Token token);
  // The same for text of which not all is a token's.
  Result<> accept(const std::string& text);

 private:
  Grammar(const llama_vocab* vocab, llama_grammar* grammar, Triggers triggers,
          std::vector<Token> controls, std::string param);
  bool takes_part(Token token) const;
  Result<> wait(Token token);
  Error broken() const;

  struct Free {
    void operator()(llama_grammar* grammar) const;
  };
  const llama_vocab* const vocab_;
  const std::unique_ptr<llama_grammar, Free> grammar_;
  const Triggers triggers_;
  const std::vector<Token> controls_;
  const std::string param_;
  bool waiting_;  // for a word
  std::string tail_;
  std::vector<std::pair<Token, size_t>> tail_tokens_;  // each with the length of its text
  mutable std::vector<llama_token_data> candidates_;
};

// What the engine prints about something from outside, which is no business of the log. While it
// lives, stderr goes into a text: of one thread, while others write nothing to it (engine/log.h).
class Hush {
 public:
  Hush();
  ~Hush();
  Hush(const Hush&) = delete;
  Hush& operator=(const Hush&) = delete;
  std::string said();

 private:
  FILE* before_;
  FILE* file_;
  char* text_ = nullptr;
  size_t size_ = 0;
};

std::string token_text(const llama_vocab* vocab, Token token);

}  // namespace lares::engine::llama
