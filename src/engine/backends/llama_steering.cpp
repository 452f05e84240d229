#include "engine/backends/llama_steering.h"

#include <common.h>

#include <cmath>

#include "base/text.h"

namespace lares::engine::llama {

Steering::Steering(const llama_vocab* vocab, const LlamaConstraint& constraint)
    : vocab_(vocab),
      param_(constraint.param),
      thinking_(constraint.tags, constraint.prompt_end, constraint.budget),
      gated_(constraint.after_thinking),
      waits_(!constraint.triggers.none()) {
  if (!constraint.tags.known()) return;
  const auto begin = common_tokenize(vocab, constraint.tags.begin, false, true);
  if (begin.size() == 1) begin_ = begin[0];
}

Result<std::unique_ptr<Steering>> Steering::make(const llama_vocab* vocab,
                                                 const LlamaConstraint& constraint) {
  std::unique_ptr<Steering> out(new Steering(vocab, constraint));
  if (constraint.grammar.empty()) return out;
  TRY_AS(out->grammar_, Grammar::make(vocab, constraint.grammar, constraint.triggers,
                                      constraint.controls, constraint.param, constraint.ambiguity));
  if (constraint.covers_prompt) TRY(out->grammar_->accept(constraint.prompt_end));
  return out;
}

std::optional<Token> Steering::forced() {
  if (forced_.empty() && thinking_.over()) {
    const auto end = common_tokenize(vocab_, thinking_.tags().ends.front(), false, true);
    forced_.assign(end.begin(), end.end());
  }
  if (forced_.empty()) return std::nullopt;
  const Token token = forced_.front();
  forced_.pop_front();
  return token;
}

bool Steering::allows(Token token) const {
  if (!grammar_) return true;
  if (gate_closed()) return !llama_vocab_is_eog(vocab_, token);
  if (gated_ && thinking_.may_begin() && token == begin_) return true;
  return grammar_->allows(token);
}

Result<> Steering::mask(std::span<float> logits) const {
  if (!grammar_) return Unit{};
  if (gate_closed()) {
    for (size_t i = 0; i < logits.size(); i++) {
      if (llama_vocab_is_eog(vocab_, static_cast<Token>(i))) logits[i] = -INFINITY;
    }
    return Unit{};
  }
  if (grammar_->mask(logits)) return Unit{};
  return Error{Code::Invalid,
               cat("'", param_, "' cannot go on here with any of this model's tokens"), param_};
}

Result<bool> Steering::took(Token token) {
  const bool before = thinking_.inside();
  thinking_.add(token_text(vocab_, token));
  const bool thinking = before || thinking_.inside();
  if (!grammar_) return thinking;
  if (waits_) {
    // what the model only thinks of calling it does not call
    if (thinking_.inside()) return thinking;
    // a model that leaves the format that it has just begun goes on as it likes
    if (!grammar_->accept(token)) grammar_.reset();
    return thinking;
  }
  if (!gated_) {
    TRY(grammar_->accept(token));
  } else if (before && !thinking_.inside()) {
    TRY(grammar_->accept(std::string(trimmed(thinking_.behind_end()))));
  } else if (!thinking) {
    TRY(grammar_->accept(token));
  }
  return thinking;
}

}  // namespace lares::engine::llama
