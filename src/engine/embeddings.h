// Embeddings: the requests for vectors and for scores that wait, and which of their inputs are
// computed next: several short ones together, of one request; whose is decided as between answers
// (shares.h). Knows no threads and does not compute; the batcher does, between two steps of
// answers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/model.h"
#include "engine/request.h"
#include "engine/shares.h"
#include "wire/message.h"

namespace lares::engine {

inline constexpr size_t kEmbedRows = 512;  // tokens of short inputs that are computed together

class Embeddings {
 public:
  // The references must outlive it.
  Embeddings(const Model& model, const Clock& clock, Shares& shares)
      : model_(model), clock_(clock), shares_(shares) {}

  void add(PooledRequest request);
  bool remove(uint64_t id);  // false: not here
  bool has(uint64_t id) const;
  size_t size() const { return waiting_.size(); }
  bool empty() const { return waiting_.empty(); }

  // What Model::embed() is given next; valid until took() or remove(). Requires: not empty().
  struct Next {
    uint64_t id = 0;
    Lane lane = Lane::Interactive;
    bool begins = false;  // nothing of this request was computed yet
    Tokens tokens = 0;    // of the whole request
    size_t rows = 0;      // of these inputs
    std::vector<std::span<const Token>> inputs;
  };
  // `rows_max`: of all inputs together, if there are several. Of the requests of lanes no worse
  // than `worst`, of which there is one.
  Next next(size_t rows_max = kEmbedRows, Lane worst = Lane::Background);
  bool has_up_to(Lane worst) const;  // a request of that lane or a better one

  // What computing them took, whatever came of it.
  void charge(const Next& computed, double cpu_ms);
  // Their vectors, end to end. The request's end when these were its last.
  std::optional<wire::Done> took(const Next& computed, std::span<const float> vectors);

 private:
  std::deque<PooledRequest>::iterator find(uint64_t id);

  const Model& model_;
  const Clock& clock_;
  Shares& shares_;
  std::deque<PooledRequest> waiting_;
};

}  // namespace lares::engine
