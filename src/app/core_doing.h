// What the Core keeps of one piece of work; for its own files.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/answer_so_far.h"
#include "app/core.h"
#include "app/tool_fragments.h"

namespace lares::app {

// One piece of work, from submit() to Ended.
struct Core::Doing {
  api::Work work;  // its body has moved to the payloads
  std::shared_ptr<api::Sink> sink;
  std::vector<std::string> payloads;  // of wire frames: one for each part, or one for all; kept
                                      // until it ends, for a worker that may have to begin again
  size_t inputs = 0;                  // of an embedding or a ranking
  wire::Type type = wire::Type::Generate;
  SteadyTime arrived;
  WallTime arrived_wall;

  route::Receipt receipt;
  ModelId model;
  std::vector<std::string> adapters;  // that it names
  bool media = false;                 // it has a picture or sound
  size_t ahead = 0;                   // requests that were before it in the queue
  unsigned handed = 0;
  unsigned ended = 0;
  unsigned deaths = 0;            // of workers that computed it
  std::deque<unsigned> again;     // the choices that were lost with one
  std::vector<AnswerSoFar> said;  // of each choice
  bool thinking_stopped = false;  // the person has read enough of the thoughts
  bool started = false;           // the sink knows
  bool waited_for_load = false;
  Loop::TimerId deadline = 0;
  Lane lane = Lane::Interactive;
  std::optional<Error> refused;  // found wrong before it reached the loop

  Tokens prompt_tokens = 0;
  Tokens reused_tokens = 0;
  Tokens counted_prompt = 0, counted_reused = 0;  // by the metrics; of the first answer
  std::vector<Tokens> written;       // of each choice: as its deltas say, and in the end its Done
  std::set<std::string> tools;       // that were offered
  std::vector<ToolFragments> calls;  // of each choice
  uint64_t reasoning_tokens = 0;
  // computed ahead, and how many of them came; of both, what a draft model said
  uint64_t drafted_tokens = 0, accepted_tokens = 0;
  uint64_t model_drafted_tokens = 0, model_accepted_tokens = 0;
  double prefill_ms = 0;  // of the first answer; the others share its prompt
  double cpu_ms = 0;      // of all answers
  Together decode;

  Tokens completion_tokens() const {
    uint64_t sum = 0;
    for (const Tokens tokens : written) sum += tokens;
    return static_cast<Tokens>(std::min<uint64_t>(sum, UINT32_MAX));
  }
};

Bytes size_of(const std::vector<std::string>& payloads);

}  // namespace lares::app
