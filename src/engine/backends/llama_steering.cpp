#include "engine/backends/llama_steering.h"

#include <common.h>

#include <cmath>
#include <utility>

#include "base/text.h"

namespace lares::engine::llama {

Steering::Steering(const llama_vocab* vocab, const LlamaConstraint& constraint,
                   std::optional<Tokens> thinking_max)
    : vocab_(vocab),
      param_(constraint.param),
      thinking_(constraint.tags, constraint.prompt_end, thinking_max),
      gated_(constraint.after_thinking),
      waits_(!constraint.triggers.none()),
      unanswered_(constraint.tags.known() && thinking_max) {
  if (!constraint.tags.known()) return;
  const auto begin = common_tokenize(vocab, constraint.tags.begin, false, true);
  if (begin.size() == 1) begin_ = begin[0];
}

Result<std::unique_ptr<Steering>> Steering::make(const llama_vocab* vocab,
                                                 const LlamaConstraint& constraint,
                                                 std::optional<Tokens> thinking_max) {
  std::unique_ptr<Steering> out(new Steering(vocab, constraint, thinking_max));
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
  was_forced_ = !forced_.empty();
  if (!was_forced_) return std::nullopt;
  const Token token = forced_.front();
  forced_.pop_front();
  return token;
}

bool Steering::allows(Token token) const {
  if (has_to_go_on() && llama_vocab_is_eog(vocab_, token)) return false;
  if (!grammar_ || gate_closed()) return true;
  if (gated_ && thinking_.may_begin() && token == begin_) return true;
  return grammar_->allows(token);
}

Result<> Steering::mask(std::span<float> logits) const {
  if (has_to_go_on()) {
    for (size_t i = 0; i < logits.size(); i++) {
      if (llama_vocab_is_eog(vocab_, static_cast<Token>(i))) logits[i] = -INFINITY;
    }
  }
  if (!grammar_ || gate_closed()) return Unit{};
  if (grammar_->mask(logits)) return Unit{};
  return Error{Code::Invalid,
               cat("'", param_, "' cannot go on here with any of this model's tokens"), param_};
}

Result<bool> Steering::took(Token token) {
  const std::string text = token_text(vocab_, token);
  const bool before = thinking_.inside();
  thinking_.add(text);
  const bool inside = before || thinking_.inside();
  const bool thinking = before && !std::exchange(was_forced_, false);
  if (before && !thinking_.inside())
    unanswered_ = trimmed(thinking_.behind_end()).empty();
  else
    unanswered_ = unanswered_ && trimmed(text).empty();
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
  } else if (!inside) {
    TRY(grammar_->accept(token));
  }
  return thinking;
}

}  // namespace lares::engine::llama
