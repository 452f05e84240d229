// A request for an answer, as the Batcher keeps it from its arrival to its end. For batcher*.cpp
// only.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/answer_reader.h"
#include "engine/batcher.h"
#include "engine/lookup.h"
#include "engine/repetition.h"

namespace lares::engine {

struct Batcher::Request {
  Request(uint64_t number, const wire::Generate& message, GenerateOptions asked)
      : id(number), lane(message.lane), owner(message.owner), options(std::move(asked)), text({}) {}

  size_t pending() const { return tokens.size() - computed; }
  // Its prompt (or what it lost to preemption) is not computed yet.
  bool prefilling() const { return pending() > 1 || generated() == 0; }
  size_t generated() const { return tokens.size() - prompt; }
  std::span<const Token> answer() const { return std::span(tokens).subspan(prompt); }
  // Control tokens have no text, but for those of its format.
  Special special(Token token) const {
    if (!reader) return Special::Parsed;
    const auto& shown = reader->format().shown;
    const bool is_shown = std::find(shown.begin(), shown.end(), token) != shown.end();
    return is_shown ? Special::AsText : Special::Parsed;
  }
  bool afresh() const { return options.seeded && prompt <= kAfreshMax; }

  const uint64_t id;
  const Lane lane;
  const uint32_t owner;
  GenerateOptions options;
  std::vector<Token> tokens;  // the prompt and the answer
  size_t prompt = 0;          // how many of them are the prompt
  size_t computed = 0;        // how many the sequence holds
  size_t reused = 0;
  Sequence sequence = -1;
  uint64_t adapters = 0;  // the number of its set
  bool started = false;
  std::unique_ptr<Sampler> sampler;
  TextOut text;
  std::optional<AnswerReader> reader;  // of a format; else all of the answer is text
  size_t thought = 0;                  // tokens before the answer
  Repetition repetition;
  Lookup lookup;
  std::vector<Token> draft;  // computed behind its tokens in this step
  bool drafts = true;        // this model's state lets them be taken back
  // Tokens whose text was not shown yet: how many bytes went in with each, and its logprobs.
  struct Told {
    size_t until;
    Json logprobs;
  };
  std::deque<Told> untold;
  double cpu_ms = 0;
  uint64_t served = 0;  // its last turn
  SteadyTime began;     // of computing
  SteadyTime first_token;
};

}  // namespace lares::engine
