// Conduct: which frames a worker may send, and how many. What a worker says is hostile input: each
// frame is held against what the owner asked for, before anybody acts on it. Payloads of answers
// are not read here: whoever reads a Done asks credible(). Pure: the caller brings the time. Used
// under the Worker's lock.
//
//   starting ──Hello──> ready      Loaded only after Load or Inspect, Moved after Move,
//   Started/Delta/Done/Failed only for
//                                  an open id, nothing of an id after its end
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/clock.h"
#include "wire/message.h"

namespace lares::host {

// 8 streams of 2,000 tokens a second, four times over.
inline constexpr uint64_t kFramesPerSecondMax = 64'000;
inline constexpr uint64_t kBytesPerSecondMax = 256u << 20;
// A Beat comes four times a second and Progress with each tensor or chunk.
inline constexpr uint64_t kBeatsPerSecondMax = 200;
inline constexpr uint64_t kProgressPerSecondMax = 2'000;
inline constexpr uint64_t kDeltasPerSecondMax = 16'000;  // of one request
// For one request: where max_tokens does not say less. Text comes in pieces of a token or more.
// Where Load leaves the context to the worker: it takes so much at most, four times over.
inline constexpr uint64_t kDeltasMax = uint64_t{4} * wire::kContextMax;
inline constexpr uint64_t kDeltasSpare = 64;  // the end of a text that was held back, a stop string
inline constexpr uint64_t kAnswerBytesMax = 1u << 30;
inline constexpr size_t kOpenMax = 4'096;
inline constexpr unsigned kCoresMax = 512;
// Of a worker's own words in its errors.
inline constexpr size_t kWordsMax = 2'000;

// How many Deltas a request may bring: by its max_tokens, unless it asks for the prompt too. Reads
// the payload, which is ours.
uint64_t deltas_allowed(const wire::Frame& generate_or_resume);
// No answer is longer than the context that this Load gives.
uint64_t deltas_allowed_by(const wire::Frame& load);

// Whether a request that took so long on the clock can have used what its Done says. Corrupt,
// without a subject, where not.
Result<> credible(const wire::Done& done, SteadyTime::duration wall);

class Conduct {
 public:
  enum class Meaning { Beat, Hello, Loaded, Moved, Progress, Answer, GivesUp };

  // The owner sends this: opens its id. Invalid for an id of 0 or one that is open; Busy when too
  // many are.
  Result<> sends(const wire::Frame& frame);
  // Of an open id, before its frame is written; and of every one that opens from now on.
  void allow_deltas(uint64_t id, uint64_t most);
  void allow_deltas(uint64_t most) { deltas_max_ = most; }

  // The worker said this. An error says what was wrong with it, without a subject: "sent ...".
  Result<Meaning> hears(const wire::Frame& frame, SteadyTime now);

  bool ready() const { return ready_; }
  size_t open() const { return open_.size(); }

 private:
  struct Request {
    bool started = false;
    uint64_t deltas = 0;
    uint64_t deltas_max = kDeltasMax;
    uint64_t bytes = 0;
    SteadyTime window{};  // the second that is counted
    uint64_t in_window = 0;
  };
  std::optional<std::string> too_much(const wire::Frame& frame, SteadyTime now);

  std::map<uint64_t, Request> open_;
  bool ready_ = false;
  uint64_t deltas_max_ = kDeltasMax;
  uint64_t loads_waiting_ = 0;  // Load and Inspect without an answer
  uint64_t moves_waiting_ = 0;  // Move
  SteadyTime window_{};         // the second that is counted
  uint64_t frames_ = 0, bytes_ = 0, beats_ = 0, progress_ = 0;
};

// Text of a worker for our errors and logs: ASCII that prints, the rest as '?', cut to `most`
// bytes.
std::string cleaned(std::string_view text, size_t most);

}  // namespace lares::host
