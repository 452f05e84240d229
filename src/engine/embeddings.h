// Embeddings: the requests for vectors that wait, first come, first served, and which of their
// inputs are computed next: several short ones together, of one request. Knows no threads and does
// not compute; the batcher does, between two steps of answers.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/model.h"
#include "wire/message.h"

namespace lares::engine {

inline constexpr size_t kInputsMax = 2048;  // of one request
inline constexpr size_t kEmbedRows = 512;   // tokens of short inputs that are computed together

class Embeddings {
 public:
  // `model`, `pulse` and `clock` must outlive it.
  Embeddings(Model& model, Pulse& pulse, const Clock& clock)
      : model_(model), pulse_(pulse), clock_(clock) {}

  // Invalid with "input" or "model" for what cannot be embedded.
  Result<> add(uint64_t id, const wire::Embed& message);
  bool remove(uint64_t id);  // false: not here
  bool has(uint64_t id) const;
  size_t size() const { return waiting_.size(); }
  bool empty() const { return waiting_.empty(); }

  // What Model::embed() is given next; valid until took() or remove(). Not empty() before.
  struct Next {
    uint64_t id = 0;
    bool begins = false;  // nothing of this request was computed yet
    Tokens tokens = 0;    // of the whole request
    size_t rows = 0;      // of these inputs
    std::vector<std::span<const Token>> inputs;
  };
  Next next();

  // What computing them took, whatever came of it.
  void charge(const Next& computed, double cpu_ms);
  // Their vectors, end to end. The request's end when these were its last.
  std::optional<wire::Done> took(const Next& computed, std::span<const float> vectors);

 private:
  struct Request {
    uint64_t id = 0;
    std::vector<std::vector<Token>> inputs;
    size_t next = 0;  // input
    std::string vectors;
    double cpu_ms = 0;
    std::optional<SteadyTime> began;
  };
  Result<std::vector<Token>> tokens_of(const Json& input, size_t number) const;

  Model& model_;
  Pulse& pulse_;
  const Clock& clock_;
  std::deque<Request> waiting_;
};

}  // namespace lares::engine
