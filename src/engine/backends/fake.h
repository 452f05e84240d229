// FakeModel: the state of conversations without anything that is computed: which tokens the cells
// of a sequence hold, what a window has forgotten of them, and which adapters they were computed
// with. Owned as every Model is (engine/model.h). Its samplers, and one that drafts for it, look
// into it.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "engine/model.h"

namespace lares::engine::fake {

class FakeSampler;

class FakeModel final : public Model {
 public:
  // `pulse`, and the model that it drafts for, must outlive it; nullptr: it answers itself.
  FakeModel(const wire::Load& load, Pulse& pulse, const FakeModel* drafts_for);

  const Facts& facts() const override { return facts_; }
  std::string piece(Token token, Special special) const override;
  bool ends(Token token) const override;

  Result<std::vector<Token>> tokenize(std::string_view text, Special special) override;
  Result<std::vector<Token>> tokenize_pair(std::string_view query,
                                           std::string_view document) override;
  Result<std::vector<Token>> tokenize_gap(const Gap& gap, size_t most) override;
  // Where a call is required and none is ordered, it calls the first tool with {}.
  Result<Rendered> render_chat(const Chat& chat) override;
  // It knows "choice", of which it says the first, and a schema, to which it says {}.
  Result<std::shared_ptr<const Constraint>> constrain(const Must& must) override;
  Result<std::vector<PromptPart>> tokenize_media(std::string_view prompt,
                                                 std::span<const Media> media) override;
  Result<std::unique_ptr<Sampler>> sampler(const Sampling& sampling,
                                           std::span<const Token> prompt) override;

  Result<> load_adapter(size_t index) override;
  void adapt(std::span<const Adapter> adapters) override;
  Decoded encode(MediaPiece& piece) override;
  void forget_rows(MediaPiece& piece) override { piece.encoded = false; }
  Decoded decode_media(const MediaRows& media) override;
  Decoded decode(std::span<const Row> rows) override;
  Likeliest likeliest(int row) const override;
  bool cut(Sequence sequence, Position from) override;
  void forget() override;
  void share(Sequence from, Sequence to, Position until) override;
  Position first_position(Sequence sequence) const override;
  size_t state_size(Sequence sequence) const override;
  bool save(Sequence sequence, std::span<std::byte> into) override;
  bool restore(Sequence to, std::span<const std::byte> state) override;
  Result<> stand(Rung rung, bool for_others) override;
  uint64_t memory_on(Rung rung) const override;
  Result<std::vector<float>> embed(std::span<const std::span<const Token>> inputs) override;

  // For its samplers, which tell of their beginning and their end: likeliest() asks them.
  void enter(const FakeSampler& sampler);
  void leave(const FakeSampler& sampler);
  // What the sequence of a row of the last decode holds, and whether its window is whole.
  Result<std::span<const Token>> held(int row) const;
  // The word with which an answer ends that was computed with adapters: " 1" for the first.
  std::optional<Token> mark() const;
  // Its logits are numbers.
  bool numbers() const;

 private:
  struct Cells {
    std::vector<Token> tokens;
    Position first = 0;  // what is before it has been forgotten
    uint64_t under = 0;  // which adapters they were computed with
  };

  Pulse& pulse_;
  const FakeModel* const drafts_for_;  // nullptr: it answers itself
  mutable Mutex samplers_mutex_;
  std::vector<const FakeSampler*> samplers_ GUARDED_BY(samplers_mutex_);
  Facts facts_;
  std::vector<Cells> cells_;
  std::vector<Row> rows_;
  std::vector<Position> firsts_;  // what each of them could still see
  uint64_t decoded_ = 0;
  Rung rung_ = Rung::Hot;
  std::vector<Adapter> adapters_;
  uint64_t under_ = 0;
};

}  // namespace lares::engine::fake
