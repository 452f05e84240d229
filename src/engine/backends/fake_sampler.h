// FakeSampler: chooses what the script says, or letters by the sampling options, from logits that
// it makes up. Each choice first compares what the sequence's cells hold with what was said.
// Thoughts that do not end go on with dots until they have to, and where no word follows them, a
// dot does. Owned by a request; the model that made it must outlive it.
#pragma once

#include <optional>
#include <random>
#include <span>

#include "engine/backends/fake_script.h"
#include "engine/model.h"
#include "engine/thinking.h"

namespace lares::engine::fake {

class FakeModel;

class FakeSampler final : public Sampler {
 public:
  FakeSampler(FakeModel& model, const Sampling& sampling, std::span<const Token> prompt);
  ~FakeSampler() override;
  FakeSampler(const FakeSampler&) = delete;
  FakeSampler& operator=(const FakeSampler&) = delete;
  Result<Chosen> choose(int row, std::optional<unsigned> top) override {
    return next(row, top, std::nullopt);
  }
  Result<Chosen> take(int row, Token token, std::optional<unsigned> top) override {
    return next(row, top, token);
  }
  void stop_thinking() override { thinking_.stop(); }
  // What it is going to say after `said`; nullopt: this is not how its answer goes.
  std::optional<Token> foretold(std::span<const Token> said) const;

 private:
  Result<Chosen> next(int row, std::optional<unsigned> top, std::optional<Token> before);
  void go_on();
  void end_thoughts();
  std::vector<float> logits() const;
  Token scripted(size_t at) const;
  Token draw(std::vector<float> logits);

  FakeModel& model_;
  const Sampling sampling_;
  std::vector<Token> said_;  // prompt and answer
  const size_t prompt_;
  Script script_;
  std::mt19937_64 random_;
  Thinking thinking_;
  bool ended_thoughts_ = false;
  bool unanswered_ = false;  // its thoughts have ended, and no word has followed them
  const bool plain_;         // no option changes what the script says
};

// Looks like chance, and is the same every time.
uint64_t mixed(uint64_t x);

}  // namespace lares::engine::fake
