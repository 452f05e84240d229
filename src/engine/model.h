// Model: the seam between what the engine room decides (batching, prefixes, stop strings) and what
// computes (one file in backends/ each). A Model holds weights, a tokenizer and the state of up to
// `sequences` conversations; it knows nothing of requests.
//
// Owned by the worker's compute thread. One other thread may meanwhile make requests ready: what
// it calls is marked below; that reads what a loaded model is and not its state, and neither beats
// nor aborts. Pulse is shared with any thread. Everything here may be given foreign bytes (the
// model file, a prompt): backends answer with errors, and what they cannot survive ends the worker
// process, which the daemon turns into an error.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/registry.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/media.h"
#include "engine/structure.h"
#include "wire/message.h"

namespace lares::engine {

class Lease;

using Position = int32_t;
using Sequence = int32_t;  // 0 .. Facts::sequences - 1

// How long work that cannot report may stay silent (Pulse::Quiet), by its size: several times what
// a slow machine takes.
inline std::chrono::milliseconds read_max(size_t bytes) {  // a message, with what it asks for
  return std::chrono::milliseconds(1'000) + std::chrono::milliseconds(1) * (bytes / 1024);
}
inline std::chrono::milliseconds tokenise_max(size_t bytes) {
  return std::chrono::milliseconds(20) * (bytes / 1024 + 1);
}
inline std::chrono::milliseconds template_max(size_t messages, size_t bytes) {
  return std::chrono::milliseconds(4) * messages + std::chrono::milliseconds(1) * (bytes / 1024);
}

// A structure is made into a grammar; before, its texts are held against what that may take.
inline std::chrono::milliseconds structure_max(const Structure& structure) {
  return structure.empty() ? std::chrono::milliseconds(0) : std::chrono::milliseconds(4'000);
}

// Pictures and sounds are decoded and made as large as a projector wants them.
inline std::chrono::milliseconds media_max(size_t bytes) {
  return std::chrono::milliseconds(bytes == 0 ? 0 : 3'000) +
         std::chrono::milliseconds(2) * (bytes / 1024);
}

// What the compute thread shows to the threads that do not compute, and what they may ask of it.
class Pulse {
 public:
  using Steady = std::chrono::steady_clock;

  void beat() { progress_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t progress() const { return progress_.load(std::memory_order_relaxed); }

  // A piece of work that cannot report (tokenising, a template, parsing a model's head) may stay
  // silent for `limit`; after that it counts as hung. Ends with the Quiet; one within another goes
  // by its own limit, however long the other's is.
  class Quiet {
   public:
    Quiet(Pulse& pulse, std::chrono::milliseconds limit)
        : pulse_(pulse),
          outer_until_(
              pulse.quiet_until_.exchange((Steady::now() + limit).time_since_epoch().count())) {}
    ~Quiet() {
      pulse_.quiet_until_.store(outer_until_);
      pulse_.beat();
    }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

   private:
    Pulse& pulse_;
    const Steady::rep outer_until_;  // 0: there is none
  };
  bool quiet_now() const { return Steady::now().time_since_epoch().count() < quiet_until_.load(); }

  // True: the running step's result is no longer wanted. Read by a backend between graph nodes.
  bool aborting() const {
    return abort_.load(std::memory_order_relaxed) ||
           (other_word_ && other_word_->load(std::memory_order_relaxed) != 0);
  }
  // With how many threads a step is to be computed; 0: with all there are. Read before each.
  unsigned threads() const {
    return threads_word_ ? threads_word_->load(std::memory_order_relaxed) : 0;
  }
  // Words of others: one that asks for aborting too when it is not 0, and threads(). Before
  // anything is computed.
  void heed(const std::atomic<uint32_t>* abort, const std::atomic<uint32_t>* threads) {
    other_word_ = abort;
    threads_word_ = threads;
  }
  void abort() { abort_.store(true, std::memory_order_relaxed); }
  void allow() { abort_.store(false, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> progress_{0};
  std::atomic<Steady::rep> quiet_until_{0};
  std::atomic<bool> abort_{false};
  const std::atomic<uint32_t>* other_word_ = nullptr;
  const std::atomic<uint32_t>* threads_word_ = nullptr;
};

// How to choose tokens. Read and checked in options.h, so a backend gets sane values.
struct Sampling {
  float temperature = 0.8F;  // 0: always the likeliest
  float top_p = 0.95F;
  int32_t top_k = 40;  // 0: all
  float min_p = 0.05F;
  float typical_p = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repeat_penalty = 1;
  int32_t repeat_last_n = 64;  // 0: off; -1: the whole context
  uint32_t seed = 0;
  std::vector<std::pair<Token, float>> logit_bias;  // ids are in the vocabulary
  // XTC: with that probability the likeliest are left out but for the least likely of those above
  // the threshold. 0, or a threshold above 0.5: off.
  float xtc_probability = 0;
  float xtc_threshold = 0.1F;
  // DRY: a token that would lengthen a repetition beyond dry_allowed_length tokens loses
  // multiplier * base ^ (length - allowed length) of its logit. 0: off.
  float dry_multiplier = 0;
  float dry_base = 1.75F;
  int32_t dry_allowed_length = 2;
  int32_t dry_penalty_last_n = 64;  // 0: off; -1: the whole context
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  int32_t mirostat =
      0;  // 1 and 2: the versions of Mirostat, in place of the other samplers; 0: off
  float mirostat_tau = 5;
  float mirostat_eta = 0.1F;
  float top_n_sigma = -1;    // keeps logits within so many deviations of the largest; <= 0: off
  float dynatemp_range = 0;  // the temperature goes by the entropy, so far up and down; 0: off
  float dynatemp_exponent = 1;
  bool ignore_eos = false;
  std::shared_ptr<const Constraint> constraint;  // from render_chat() or constrain() of the model
  std::optional<Tokens> thinking_max;  // of thoughts, without their tags; nullopt: no limit
};

struct Candidate {
  Token token = 0;
  float logprob = 0;  // natural logarithm, over the whole vocabulary, before any truncation
};

struct Chosen {
  Token token = 0;
  float logprob = 0;           // set when candidates were asked for
  std::vector<Candidate> top;  // likeliest first
  bool last = false;           // nothing can follow it, whatever else was asked
  bool thinking = false;       // the model thinks it before it answers
};

// One request's way of choosing tokens; remembers what it chose, for penalties. Within a thought,
// and between its end and the answer's first word, no end of the answer is chosen, unless a grammar
// is in force and wants it.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // Chooses from the logits of row `row` of the last decode() and remembers the choice. `top`: how
  // many candidates to report; nullopt: no logprobs. Corrupt when the logits are not numbers.
  virtual Result<Chosen> choose(int row, std::optional<unsigned> top) = 0;
  // As choose(), but the choice is `token`, as it was when this answer was computed before:
  // afterwards all that looks back on it, and chance, are where they were then.
  virtual Result<Chosen> take(int row, Token token, std::optional<unsigned> top) = 0;
  // What the model thinks before its answer ends as soon as it can; no effect where it does not.
  virtual void stop_thinking() {}
};

// What a model by itself would say next.
struct Likeliest {
  Token token = -1;  // -1: its logits are not numbers
  float margin = 0;  // of its logit, over that of the next best
};

// One token to compute.
struct Row {
  Token token = 0;
  Position position = 0;
  Sequence sequence = 0;
  bool wants_logits = false;
};

enum class Decoded {
  Ok,
  NoCells,  // nothing was computed: the state has no room for these rows
  Aborted,  // nothing of these rows is kept
  Broken,   // the engine said no; the message is in the log
};

enum class Special { AsText, Parsed };  // how control tokens in a text are read

// A chat to be rendered. `messages`: OpenAI's shape, but that {"type": "media"} stands in a content
// for each picture or sound; `kwargs`: for the template, null or an object.
struct Chat {
  const Json& messages;
  const Json& kwargs;
  const Structure& structure;
};

// A chat as the model wants to read it.
struct Rendered {
  std::string prompt;
  std::vector<std::string> stops;                     // beside the request's own
  std::shared_ptr<const AnswerFormat> format = {};    // nullptr: all of the answer is its text
  std::shared_ptr<const Constraint> constraint = {};  // nullptr: none
  size_t thought_tags = 0;  // tokens of the tags around its thoughts; 0: it has none
};

// A piece of a prompt that is no text: a projector makes rows of it. Owned by its request; the
// model that made it must outlive it.
class MediaPiece {
 public:
  virtual ~MediaPiece() = default;
  std::string identity;  // the same for the same piece of the same file
  size_t rows = 0;
  size_t positions = 0;  // that they take in their sequence, at most `rows`
  bool at_once = false;  // its rows see each other: one step must have them all
  bool encoded = false;  // encode() was done, and forget_rows() was not
};

// A part of a prompt with media: text, or a piece.
struct PromptPart {
  std::vector<Token> tokens;
  std::shared_ptr<MediaPiece> media = nullptr;
};

// Some rows of an encoded piece: as many as `tokens`, beginning with its row `from`.
struct MediaRows {
  MediaPiece& piece;
  size_t from = 0;
  std::span<const Token> tokens;  // media_token()s
  Position begin = 0;             // of the piece's row 0
  Sequence sequence = 0;
  bool wants_logits = false;  // of the last one
};

// Low-rank changes of a model's weights that a request wants: which of Facts::adapters, how
// strongly.
struct Adapter {
  size_t index = 0;
  float scale = 1;
  bool operator==(const Adapter&) const = default;
};

// A text with a gap, and what else the model may look at to fill it.
struct Gap {
  struct Extra {
    std::string filename;
    std::string text;
  };
  std::string prefix;
  std::string suffix;
  std::string prompt;  // how the middle begins
  std::vector<Extra> extra;
};

// What a loaded model is. Does not change.
struct Facts {
  Json info;           // wire::Loaded::info
  Tokens context = 0;  // the most tokens of one conversation
  Tokens cells = 0;    // of state, shared by all sequences; at least `context`
  Tokens batch = 0;    // rows of one decode(), at most
  uint32_t sequences = 0;
  Tokens vocabulary = 0;
  // What the logits of a row cost, where all else of it costs 1. Told from the weights' sizes.
  double logit_rows = 0;
  Tokens window = 0;  // sliding window: attention sees this many positions back; 0: all
  bool generates = true;
  bool pools = false;  // embed() gives vectors
  bool fills = false;  // tokenize_gap() works
  bool ranks = false;  // embed() gives scores of what tokenize_pair() made
  Senses senses;       // beside text; where there are any, so is a chat template's marker
  bool cuts = true;    // the end of a sequence can be removed (not so in recurrent models)
  std::vector<std::string> adapters;  // the names of wire::Load
  size_t piece_max = 1;  // bytes of the longest token: a text of n bytes has at least n / piece_max
  uint64_t memory_bytes = 0;  // with parked_bytes
  uint64_t parked_bytes = 0;  // what conversations that rest may take outside of the cells (save())
};

class Model {
 public:
  virtual ~Model() = default;
  // Any thread.
  virtual const Facts& facts() const = 0;
  // The raw bytes of a token; perhaps a part of a character, perhaps none. AsText: control tokens
  // show their names; Parsed: they have no bytes.
  virtual std::string piece(Token token, Special special) const = 0;
  virtual bool ends(Token token) const = 0;  // end of generation: EOS, end of turn, ...

  // From here on to sampler(): the thread that makes requests ready, while another computes.
  //
  // With the tokens that the model wants around every text (BOS ...). `text` may be any bytes.
  virtual Result<std::vector<Token>> tokenize(std::string_view text, Special special) = 0;
  // A query and a document as a model that ranks reads them together. Requires: Facts::ranks.
  virtual Result<std::vector<Token>> tokenize_pair(std::string_view query,
                                                   std::string_view document) = 0;
  // A text whose gap is to be filled, as at most `most` tokens: what lies far from the gap is left
  // out. Requires: Facts::fills.
  virtual Result<std::vector<Token>> tokenize_gap(const Gap& gap, size_t most) = 0;
  // Invalid or Unsupported, with the field in `param`, names what the template, or we, cannot do
  // with it.
  virtual Result<Rendered> render_chat(const Chat& chat) = 0;
  // For text that is no chat. Invalid or Unsupported with must.param. Requires: `must` is not
  // empty.
  virtual Result<std::shared_ptr<const Constraint>> constrain(const Must& must) = 0;

  // What render_chat() gave of a chat with these media, in their order. Invalid when the template
  // left one of them out, or a piece is larger than a step. Requires: Facts::senses has them.
  virtual Result<std::vector<PromptPart>> tokenize_media(std::string_view prompt,
                                                         std::span<const Media> media) = 0;
  // `prompt` is what penalties see as already said; media in it are no words.
  virtual Result<std::unique_ptr<Sampler>> sampler(const Sampling& sampling,
                                                   std::span<const Token> prompt) = 0;

  // From here on: the computing thread.
  //
  // Reads the file of an adapter, unless that was done. Invalid: it is for another model; Corrupt,
  // NoRoom. Requires: index < Facts::adapters.size().
  virtual Result<> load_adapter(size_t index) = 0;
  // What decode() computes with from now on; all of them loaded. Costs time when it changes.
  virtual void adapt(std::span<const Adapter> adapters) = 0;

  // Computes the rows of a piece. Never NoCells.
  virtual Decoded encode(MediaPiece& piece) = 0;
  virtual void forget_rows(MediaPiece& piece) = 0;
  // As decode(), of rows of one piece. Aborted: nothing of the whole piece is kept. Requires:
  // encoded, and all rows of it where it is `at_once`.
  virtual Decoded decode_media(const MediaRows& rows) = 0;

  // Computes all rows or none. At most Facts::batch.
  virtual Decoded decode(std::span<const Row> rows) = 0;
  // Of row `row` of the last decode(), which wanted logits.
  virtual Likeliest likeliest(int row) const = 0;

  // State. Removes positions >= `from`; false: this model cannot, and the whole sequence is to go
  // (from = 0, which always works).
  virtual bool cut(Sequence sequence, Position from) = 0;
  // Removes all. What follows takes the cells that it would take in a new context.
  virtual void forget() = 0;
  // Positions < `until` of `from` become `to`'s too, without using cells. Requires: `to` is empty.
  virtual void share(Sequence from, Sequence to, Position until) = 0;
  // The first position that is still there (windows forget); -1 when the sequence is empty.
  virtual Position first_position(Sequence sequence) const = 0;
  // The state of a sequence as bytes, for restore() in this process. 0: this model cannot, or the
  // sequence is empty.
  virtual size_t state_size(Sequence sequence) const = 0;
  // Requires: `into` is state_size() bytes. False: nothing of it is to be used.
  virtual bool save(Sequence sequence, std::span<std::byte> into) = 0;
  // Requires: `to` is empty, and there are cells. False: the sequence is to be cut from 0.
  virtual bool restore(Sequence to, std::span<const std::byte> state) = 0;

  // Where it stands (base/rung.h); Hot when it is loaded. Below Hot only facts() and what makes
  // requests ready is asked of it, and its state is gone; warm again it computes the same, to the
  // bit, as it did. Requires: not Absent. `for_others`: as in wire::Move. NoRoom, Corrupt, Io: it
  // cannot climb, and is of no further use.
  virtual Result<> stand(Rung rung, bool for_others) = 0;
  // What it holds on this rung, as facts().memory_bytes counts.
  virtual uint64_t memory_on(Rung rung) const = 0;

  // One L2-normalised vector of info["embedding_length"] for each input, end to end; of a model
  // that ranks one score each, as the model says it. Inputs are not empty and together at most
  // Facts::batch tokens, at most Facts::sequences of them. Cancelled when the pulse aborts.
  virtual Result<std::vector<float>> embed(std::span<const std::span<const Token>> inputs) = 0;
};

// From the command line: "--name=value" as name -> value, each checked by its reader.
using Options = std::map<std::string, std::string>;

struct LoadOrder {
  wire::Load load;
  int file = -1;              // the model; stays open, owned by the caller
  int projector = -1;         // the same; -1: there is none
  std::vector<int> adapters;  // the same, one for each of load.adapters; -1: there is no file
  // The model that this one is to draft for, of the same backend: it shares its threads and keeps
  // nothing of conversations that rest. Invalid: its vocabulary is another; Unsupported: it cannot
  // draft.
  const Model* drafts_for = nullptr;
  bool inspect_only = false;  // read what the file says of itself; facts().info alone is used
  std::function<void(double)> progress;
};

// How a backend is found and started.
struct Backend {
  std::string_view name;
  // Before the sandbox is entered: loads libraries, opens what must be open, takes its options out
  // of `options` (what is left there nobody knows). The answer goes into Hello: the variant in use.
  Result<std::string> (*prepare)(Options& options);
  // After it. Errors say what was wrong with the file; the caller puts "loading 'name'" in front.
  Result<std::unique_ptr<Model>> (*load)(const LoadOrder& order, Pulse& pulse);
  // What a file says of itself where it is no model but an adapter or a projector, as
  // wire::Loaded::info; else null. Nullptr: this engine knows no such files.
  Result<Json> (*addition)(int file) = nullptr;
  // `--probe=FILE`: tries a CPU backend in this process, which may die of it; one line of JSON.
  Result<Json> (*probe)(const std::string& file) = nullptr;
  // `--measure=FILE [--threads=N]`: how fast it computes here with so many threads (0: as many as
  // cores), in turns of the lease; one line of JSON.
  Result<Json> (*measure)(const std::string& file, unsigned threads, Lease& lease) = nullptr;
};

}  // namespace lares::engine
