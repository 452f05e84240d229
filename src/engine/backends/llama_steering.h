// Steering: what one answer's tokens may be, beside chance: its grammar, when it is in force, and
// the end of its thoughts. Owned by a sampler.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "engine/backends/llama_grammar.h"
#include "engine/backends/llama_structure.h"
#include "engine/thinking.h"

namespace lares::engine::llama {

class Steering {
 public:
  // Invalid, with the constraint's param, as Grammar::make().
  static Result<std::unique_ptr<Steering>> make(const llama_vocab* vocab,
                                                const LlamaConstraint& constraint,
                                                std::optional<Tokens> thinking_max);

  // The token that comes next, whatever the model thinks of it.
  std::optional<Token> forced();
  bool must_end() const { return !gate_closed() && grammar_ && grammar_->must_end(); }
  bool allows(Token token) const;
  // What is not allowed becomes -INFINITY; an error when nothing is left.
  Result<> mask(std::span<float> logits) const;
  // It was chosen. Whether the model thinks it: what was forced is not thought.
  Result<bool> took(Token token);
  void stop_thinking() { thinking_.stop(); }

 private:
  Steering(const llama_vocab* vocab, const LlamaConstraint& constraint,
           std::optional<Tokens> thinking_max);
  bool gate_closed() const { return gated_ && thinking_.inside(); }
  // No grammar says where the answer ends, and it may not end here.
  bool has_to_go_on() const {
    const bool grammar_rules = grammar_ && !gate_closed() && !waits_;
    return !grammar_rules && (thinking_.inside() || unanswered_);
  }

  const llama_vocab* const vocab_;
  const std::string param_;
  Thinking thinking_;
  std::unique_ptr<Grammar> grammar_;  // nullptr: none
  const bool gated_;                  // the grammar is not the thoughts'
  const bool waits_;                  // it comes into force with the answer's words
  std::optional<Token> begin_;        // of thinking, where that is one token
  std::deque<Token> forced_;
  bool was_forced_ = false;  // what comes next
  // An answer is owed: there is a budget for thoughts, or one has ended, and nothing but white
  // space has come since.
  bool unanswered_;
};

}  // namespace lares::engine::llama
