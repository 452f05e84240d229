// TimedModel: a model whose steps take what a test says, on the test's clock.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "engine/model.h"

namespace lares::engine::testing {

class TimedModel final : public Model {
 public:
  // A step takes `fixed_ms` and `row_ms` for each of its rows.
  TimedModel(std::unique_ptr<Model> model, FakeClock& clock, double fixed, double row)
      : said(model->facts()),
        fixed_ms(fixed),
        row_ms(row),
        model_(std::move(model)),
        clock_(clock) {}

  Facts said;  // of itself
  double fixed_ms, row_ms;
  double logit_ms = 0;  // more for each row that a token may be chosen from
  size_t steps = 0;
  size_t rows = 0;
  size_t aborted = 0;                     // of the steps
  std::function<void()> on_step = [] {};  // of tokens
  // Whenever anything is computed, by the name of the function.
  std::function<void(std::string_view)> on_compute = [](std::string_view) {};
  std::optional<Likeliest> always;  // what likeliest() is, whatever was computed
  Model& inner() { return *model_; }

  Decoded decode(std::span<const Row> rows_now) override {
    on_compute("decode");
    on_step();
    steps++;
    rows += rows_now.size();
    const auto choosing = std::count_if(rows_now.begin(), rows_now.end(),
                                        [](const Row& row) { return row.wants_logits; });
    const double ms = fixed_ms + row_ms * static_cast<double>(rows_now.size()) +
                      logit_ms * static_cast<double>(choosing);
    clock_.advance(std::chrono::nanoseconds(static_cast<int64_t>(ms * 1e6)));
    const Decoded decoded = model_->decode(rows_now);
    aborted += decoded == Decoded::Aborted ? 1 : 0;
    return decoded;
  }
  const Facts& facts() const override { return said; }
  Result<std::vector<Token>> tokenize(std::string_view text, Special special) override {
    return model_->tokenize(text, special);
  }
  Result<std::vector<Token>> tokenize_pair(std::string_view query,
                                           std::string_view document) override {
    return model_->tokenize_pair(query, document);
  }
  Result<std::vector<Token>> tokenize_gap(const Gap& gap, size_t most) override {
    return model_->tokenize_gap(gap, most);
  }
  std::string piece(Token token, Special special) const override {
    return model_->piece(token, special);
  }
  bool ends(Token token) const override { return model_->ends(token); }
  Result<Rendered> render_chat(const Chat& chat) override { return model_->render_chat(chat); }
  Result<std::shared_ptr<const Constraint>> constrain(const Must& must) override {
    return model_->constrain(must);
  }
  Result<std::vector<PromptPart>> tokenize_media(std::string_view prompt,
                                                 std::span<const Media> media) override {
    return model_->tokenize_media(prompt, media);
  }
  Decoded encode(MediaPiece& piece) override {
    on_compute("encode");
    return model_->encode(piece);
  }
  void forget_rows(MediaPiece& piece) override { model_->forget_rows(piece); }
  Decoded decode_media(const MediaRows& rows_now) override {
    on_compute("decode_media");
    return model_->decode_media(rows_now);
  }
  Result<std::unique_ptr<Sampler>> sampler(const Sampling& sampling,
                                           std::span<const Token> prompt) override {
    return model_->sampler(sampling, prompt);
  }
  Result<> load_adapter(size_t index) override { return model_->load_adapter(index); }
  void adapt(std::span<const Adapter> adapters) override { model_->adapt(adapters); }
  Likeliest likeliest(int row) const override { return always ? *always : model_->likeliest(row); }
  bool cut(Sequence sequence, Position from) override { return model_->cut(sequence, from); }
  void forget() override { model_->forget(); }
  void share(Sequence from, Sequence to, Position until) override {
    model_->share(from, to, until);
  }
  Position first_position(Sequence sequence) const override {
    return model_->first_position(sequence);
  }
  size_t state_size(Sequence sequence) const override { return model_->state_size(sequence); }
  bool save(Sequence sequence, std::span<std::byte> into) override {
    return model_->save(sequence, into);
  }
  bool restore(Sequence to, std::span<const std::byte> state) override {
    return model_->restore(to, state);
  }
  Result<> stand(Rung rung, bool for_others) override { return model_->stand(rung, for_others); }
  uint64_t memory_on(Rung rung) const override { return model_->memory_on(rung); }
  Result<std::vector<float>> embed(std::span<const std::span<const Token>> inputs) override {
    on_compute("embed");
    return model_->embed(inputs);
  }

 private:
  std::unique_ptr<Model> model_;
  FakeClock& clock_;
};

}  // namespace lares::engine::testing
