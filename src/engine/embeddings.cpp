#include "engine/embeddings.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "base/text.h"

namespace lares::engine {
namespace {

// float32, little-endian
void append_bytes(std::string& out, std::span<const float> values) {
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((bits >> shift) & 0xFF);
  }
}

}  // namespace

void Embeddings::add(PooledRequest request) {
  shares_.enter(request.lane, request.owner);
  waiting_.push_back(std::move(request));
}

std::deque<PooledRequest>::iterator Embeddings::find(uint64_t id) {
  return std::find_if(waiting_.begin(), waiting_.end(),
                      [id](const PooledRequest& each) { return each.id == id; });
}

bool Embeddings::remove(uint64_t id) {
  const auto found = find(id);
  if (found == waiting_.end()) return false;
  shares_.leave(found->lane, found->owner);
  waiting_.erase(found);
  return true;
}

bool Embeddings::has(uint64_t id) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [id](const PooledRequest& each) { return each.id == id; });
}

bool Embeddings::has_up_to(Lane worst) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [worst](const PooledRequest& each) { return each.lane <= worst; });
}

Embeddings::Next Embeddings::next(size_t rows_max, Lane worst) {
  assert(has_up_to(worst));
  const auto before = [&](const PooledRequest& a, const PooledRequest& b) {
    if ((a.lane <= worst) != (b.lane <= worst)) return a.lane <= worst;
    return shares_.before({a.lane, a.owner}, {b.lane, b.owner});
  };
  PooledRequest& request = *std::min_element(waiting_.begin(), waiting_.end(), before);
  const Facts& facts = model_.facts();
  Next next;
  next.id = request.id;
  next.lane = request.lane;
  next.begins = !request.began;
  if (!request.began) request.began = clock_.now();
  for (const auto& input : request.inputs) next.tokens += static_cast<Tokens>(input.size());
  rows_max = std::min<size_t>(facts.batch, rows_max);
  for (size_t i = request.next; i < request.inputs.size() && next.inputs.size() < facts.sequences;
       i++) {
    const auto& input = request.inputs[i];
    if (!next.inputs.empty() && next.rows + input.size() > rows_max) break;
    next.rows += input.size();
    next.inputs.emplace_back(input);
  }
  return next;
}

void Embeddings::charge(const Next& computed, double cpu_ms) {
  const auto request = find(computed.id);
  if (request == waiting_.end()) return;
  request->cpu_ms += cpu_ms;
  shares_.charge(request->lane, request->owner, cpu_ms);
}

std::optional<wire::Done> Embeddings::took(const Next& computed, std::span<const float> vectors) {
  const auto found = find(computed.id);
  assert(found != waiting_.end());
  PooledRequest& request = *found;
  append_bytes(request.vectors, vectors);
  request.next += computed.inputs.size();
  if (request.next < request.inputs.size()) return std::nullopt;

  wire::Done done;
  done.reason = request.end;
  done.prompt_tokens = computed.tokens;
  for (const auto& input : request.inputs)
    done.input_tokens.push_back(static_cast<Tokens>(input.size()));
  done.prefill_ms = exact_ms(*request.began, clock_.now());
  done.cpu_ms = request.cpu_ms;
  done.vectors = std::move(request.vectors);
  remove(request.id);
  return done;
}

}  // namespace lares::engine
