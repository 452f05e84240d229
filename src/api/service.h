// Service: everything that the front door asks of the daemon. The door and the endpoints know only
// this interface; app/core implements it, tests fake it. So api needs neither scheduler nor
// workers.
//
// Threads: the methods may be called from the network thread and never block. Answers come on the
// daemon's run-loop thread; whoever gives a Sink or Reply moves on to its own thread from there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"
#include "consent/principal.h"
#include "route/receipt.h"

namespace lares::api {

// One piece of work. `body` holds the fields of wire::Generate, wire::Embed or wire::Rank, checked
// and in our names (api/fields); an api never passes a client's JSON on.
struct Work {
  enum class Kind { Chat, Completion, Embedding, Rerank };
  Kind kind = Kind::Chat;
  std::string endpoint;  // the route, for the receipt
  consent::Principal who;
  std::string model;  // as the client named it; "" is the default
  Json body;
  unsigned choices = 1;              // n: independent answers to one prompt, at most kChoicesMax
  std::string lane = "interactive";  // "interactive", "agent", "background"
  int64_t deadline_ms = 0;           // 0: none; over it the work ends with Timeout
  std::optional<int64_t> keep_alive_s = {};  // of its model; -1: for ever
  std::string conversation;                  // of a chat: where the answer is kept; "" nowhere
  std::string parent;                        // the message it is kept below; "" the one shown now
};
inline constexpr unsigned kChoicesMax = 8;

struct Started {      // once, first: work was accepted and its model is there
  std::string id;     // the receipt's
  std::string model;  // the model's own id
  Tokens prompt_tokens = 0;
};
struct Delta {
  unsigned choice = 0;
  std::string text;            // whole UTF-8
  Json logprobs;               // null, or OpenAI's content array
  std::string reasoning = {};  // what the model thinks before it answers; whole UTF-8
  Json tool_calls = {};        // null, or fragments of calls, as in wire::Delta, of tools in `body`
};
struct ChoiceDone {
  unsigned choice = 0;
  std::string reason;  // "stop", "length", "tool_calls"
  std::string stop;    // the stop string met, or ""
  Tokens completion_tokens = 0;
  Tokens reasoning_tokens = 0;  // of them
};
struct Embedded {
  std::string vectors;  // float32, little-endian, end to end; of Rerank, one score each
  uint32_t length = 0;  // of one vector
  std::vector<Tokens> input_tokens;
};
struct Ended {  // once, last: all choices done, or the error that ended the work
  Result<> result = Unit{};
  route::Receipt receipt;
  Tokens prompt_tokens = 0;
  Tokens prompt_tokens_reused = 0;
  Tokens completion_tokens = 0;  // of all choices
  double prefill_ms = 0;
  double decode_ms = 0;  // while any of the choices was written
  std::string message;   // the id under which the answer is kept, when Work named a conversation
  std::string not_kept;  // why it could not be; then the answer is good all the same
  Tokens reasoning_tokens = 0;  // of completion_tokens
  Tokens drafted_tokens = 0;    // computed ahead, and how many of them came
  Tokens accepted_tokens = 0;
};
using Event = std::variant<Started, Delta, ChoiceDone, Embedded, Ended>;

class Sink {
 public:
  virtual ~Sink() = default;
  // Run-loop thread; must not block. After Ended nothing comes.
  virtual void on(Event event) = 0;
};

using Reply = std::function<void(Result<Json>)>;  // called once, on the run-loop thread
using WorkId = uint64_t;

class Service {
 public:
  virtual ~Service() = default;

  // Accepts work or ends it at once with an error (Busy when the queue is full, NotFound, ...):
  // always by the sink, exactly one Ended. The id is for cancel() and is valid at once.
  virtual WorkId submit(Work work, std::shared_ptr<Sink> sink) = 0;
  // The client left or asked to stop: computing ends within 200 ms. Unknown or ended: no effect.
  virtual void cancel(WorkId work) = 0;

  // Questions and orders, by name, for /lares/v1 and /v1/models. Unknown: NotFound. The names:
  //   models.list {}                 [{id, use, size_bytes, file, info, state, added_unix}]
  //   models.show {name}             one of these
  //   models.add  {file, name?}      the new one (inspected in a worker first)
  //   models.rm   {name}             {}
  //   models.find {}                 [{program, name, file, size_bytes}]
  //   catalogue {query, measure}    [{id, title, ..., fits, predicted, recommended, why}]
  //   plan {name}                    {model, needs_bytes, fits, would_evict, predicted, measured}
  //   pulls.add {source, name?, sha256?}   a pull: {id, source, model, state, bytes_done, ...}
  //   pulls.list {}              all of them, oldest first
  //   pulls.show {id}, pulls.stop {id}, pulls.cancel {id}    one of them
  //   ps {}                          [{model, state, memory_bytes, requests, ...}]
  //   metrics {}                     {text}: counters in Prometheus' format
  //   why {id?}                      a receipt, or the newest
  //   answers.stop_thinking {who, id}   {}: that caller's answer goes on without more thoughts
  //   receipts {limit}               the newest receipts, newest first
  //   doctor {}                      [{check, ok, detail, next}]
  //   status {}                      {version, pid, uptime_s, models, requests, home, socket,
  //   address} config {}                      the settings in force, with where each comes from
  //   stop {}                        {} and then the daemon ends
  //   conversations.list   {who, query?, limit?, before?}              newest first
  //   conversations.create {who, title?, model?}                       the new one
  //   conversations.show   {who, id}                                   one with its messages
  //   conversations.change {who, id, title?, model?, head?}            without its messages
  //   conversations.remove {who, id}                                   {}
  //   conversations.append {who, id, parent, role, text, parts?, covers?}   the message
  //   key.show {}                    {kind, locked, where, protects, next}
  //   key.unlock {passphrase}        {}
  //   key.lock {}                    {}
  //   key.move {to, passphrase, next}   {kind, left}
  //   key.export {passphrase}        {copy}
  //   key.import {copy}              {aside}
  //   page.pair {}                   {code, url, expires_s}
  //   page.open {code, browser}      {id, secret}
  //   credentials.list {}            [{id, kind, name, created_ms, last_used_ms}]
  //   credentials.add {name}         {id, token}
  //   credentials.revoke {id}        {}
  virtual void ask(const std::string& question, Json arguments, Reply reply) = 0;
};

}  // namespace lares::api
