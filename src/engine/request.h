// Request: one for an answer, from where a RequestMaker made it of what was asked to where the
// Batcher says that it has ended. PooledRequest: one for vectors or scores.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/answer_reader.h"
#include "engine/options.h"
#include "engine/repetition.h"
#include "engine/replay.h"
#include "engine/speculation.h"
#include "engine/text_out.h"

namespace lares::engine {

struct Request {
  Request(uint64_t number, const wire::Generate& message, GenerateOptions asked, uint32_t random)
      : id(number),
        lane(message.lane),
        owner(message.owner),
        options(std::move(asked)),
        chance(random),
        text({}) {}

  // A piece of media in its prompt, and where its rows begin there.
  struct Piece {
    size_t begin;
    std::shared_ptr<MediaPiece> media;
    size_t end() const { return begin + media->rows; }
  };

  size_t pending() const { return tokens.size() - computed; }
  // Its prompt (or what it lost to preemption) is not computed yet.
  bool prefilling() const { return pending() > 1 || generated() == 0; }
  size_t generated() const { return tokens.size() - prompt; }
  // What comes next is rows of this; nullptr: tokens, or there is nothing.
  const Piece* next_piece() const {
    for (const Piece& piece : media) {
      if (computed >= piece.begin && computed < piece.end()) return &piece;
    }
    return nullptr;
  }
  // How much of what is pending one step may compute: tokens up to a piece of media, or its rows.
  size_t run() const {
    for (const Piece& piece : media) {
      if (computed < piece.begin) return piece.begin - computed;
      if (computed < piece.end()) return piece.end() - computed;
    }
    return pending();
  }
  // The position of its token `at`, which continues no piece.
  Position position(size_t at) const {
    size_t spared = 0;
    for (const Piece& piece : media) {
      if (piece.end() <= at) spared += piece.media->rows - piece.media->positions;
    }
    return static_cast<Position>(at - spared);
  }
  // Positions and numbers of tokens are not the same.
  bool shifted() const {
    return std::any_of(media.begin(), media.end(), [](const Piece& piece) {
      return piece.media->rows != piece.media->positions;
    });
  }
  std::span<const Token> answer() const { return std::span(tokens).subspan(prompt); }
  // Control tokens have no text, but for those of its format.
  Special special(Token token) const {
    if (!reader) return Special::Parsed;
    const auto& shown = reader->format().shown;
    const bool is_shown = std::find(shown.begin(), shown.end(), token) != shown.end();
    return is_shown ? Special::AsText : Special::Parsed;
  }
  const uint64_t id;
  const Lane lane;
  const uint32_t owner;
  GenerateOptions options;
  const uint32_t chance;       // wire::Started::chance
  bool resumes = false;        // another worker began with it: what went before `replay` was told
  Replay replay;               // what that one chose
  bool stop_thoughts = false;  // when that is over
  std::vector<Token> tokens;   // the prompt and the answer
  std::vector<Piece> media;    // in the order of the prompt
  size_t prompt = 0;           // how many of them are the prompt
  size_t computed = 0;         // how many the sequence holds
  size_t reused = 0;
  Sequence sequence = -1;
  uint64_t adapters = 0;  // the number of its set
  bool started = false;
  std::optional<SteadyTime> blocked;  // since when it has a place and lacks cells
  bool exact = false;                 // seeded, and nothing else had cells since it began
  std::unique_ptr<Sampler> sampler;
  TextOut text;
  std::optional<AnswerReader> reader;  // of a format; else all of the answer is text
  size_t thought_tags = 0;             // Rendered::thought_tags
  size_t thought = 0;                  // tokens of thoughts
  Repetition repetition;
  Speculation speculation;
  bool drafts = true;                      // this model's state lets them be taken back
  std::optional<Sequence> draft_sequence;  // of the draft model
  // Tokens whose text was not shown yet: how many bytes went in with each, and its logprobs.
  struct Told {
    size_t until;
    Json logprobs;
  };
  std::deque<Told> untold;
  size_t known = 0;        // tokens whose ids were told
  bool ending = false;     // what is told now was held back until the end
  double choosing_ms = 0;  // of a token, of late
  double cpu_ms = 0;
  uint64_t served = 0;  // its last turn
  SteadyTime began;     // of computing
  SteadyTime first_token;
};

struct PooledRequest {
  uint64_t id = 0;
  Lane lane = Lane::Interactive;
  uint32_t owner = 0;
  std::string_view end = "embedded";  // what its Done says
  std::vector<std::vector<Token>> inputs;
  size_t next = 0;  // input
  std::string vectors;
  double cpu_ms = 0;
  std::optional<SteadyTime> began;
};

}  // namespace lares::engine
