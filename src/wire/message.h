// Messages: the whole vocabulary between laresd and a lares-worker. A payload is CBOR of a JSON
// object (base/json.h), except where noted. The engine options inside `body` of Generate have gone
// through api's table of fields already; a worker checks them again, as laresd checks what a worker
// says.
//
//   worker                                     laresd
//     Hello    ──────────────────────────────>        after the sandbox is entered
//            <──────────────────────────────  Load     once; or Inspect
//     Progress ──────────────────────────────>        0 or more while loading
//     Loaded   ──────────────────────────────>        or Failed with id 0, and the worker ends
//            <──────────────────────────────  Generate, Embed, Rank, Resume (id > 0)
//            <──────────────────────────────  Cancel, StopThinking (same id)
//            <──────────────────────────────  Move     while it has no request; it is hot when
//            loaded
//     Moved    ──────────────────────────────>        one for each Move
//     Started, Delta*, Done | Failed ────────>        exactly one end for each id
//     Beat     ──────────────────────────────>        every kBeatEvery, with a counter of progress
//            <──────────────────────────────  Shutdown; the worker also ends when the socket closes
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/lane.h"
#include "base/rung.h"
#include "base/units.h"
#include "wire/frame.h"

namespace lares::wire {

enum class Type : uint8_t {
  Hello = 1,
  Load = 2,
  Inspect = 3,
  Loaded = 4,
  Progress = 5,
  Generate = 6,
  Embed = 7,
  // 8 was planned and never sent
  Cancel = 9,
  Started = 10,
  Delta = 11,
  Done = 12,
  Failed = 13,
  Beat = 14,
  Shutdown = 15,
  Rank = 16,
  StopThinking = 17,
  Resume = 18,
  Move = 19,
  Moved = 20,
  // between laresd and lares-egress: wire/pull.h
  Resolve = 32,
  Found = 33,
  Fetch = 34,
  Fetched = 35,
  Pulled = 36,
  Hash = 37,
  Hashed = 38,
};

inline constexpr std::chrono::milliseconds kBeatEvery{250};

// The descriptors that a worker finds open when it starts. 0 is /dev/null, 1 and 2 the log pipe.
inline constexpr int kControlFd = 3;  // SOCK_STREAM socketpair to laresd
inline constexpr int kModelFd = 4;    // the model file, read-only; absent for --engine=fake
// 5 and 6: wire/lease_page.h
inline constexpr int kProjectorFd = 7;  // absent for a model without
inline constexpr int kAdapterFd = 8;    // the first file of Load::adapters; the others behind it
// Behind those, the file of Load::draft.

// worker -> laresd, once, after the sandbox is entered.
struct Hello {
  std::string engine;   // "llama" or "fake"
  std::string variant;  // CPU variant: "haswell", ...
  std::vector<std::string>
      sandbox;  // layers that hold: "seccomp", "landlock:7", "user-namespace", ...
  std::vector<std::string> missing;  // layers that do not, each with why: "landlock: ENOSYS"
};

// The context that a worker takes by itself; the daemon reserves memory for it.
inline constexpr Tokens kContextMax = 8192;

inline constexpr int64_t kThinkFreely = -1;
inline constexpr int64_t kThinkByQuestion = -2;

// laresd -> worker. Load reads the model on kModelFd and keeps it.
struct Load {
  std::string name;  // for messages only
  // tokens for all sequences together; 0: the model's own, at most kContextMax
  uint32_t context = 0;
  uint32_t sequences = 8;   // conversations at once
  uint32_t threads = 0;     // 0: as many as cores
  uint32_t batch = 512;     // prompt tokens computed in one step
  bool embeddings = false;  // a model for vectors or scores: no generation
  // Names of the adapters whose files lie at kAdapterFd and behind it, in this order. Each is read
  // when a request first names it.
  std::vector<std::string> adapters = {};
  // Of requests that name none; kThinkFreely: as long as the model likes; kThinkByQuestion: as
  // reasoning_effort "auto".
  int64_t reasoning_budget = kThinkFreely;
  uint32_t reasoning_seconds = 30;  // that a person waits for thoughts, for "auto"
  std::string draft = {};           // the name of the model that drafts for this one; "": none
};
inline constexpr size_t kAdaptersMax = 16;  // of one worker

// worker -> laresd: what was loaded. `info` (also the answer to Inspect) has: architecture, name,
// parameters, size_bytes, quantization, context_train, context, vocabulary, embedding_length,
// layers, sliding_window, pooling ("none", "mean", "cls", "last", "rank"), has_template,
// template_sha256, licence; once loaded also inputs (of "text", "image", "audio").
struct Loaded {
  Json info;
  int64_t load_ms = 0;
  uint64_t memory_bytes = 0;  // weights mapped + state + compute buffers, as the engine counts them
  uint64_t draft_memory_bytes = 0;  // the same of Load::draft, which is not in memory_bytes
  std::string draft_refused = {};   // why Load::draft does not draft; "": it does, or there is none
};

// laresd -> worker. kind: "chat" (body.messages, OpenAI's shape, but that a picture or sound in a
// content is {type: "image" or "audio", data: base64 of its file, param: where it stood in the
// request}) or "completion" (body.prompt: string or array of token ids) or "infill"
// (body.input_prefix, input_suffix, prompt: strings; input_extra: array of {filename, text}). Other
// fields of body, all optional, with OpenAI's names and llama-server's for samplers: max_tokens,
// temperature, top_p, top_k, min_p, typical_p, presence_penalty, frequency_penalty, repeat_penalty,
// repeat_last_n, xtc_probability, xtc_threshold, dry_multiplier, dry_base, dry_allowed_length,
// dry_penalty_last_n, dry_sequence_breakers (array), mirostat, mirostat_tau, mirostat_eta,
// top_n_sigma, dynatemp_range, dynatemp_exponent, lora (array of {id, scale}, ids among
// Load::adapters), seed, stop (array), logit_bias (object: token id -> number), logprobs (bool),
// top_logprobs (0..20), echo (bool, completions), ignore_eos (bool), stop_repeating (bool),
// chat_template_kwargs (object). What the answer must be (engine/structure.h): must (object: one of
// "schema", "grammar" and "regex", each a text, or "choice", an array of texts; "strict" (bool)
// beside a schema; and "param", the field that errors name). Of chats only: tools (array of {name,
// description, parameters}, the last as JSON text, whose order of properties counts), tool_choice
// ("auto" or "required"), parallel_tool_calls (bool), reasoning_budget (tokens of thinking before
// the answer), reasoning_effort ("none", "minimal", "low", "medium", "high", "auto"), deadline_ms
// (for the whole answer; of "auto", thoughts keep to half of it).
struct Generate {
  std::string kind;
  Json body;
  Lane lane = Lane::Interactive;
  // Whose request it is: a number that means nothing but that those of one owner share their time.
  uint32_t owner = 0;
};

// laresd -> worker. inputs: strings or arrays of token ids.
struct Embed {
  Json inputs;
  Lane lane = Lane::Interactive;
  uint32_t owner = 0;  // as in Generate
};

// laresd -> worker, of a model that ranks. documents: strings, each scored together with the query.
struct Rank {
  std::string query;
  Json documents;
  Lane lane = Lane::Interactive;
  uint32_t owner = 0;  // as in Generate
};

// laresd -> worker: a Generate that another worker had begun to answer when it died. The answer
// goes on from the tokens that are given, which are computed again one by one, as they were the
// first time; nothing that was said is said again.
struct Resume {
  std::string generate;                 // the payload of its Generate
  uint32_t chance = 0;                  // Started::chance
  int64_t thinking_max = kThinkFreely;  // Started::thinking_max
  // The ids that its Deltas brought, as uint32 (little-endian), end to end; with kToldHere in the
  // last of each Delta that said something.
  std::string ids;
  Lane lane = Lane::Interactive;
  uint32_t owner = 0;  // as in Generate
};
inline constexpr uint32_t kToldHere = 1u << 31;

// laresd -> worker: climb or descend to this rung (not Absent). A request needs Hot.
struct Move {
  Rung rung = Rung::Hot;
  // Of weights that it lets go: other programs' memory is short, so the system's cache lets them go
  // too.
  bool for_others = false;
};

// worker -> laresd: it stands there now.
struct Moved {
  Rung rung = Rung::Hot;
  double ms = 0;
  // What it holds there, as the engine counts it: as Loaded::memory_bytes, with all of a draft
  // model's.
  uint64_t memory_bytes = 0;
};

// worker -> laresd: the prompt is understood and its computation begins.
struct Started {
  Tokens prompt_tokens = 0;
  Tokens reused_tokens = 0;  // taken from a conversation's state instead of computed
  // What was left to chance comes from this number: the seed where the request names none, and the
  // ids of calls of tools.
  uint32_t chance = 0;
  // The most tokens of thinking, where the worker has chosen that: because it was left to it, or
  // because no answer would fit behind what was asked for. The next worker may be faster.
  int64_t thinking_max = kThinkFreely;
};

// worker -> laresd: more of an answer. Texts are whole UTF-8; not all are empty unless logprobs
// carry tokens without text.
struct Delta {
  std::string text;
  Json logprobs;      // null, or an array of {token, bytes, logprob, top_logprobs: [...]} (OpenAI's
                      // shape)
  Tokens tokens = 0;  // how many generated tokens stand behind this
  std::string reasoning = {};  // of what the model thinks before it answers
  // Null, or an array of {index, id, name, arguments}: fragments of calls of tools. An index is the
  // one of the fragment before or one more; id and name stand in an index's first fragment and are
  // "" in the others; arguments is more of a JSON text.
  Json tool_calls = {};
  // Of all tokens that were chosen since the Delta before, also of those whose text is still held
  // back: with these another worker can go on (Resume).
  std::vector<Tokens> ids = {};
  bool last = false;  // what was held back until the answer ended: Done follows
};
inline constexpr size_t kLastDeltasMax = 4;  // of one answer

// worker -> laresd: the end of one Generate, Embed, Rank or Resume.
struct Done {
  // "stop", "length", "repeats", or "tool_calls": it stopped, having called tools; "embedded" for
  // Embed, "ranked" for Rank
  std::string reason;
  Tokens prompt_tokens = 0;
  Tokens completion_tokens = 0;
  Tokens reused_tokens = 0;
  double prefill_ms = 0;
  double decode_ms = 0;
  double cpu_ms = 0;  // of all cores together: this request's part of the steps that it was in
  std::string stop;   // the stop string that was met, if one was
  // Embed: one vector of embedding_length float32 (little-endian) for each input, end to end. Rank:
  // one float32 for each document.
  std::string vectors;
  std::vector<Tokens> input_tokens;  // Embed and Rank: for each input, the query counted with each
  Tokens reasoning_tokens = 0;       // of completion_tokens
  // Tokens that were computed ahead because they were likely to come, and how many of them came; of
  // both, what the draft model said.
  Tokens drafted_tokens = 0;
  Tokens accepted_tokens = 0;
  Tokens model_drafted_tokens = 0;
  Tokens model_accepted_tokens = 0;
};

// worker -> laresd: the end of one of these, or of loading (id 0), that went wrong.
struct Failed {
  Error error;
  double cpu_ms = 0;  // as Done::cpu_ms, of what was computed until then
};

// worker -> laresd every kBeatEvery. A worker whose `progress` stands still while `busy` is hung.
struct Beat {
  uint64_t progress = 0;  // rises with every graph node, token or loaded tensor
  bool busy = false;
};

// worker -> laresd, phase "load" or "prefill".
struct Progress {
  std::string phase;
  double fraction = 0;
};

Frame to_frame(const Hello& message);
Frame to_frame(const Load& message);
Frame to_frame(const Loaded& message);
Frame to_frame(const Generate& message, uint64_t id);
Frame to_frame(const Embed& message, uint64_t id);
Frame to_frame(const Rank& message, uint64_t id);
Frame to_frame(const Resume& message, uint64_t id);
Frame to_frame(const Move& message);
Frame to_frame(const Moved& message);
Frame to_frame(const Started& message, uint64_t id);
Frame to_frame(const Delta& message, uint64_t id);
Frame to_frame(const Done& message, uint64_t id);
Frame to_frame(const Failed& message, uint64_t id);
Frame to_frame(const Beat& message);
Frame to_frame(const Progress& message, uint64_t id);
Frame to_frame(Type bare, uint64_t id);  // Cancel, Inspect, Shutdown, StopThinking: no payload

// Each reads its own type's payload. Corrupt when a field is missing, of another type or out of
// range.
template <class Message>
Result<Message> from_frame(const Frame& frame);

}  // namespace lares::wire
