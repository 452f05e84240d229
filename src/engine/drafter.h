// Drafter: a small model beside the one that answers, which says what probably comes next. It has a
// sequence of its own for each answer that it drafts, and computes what it lacks of it only when it
// is asked; what an answer turned out to say otherwise is cut off. What rests in its sequences is a
// beginning for others, until its cells are needed.
//
// Whether a draft pays is Speculation's to say. Owned by the Batcher; its thread, inside its steps.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/model.h"
#include "engine/slots.h"
#include "engine/step_cost.h"

namespace lares::engine {

class Drafter {
 public:
  // `model` cuts, has the vocabulary of the one that it drafts for, whose size is `vocabulary`, and
  // outlives it, as does `clock`.
  Drafter(Model& model, Tokens vocabulary, const Clock& clock);

  // How many tokens it would have to compute before it drafts what follows `said`, in `sequence` or
  // in one that begin() would give; at least 1. nullopt: it cannot, as its context is too short, or
  // it has no such token, or no sequence is left.
  std::optional<size_t> behind(std::optional<Sequence> sequence, std::span<const Token> said) const;
  // How many tokens it can draft after so many.
  size_t room(size_t said) const;

  // A sequence for an answer, with what is known of its beginning. Requires: behind() has a value.
  Sequence begin(std::span<const Token> said);
  // The answer has ended, or rests.
  void end(Sequence sequence);
  // All that it computed. Requires: no answer has a sequence.
  void forget();

  // One answer's part of drafting.
  struct Work {
    Sequence sequence = 0;
    std::span<const Token> said;
    size_t rows = 0;      // of what it is behind, at most so many are computed
    bool drafts = false;  // when it has caught up
    // Takes the next token, or the end of the answer. True: another one is wanted.
    std::function<bool(Token token, float margin, bool ends)> took;
  };
  // Computes and drafts for all of them together. Ok: as far as it came; where cells are short, not
  // far. Aborted: the step is to be given up. Broken: it is not to be asked again.
  Decoded draft(std::span<const Work> works);

  const StepCost& cost() const { return cost_; }
  size_t rows_max() const { return model_.facts().batch; }
  const Model& model() const { return model_; }

 private:
  size_t rewind(const Work& work);
  void clear(Sequence sequence);
  Decoded compute();

  Model& model_;
  const Tokens vocabulary_;
  const Clock& clock_;
  Slots slots_;
  StepCost cost_;
  std::vector<Row> rows_;  // of a step, kept for its memory
};

}  // namespace lares::engine
