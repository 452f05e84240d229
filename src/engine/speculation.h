// Speculation: what one answer drafts of its next tokens, from where, and how many. A draft is
// computed in the same step as the token before it, so it costs rows; those of a draft model
// (Leviathan et al. 2023; Chen et al. 2023) cost that model's own steps too. There are two sources:
// what was said before (Lookup), and the draft model, where there is one. For each it is measured,
// for this answer, how often its tokens are right; with what steps take that says how many tokens a
// draft would bring for its time. The better source is used, and none where none pays. A draft
// model that does not pay is tried again, less and less often.
//
//   plan() ──> Plan{Lookup} ─────────────────────────────────> computed() ──> chosen()*
//         ──> Plan{Model} ──> drafted()*, once for each token ──^
//         ──> Plan{None}                                            chosen()*
//
// The tokens themselves are always the stream's own sampler's: a draft only says which rows are
// computed ahead. Pure; the Batcher's thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/lookup.h"
#include "engine/model.h"

namespace lares::engine {

// What a step takes with so many rows, or so many more, by any unit; 0: that is not known.
using RowsCost = std::function<double(size_t rows)>;

// How many tokens of a draft bring the most tokens for the time of their step.
struct Worth {
  size_t count = 0;  // 0: a step without a draft
  double rate = 0;   // tokens for each unit of cost; 0: not known
};
// At most `most` tokens, each of which is right with the probability `likely` where those before it
// are. `others`: tokens that come out of the step beside this answer's. `cost`: by the length of
// the draft.
Worth best_worth(size_t most, size_t others, double likely, const RowsCost& cost);

// How often the tokens of a draft model were right, by how far its likeliest token was ahead of the
// next.
class Odds {
 public:
  double likely() const { return likely_; }
  double likely(float margin) const { return by_margin_[bucket(margin)]; }
  void saw(float margin, bool right);

 private:
  static size_t bucket(float margin);
  double likely_ = 0.7;
  std::array<double, 4> by_margin_{0.3, 0.5, 0.75, 0.9};  // below 1, 2, 4 nats, and above
};

class Speculation {
 public:
  enum class Source { None, Lookup, Model };

  // The step that a draft would be a part of.
  struct Step {
    size_t most = 0;    // tokens of a draft that have room
    size_t others = 0;  // tokens that come out of it beside this answer's
    RowsCost cost;      // of so many rows beyond what it has anyway
    // Of the draft model for so many rows in one step of its own, in the same unit; empty: there is
    // none, or it cannot draft this answer.
    RowsCost drafting;
    // How many tokens the draft model has yet to compute before it can draft; nullopt: it cannot.
    std::function<std::optional<size_t>()> behind;
    size_t rows_max = 0;   // of what it has to compute before it drafts, in this step
    double limit = 0;      // for the cost of the step with what the draft model takes; 0: none
    size_t remaining = 0;  // tokens of the answer that may still come, as far as can be told
  };
  struct Plan {
    Source source = Source::None;
    size_t count = 0;     // tokens at most; of a Lookup, exactly
    size_t catch_up = 0;  // rows that the draft model computes of what was said
  };

  // Of the draft model in earlier answers, for one that begins.
  void begin(const Odds& odds) { odds_ = odds; }

  // What is drafted after `said`, which grows from call to call. Forgets the last draft.
  Plan plan(std::span<const Token> said, const Step& step);
  // The next token that the draft model says. True: another is worth its time.
  bool drafted(Token token, float margin);
  // It says that the answer ends there, which has no row: it is only held against what is chosen.
  void drafted_end(Token token, float margin);
  // The draft as far as it is worth computing.
  std::span<const Token> draft() const { return std::span(draft_).first(count_); }

  // The draft was computed: it counts.
  void computed();
  // The next token, as it was chosen.
  void chosen(Token token);
  // There is no draft, and the tokens that follow are not those after the last plan().
  void forget();

  struct Counts {
    uint32_t drafted = 0;
    uint32_t right = 0;
  };
  const Counts& counts(Source source) const { return counts_[static_cast<size_t>(source)]; }
  const Odds& odds() const { return odds_; }

 private:
  // Tokens between two trials of a draft model that did not pay.
  static constexpr size_t kRetryFirst = 32;
  static constexpr size_t kRetryMax = 512;
  static constexpr size_t kTrial = 3;   // tokens of one
  static constexpr double kHope = 0.9;  // what a trial assumes of them
  static constexpr size_t kAtRest = 2;  // tokens that a draft model is behind from step to step

  Plan plan_model(const Step& step, double plain, double to_beat);

  Lookup lookup_;
  Odds odds_;
  size_t idle_ = 0;  // tokens since the draft model drafted
  size_t retry_ = kRetryFirst;
  std::array<Counts, 3> counts_{};

  // of this step
  bool planned_ = false;
  Source source_ = Source::None;
  std::vector<Token> draft_;  // all that is known of it
  size_t count_ = 0;          // how many of them are computed
  std::vector<float> margins_;
  bool trial_ = false;
  size_t most_ = 0;  // tokens that the draft model may say; 0: it only catches up
  RowsCost cost_;
  double draft_cost_ = 0;  // of drafting until now
  double draft_one_ = 0;   // of the next token
  double tokens_ = 0;      // that come out, as it is expected
  double right_ = 1;       // that all of the draft is right
  size_t place_ = 0;       // of the next chosen()
  bool follows_ = false;   // what was chosen until now is what was drafted
};

}  // namespace lares::engine
