#include "engine/batcher.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <span>

#include "base/text.h"
#include "engine/repetition.h"

namespace lares::engine {
namespace {

Error cancelled() { return {Code::Cancelled, "the request was cancelled"}; }

Error too_busy() {
  return {Code::Busy, cat("this model has ", kWaitingMax,
                          " requests waiting, which is all it keeps; retry when some have ended")};
}

double number_or_least(float logprob) {
  return std::isfinite(logprob) ? static_cast<double>(logprob) : -9999.0;
}

Json token_json(const Model& model, Token token, float logprob) {
  const std::string bytes = model.piece(token, Special::AsText);
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", utf8_repaired(bytes)},
          {"bytes", std::move(list)},
          {"logprob", number_or_least(logprob)}};
}

// Of all its strings.
size_t text_bytes(const Json& json) {
  if (json.is_string()) return json.get_ref<const std::string&>().size();
  if (!json.is_structured()) return 0;
  return std::accumulate(json.begin(), json.end(), size_t{0},
                         [](size_t sum, const Json& inside) { return sum + text_bytes(inside); });
}

}  // namespace

struct Batcher::Request {
  Request(uint64_t number, GenerateOptions asked)
      : id(number), options(std::move(asked)), text({}) {}

  size_t pending() const { return tokens.size() - computed; }
  // Its prompt (or what it lost to preemption) is not computed yet.
  bool prefilling() const { return pending() > 1 || generated() == 0; }
  size_t generated() const { return tokens.size() - prompt; }
  std::span<const Token> answer() const { return std::span(tokens).subspan(prompt); }
  bool afresh() const { return options.seeded && prompt <= kAfreshMax; }

  const uint64_t id;
  GenerateOptions options;
  std::vector<Token> tokens;  // the prompt and the answer
  size_t prompt = 0;          // how many of them are the prompt
  size_t computed = 0;        // how many the sequence holds
  size_t reused = 0;
  Sequence sequence = -1;
  bool started = false;
  std::unique_ptr<Sampler> sampler;
  TextOut text;
  Repetition repetition;
  // Tokens whose text was not shown yet: how many bytes went in with each, and its logprobs.
  struct Told {
    size_t until;
    Json logprobs;
  };
  std::deque<Told> untold;
  double cpu_ms = 0;
  SteadyTime began;  // of computing
  SteadyTime first_token;
};

Batcher::Batcher(Model& model, Pulse& pulse, const Clock& clock, Out out, Seeds seeds, CpuMs cpu_ms)
    : model_(model),
      pulse_(pulse),
      clock_(clock),
      out_(std::move(out)),
      seeds_(std::move(seeds)),
      cpu_ms_(std::move(cpu_ms)),
      embeddings_(model, pulse, clock),
      slots_(model.facts().sequences, model.facts().cells),
      parked_(Bytes{model.facts().parked_bytes}),
      park_tried_(slots_.count()) {}

Batcher::~Batcher() = default;

// --- requests in
// -------------------------------------------------------------------------------------

Result<> Batcher::check_length(size_t at_least, bool exact, std::string_view param) const {
  const size_t context = model_.facts().context;
  if (at_least <= context) return Unit{};
  const size_t trained = model_.facts().info.value("context_train", size_t{0});
  return Error{Code::TooLong,
               cat("the prompt has ", exact ? "" : "at least ", grouped(at_least),
                   " tokens, but this model's context is ", grouped(context), "; shorten it, or ",
                   trained > context ? cat("set models.context to more (it was trained with ",
                                           grouped(trained), "; see `lares config`)")
                                     : "choose another model: this one was trained with no more"),
               std::string(param)};
}

Result<std::vector<Token>> Batcher::prompt_tokens(Request& request) {
  const Facts& facts = model_.facts();
  GenerateOptions& options = request.options;
  const std::string_view param = options.chat ? "messages" : "prompt";
  std::vector<std::string> stops = options.stops;
  std::vector<Token> tokens;
  if (const auto* given = std::get_if<std::vector<Token>>(&options.prompt);
      given && !options.chat) {
    tokens = *given;
  } else {
    std::string prompt;
    if (options.chat) {
      const Pulse::Quiet quiet(pulse_,
                               template_max(options.messages.size(), text_bytes(options.messages)));
      TRY_AS(Rendered rendered, model_.render_chat(options.messages, options.template_kwargs));
      prompt = std::move(rendered.prompt);
      stops.insert(stops.end(), rendered.stops.begin(), rendered.stops.end());
      options.messages = nullptr;
    } else {
      prompt = std::get<std::string>(options.prompt);
    }
    if (!is_utf8(prompt)) {
      return Error{Code::Invalid, cat("'", param, "' is not UTF-8"), std::string(param)};
    }
    // what is too long at a glance is not worth tokenising
    if (facts.piece_max > 0) TRY(check_length(prompt.size() / facts.piece_max, false, param));
    const Pulse::Quiet quiet(pulse_, tokenise_max(prompt.size()));
    TRY_AS(tokens, model_.tokenize(prompt, Special::Parsed));
  }
  if (tokens.empty()) {
    return Error{Code::Invalid,
                 cat("'", param, "' is empty, and this model needs at least one token"),
                 std::string(param)};
  }
  TRY(check_length(tokens.size(), true, param));
  request.text = TextOut(std::move(stops));
  return tokens;
}

void Batcher::generate(uint64_t id, const wire::Generate& message) {
  assert(!has(id));
  const double cpu_from = cpu_ms_();
  const Facts& facts = model_.facts();
  const auto refuse = [&](Error error) { out_(id, wire::Failed{std::move(error)}); };
  if (!facts.generates) {
    return refuse(
        {Code::Invalid, "this is an embedding model; answers need a chat model", "model"});
  }
  if (waiting_.size() >= kWaitingMax) return refuse(too_busy());
  auto options = read_options(message, facts.vocabulary, seeds_());
  if (!options) return refuse(std::move(options).error());
  if (options->echo && options->top) {
    return refuse({Code::Unsupported,
                   "'echo' together with 'logprobs' is not supported; leave one of them out",
                   "logprobs"});
  }
  auto request = std::make_unique<Request>(id, *std::move(options));
  auto tokens = prompt_tokens(*request);
  if (!tokens) return refuse(std::move(tokens).error());
  request->tokens = *std::move(tokens);
  request->prompt = request->tokens.size();
  auto sampler = model_.sampler(request->options.sampling, request->tokens);
  if (!sampler) return refuse(std::move(sampler).error());
  request->sampler = *std::move(sampler);
  request->cpu_ms = cpu_ms_() - cpu_from;
  waiting_.push_back(std::move(request));
}

void Batcher::embed(uint64_t id, const wire::Embed& message) {
  assert(!has(id));
  if (embeddings_.size() >= kWaitingMax) return out_(id, wire::Failed{too_busy()});
  if (auto added = embeddings_.add(id, message); !added)
    out_(id, wire::Failed{std::move(added).error()});
}

bool Batcher::has(uint64_t id) const {
  const auto is_it = [id](const auto& item) { return item->id == id; };
  return std::any_of(waiting_.begin(), waiting_.end(), is_it) ||
         std::any_of(computing_.begin(), computing_.end(), is_it) || embeddings_.has(id);
}

void Batcher::cancel(uint64_t id) {
  {
    const MutexLock lock(mutex_);
    interrupted_.erase(id);
  }
  for (Requests* list : {&waiting_, &computing_}) {
    for (const auto& request : *list) {
      if (request->id == id) return fail(*request, cancelled());
    }
  }
  if (embeddings_.remove(id)) out_(id, wire::Failed{cancelled()});
}

void Batcher::interrupt(uint64_t id) {
  const MutexLock lock(mutex_);
  interrupted_.insert(id);
  abort_locked();
}

// Says whose rows the step has that begins or, with none, that it is over. Who was interrupted
// between two steps does not begin another.
void Batcher::running(std::vector<std::pair<uint64_t, size_t>> whose, size_t rows) {
  const MutexLock lock(mutex_);
  running_ = std::move(whose);
  running_rows_ = rows;
  pulse_.allow();
  abort_locked();
}

void Batcher::abort_locked() {
  size_t rows = 0;
  for (const auto& [owner, count] : running_) rows += interrupted_.contains(owner) ? count : 0;
  if (rows * 2 > running_rows_) pulse_.abort();
}

// --- who computes
// ------------------------------------------------------------------------------------

void Batcher::clear(Sequence sequence) {
  model_.cut(sequence, 0);
  slots_.cut(sequence, 0);
}

// Where the answer should come out the same again and its prompt is cheap, nothing is built upon:
// what earlier requests left was computed in other batches, where sums run in another order, so the
// last bits of logits differ, and now and then a token. Its own twins (n answers to one prompt) are
// computed the same way each time.
bool Batcher::may_build_on(const Request& request, Sequence sequence) const {
  if (!request.afresh()) return true;
  return std::any_of(computing_.begin(), computing_.end(), [&](const auto& other) {
    return other->sequence == sequence && other->prompt == request.prompt &&
           common_prefix(other->tokens, request.tokens) >= request.prompt;
  });
}

// True: a request that is computing its prompt will soon hold much more of this one's than any does
// now (n answers to one prompt).
bool Batcher::must_wait_for_prefix(const Request& request, size_t keep) const {
  constexpr size_t kWorthWaiting = 32;
  if (!model_.facts().cuts) return false;
  return std::any_of(computing_.begin(), computing_.end(), [&](const auto& other) {
    if (!other->prefilling() || !may_build_on(request, other->sequence)) return false;
    const size_t common =
        std::min(common_prefix(other->tokens, request.tokens), request.tokens.size() - 1);
    return common > other->computed && common > keep + kWorthWaiting;
  });
}

// Finds the request a sequence and cells. False: not now.
bool Batcher::place(Request& request) {
  const Facts& facts = model_.facts();
  const auto usable = [&](Sequence sequence, size_t keep) {
    if (!may_build_on(request, sequence)) return false;
    if (facts.window == 0) return true;
    // the window before the next position must be whole
    const size_t first_needed = keep > facts.window ? keep - facts.window : 0;
    const Position first = model_.first_position(sequence);
    return first >= 0 && static_cast<size_t>(first) <= first_needed;
  };
  auto place = slots_.place(request.tokens, usable, facts.cuts);
  if (!place) return false;
  std::optional<Parked::Found> parked;
  if (may_build_on(request, -1)) parked = parked_.find(request.tokens, facts.window, facts.cuts);
  if (parked && parked->keep <= place->keep) parked.reset();
  if (must_wait_for_prefix(request, parked ? parked->keep : place->keep)) return false;

  // room for this prompt, and for the answers in progress to go on for a while
  constexpr size_t kGrowth = 32;
  const size_t growth = computing_.empty() ? 0 : kGrowth * (computing_.size() + 1);
  const auto fits = [&](const Slots::Place& p, size_t more) {
    const size_t held = p.to == p.from ? slots_.cells_busy(-1) + p.keep : slots_.cells_busy(p.from);
    return held + more + growth <= slots_.cells_total();
  };
  if (parked) {  // into a sequence that holds nothing of use
    const auto unused = [](Sequence, size_t) { return false; };
    const auto empty = slots_.place(request.tokens, unused, facts.cuts);
    // it comes back whole, and then its end is cut
    const size_t whole = std::max(parked->conversation->tokens.size(), request.tokens.size());
    if (empty && fits(*empty, whole)) return begin(request, *empty, parked);
  }
  const size_t more = request.tokens.size() - place->keep;
  const bool from_idle = place->from >= 0 && !slots_[place->from].busy;
  if (!fits(*place, more) && from_idle) place->to = place->from;
  if (!fits(*place, more) && !computing_.empty()) return false;
  return begin(request, *place, std::nullopt);
}

// Fills an empty sequence with what can be built upon of a parked conversation; how many tokens
// that is.
size_t Batcher::unpark(Sequence to, const Parked::Found& parked) {
  const auto& tokens = parked.conversation->tokens;
  if (!make_cells(tokens.size())) return 0;
  if (!model_.restore(to, parked.conversation->state.bytes())) {
    model_.cut(to, 0);
    return 0;
  }
  for (const Token token : tokens) slots_.extend(to, token);
  if (parked.keep == tokens.size()) return parked.keep;
  if (model_.cut(to, static_cast<Position>(parked.keep))) {
    slots_.cut(to, parked.keep);
    return parked.keep;
  }
  clear(to);
  return 0;
}

// Frees the cells of the conversations that rest and are parked: every step would pay for them.
void Batcher::leave_cells(Sequence but) {
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& slot = slots_[sequence];
    if (slot.busy || sequence == but || slot.tokens.size() < kParkMin) continue;
    if (parked_.holds(slot.tokens)) clear(sequence);
  }
}

// For an answer that should come out the same again: attention shares its sums out among threads by
// where the cells lie. What cannot be parked stays, for it may have taken minutes to compute.
void Batcher::leave_all_cells() {
  while (park_one()) {
  }
  bool all = true;
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& tokens = slots_[sequence].tokens;
    if (tokens.size() < kParkMin || parked_.holds(tokens)) clear(sequence);
    all = all && tokens.empty();
  }
  if (all) model_.forget();
}

// Copies one conversation that rests out of the cells, in which it stays until they are needed.
// Once for each rest: where not all have room, each copy drops another's, and that would go round
// for ever. False: none is left.
bool Batcher::park_one() {
  for (size_t s = 0; s < slots_.count(); s++) {
    const auto sequence = static_cast<Sequence>(s);
    const auto& slot = slots_[sequence];
    if (slot.busy || slot.tokens.size() < kParkMin || park_tried_[s] == slot.used ||
        parked_.holds(slot.tokens))
      continue;
    park_tried_[s] = slot.used;
    const size_t size = model_.state_size(sequence);
    if (size == 0 || size > parked_.limit().n) continue;
    Block state(size);
    if (state.size() == 0 || !model_.save(sequence, state.bytes())) continue;
    // of a window only what the next position sees is in the bytes, whatever the cells still have
    const size_t window = model_.facts().window;
    const size_t seen = window > 0 && slot.tokens.size() > window ? slot.tokens.size() - window : 0;
    const Position first = std::max(model_.first_position(sequence), static_cast<Position>(seen));
    parked_.add({slot.tokens, first, std::move(state)});
    return parked_.holds(slot.tokens);
  }
  return false;
}

bool Batcher::begin(Request& request, Slots::Place place, std::optional<Parked::Found> parked) {
  if (request.afresh() && computing_.empty()) leave_all_cells();
  if (parked) {
    clear(place.to);
    leave_cells(place.to);
    place.keep = unpark(place.to, *parked);
  } else if (place.to != place.from) {
    clear(place.to);
    if (place.from >= 0 && place.keep > 0) {
      model_.share(place.from, place.to, static_cast<Position>(place.keep));
      slots_.share(place.from, place.to, place.keep);
    }
  } else if (place.keep < slots_[place.to].tokens.size()) {
    if (model_.cut(place.to, static_cast<Position>(place.keep))) {
      slots_.cut(place.to, place.keep);
    } else {
      clear(place.to);
      place.keep = 0;
    }
  }
  leave_cells(place.to);
  slots_.take(place.to);
  request.sequence = place.to;
  request.computed = place.keep;
  if (!request.started) {
    request.started = true;
    request.reused = place.keep;
    request.began = clock_.now();
    out_(request.id,
         wire::Started{static_cast<Tokens>(request.prompt), static_cast<Tokens>(request.reused)});
    if (request.options.echo) {
      std::string text;
      if (const auto* given = std::get_if<std::string>(&request.options.prompt)) {
        text = *given;
      } else {
        for (const Token token : request.tokens) text += model_.piece(token, Special::Parsed);
        text = utf8_repaired(text);
      }
      if (!text.empty()) out_(request.id, wire::Delta{std::move(text), nullptr, 0});
    }
  }
  return true;
}

void Batcher::admit() {
  while (!waiting_.empty() && computing_.size() < slots_.count() && place(*waiting_.front())) {
    computing_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

// One token for each answer in progress, then prompts in order of admission, as the step's time
// allows.
std::vector<Batcher::Part> Batcher::plan() {
  std::vector<Part> parts;
  size_t room = model_.facts().batch;
  for (const auto& request : computing_) {
    if (request->prefilling() || room == 0) continue;
    parts.push_back({request.get(), 1});
    room--;
  }
  const double target_ms = parts.empty() && computing_.size() == 1 ? kStepMs : kStepSharedMs;
  const size_t decoding = parts.size();
  size_t chunk = parts.empty() ? room : kChunkMin * 2;
  if (parts.empty() && computing_.size() == 1 && computing_[0]->afresh()) {
    chunk = kAfreshMax;  // not as fast as this machine happened to be: pieces too shape the sums
  } else if (cost_.known()) {
    const size_t fits = cost_.rows_within(target_ms);
    chunk = fits > decoding ? fits - decoding : 0;
  }
  room = std::min(room, std::max(chunk, kChunkMin));
  share_out(room, parts);
  return parts;
}

// Half of the room for prompts is the oldest's, the rest goes to those that need least: short ones
// do not wait for long ones, and long ones do not starve.
void Batcher::share_out(size_t room, std::vector<Part>& parts) {
  std::vector<Request*> prompts;
  size_t wanted = 0;
  for (const auto& request : computing_) {
    if (!request->prefilling()) continue;
    prompts.push_back(request.get());
    wanted += request->pending();
  }
  if (prompts.empty()) return;
  const size_t others = wanted - prompts[0]->pending();
  const size_t first = std::min(prompts[0]->pending(), room - std::min(room / 2, others));
  parts.push_back({prompts[0], first});
  room -= first;
  std::stable_sort(prompts.begin() + 1, prompts.end(),
                   [](const Request* a, const Request* b) { return a->pending() < b->pending(); });
  for (size_t i = 1; i < prompts.size() && room > 0; i++) {
    const size_t rows = std::min(room, prompts[i]->pending());
    parts.push_back({prompts[i], rows});
    room -= rows;
  }
}

bool Batcher::make_cells(size_t needed) {
  while (slots_.cells_free() < needed) {
    const auto idle = slots_.oldest_idle();
    if (!idle) return false;
    clear(*idle);
  }
  return true;
}

// Takes a request's cells; it computes them again when there is room.
void Batcher::preempt(Request& request) {
  clear(request.sequence);
  slots_.release(request.sequence);
  request.sequence = -1;
  request.computed = 0;
  const auto at = std::find_if(computing_.begin(), computing_.end(),
                               [&](const auto& item) { return item.get() == &request; });
  assert(at != computing_.end());
  waiting_.push_front(std::move(*at));
  computing_.erase(at);
}

bool Batcher::preempt_youngest() {
  if (computing_.size() < 2) return false;
  preempt(*computing_.back());
  return true;
}

// --- a step
// ------------------------------------------------------------------------------------------

bool Batcher::step() {
  admit();
  if (computing_.empty()) return embed_step() || park_one();

  std::vector<Part> parts;
  size_t rows = 0;
  for (;;) {
    parts = plan();
    rows = 0;
    for (const Part& part : parts) rows += part.rows;
    if (make_cells(rows)) break;
    if (!preempt_youngest()) {
      fail(*computing_.front(),
           {Code::NoRoom, "the model's state has no room for this conversation"});
      return true;
    }
  }

  const SteadyTime from = clock_.now();
  const double cpu_from = cpu_ms_();
  const Decoded done = compute(parts, rows);
  charge(parts, rows, cpu_ms_() - cpu_from);
  switch (done) {
    case Decoded::Ok:
      cost_.learn(rows, std::chrono::duration<double, std::milli>(clock_.now() - from).count());
      advance(parts);
      break;
    case Decoded::Aborted: break;
    case Decoded::NoCells:
      // the engine's own count is stricter than ours (windows): give up what is idle, then the
      // youngest
      if (const auto idle = slots_.oldest_idle()) {
        clear(*idle);
      } else if (!preempt_youngest()) {
        fail(*computing_.front(),
             {Code::NoRoom, "the model's state has no room for this conversation"});
      }
      break;
    case Decoded::Broken: broken(parts); break;
  }
  embed_step();
  return true;
}

Decoded Batcher::compute(const std::vector<Part>& parts, size_t rows) {
  rows_.clear();
  rows_.reserve(rows);
  for (const Part& part : parts) {
    const Request& request = *part.request;
    for (size_t i = 0; i < part.rows; i++) {
      const size_t at = request.computed + i;
      rows_.push_back({request.tokens[at], static_cast<Position>(at), request.sequence,
                       at + 1 == request.tokens.size()});
    }
  }
  std::vector<std::pair<uint64_t, size_t>> whose;
  whose.reserve(parts.size());
  for (const Part& part : parts) whose.emplace_back(part.request->id, part.rows);
  running(std::move(whose), rows);
  const Decoded done = model_.decode(rows_);
  running({}, 0);
  pulse_.beat();
  return done;
}

// What a step took is everyone's who was in it, whether or not something came of it.
void Batcher::charge(const std::vector<Part>& parts, size_t rows, double cpu_ms) {
  for (const Part& part : parts)
    part.request->cpu_ms += cpu_ms * cost_.share(part.rows, rows, parts.size());
}

void Batcher::advance(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    for (size_t i = 0; i < part.rows; i++) {
      slots_.extend(part.request->sequence, part.request->tokens[part.request->computed++]);
    }
  }
  int row = -1;
  for (const Part& part : parts) {
    Request& request = *part.request;
    row += static_cast<int>(part.rows);
    if (request.pending() > 0) {
      out_(request.id, wire::Progress{"prefill", static_cast<double>(request.computed) /
                                                     static_cast<double>(request.tokens.size())});
      continue;
    }
    choose(request, row);
  }
}

// The next token of an answer. False: the request has ended.
bool Batcher::choose(Request& request, int row) {
  if (request.generated() == 0) request.first_token = clock_.now();
  const auto most = request.options.max_tokens;
  if (most && request.generated() >= *most) {
    finish(request, "length");
    return false;
  }
  const double cpu_from = cpu_ms_();
  auto chosen = request.sampler->choose(row, request.options.top);
  request.cpu_ms += cpu_ms_() - cpu_from;
  if (!chosen) {
    fail(request, std::move(chosen).error());
    return false;
  }
  if (model_.ends(chosen->token) && !request.options.sampling.ignore_eos) {
    finish(request, "stop");
    return false;
  }
  request.tokens.push_back(chosen->token);
  std::string shown = request.text.add(model_.piece(chosen->token, Special::Parsed));
  Request::Told told{request.text.bytes_in(), nullptr};
  if (request.options.top) {
    told.logprobs = token_json(model_, chosen->token, chosen->logprob);
    Json top = Json::array();
    for (const Candidate& candidate : chosen->top) {
      top.push_back(token_json(model_, candidate.token, candidate.logprob));
    }
    told.logprobs["top_logprobs"] = std::move(top);
  }
  request.untold.push_back(std::move(told));
  tell(request, std::move(shown));
  if (request.text.stopped()) {
    finish(request, "stop");
    return false;
  }
  if (request.options.stop_repeating && request.repetition.grown(request.answer())) {
    finish(request, "repeats");
    return false;
  }
  if ((most && request.generated() >= *most) || request.tokens.size() > model_.facts().context) {
    finish(request, "length");
    return false;
  }
  return true;
}

// Sends text that may be shown, with the tokens that stand behind it.
void Batcher::tell(Request& request, std::string text) {
  if (text.empty() && !request.options.top) return;
  wire::Delta delta{std::move(text), nullptr, 0};
  if (request.options.top) delta.logprobs = Json::array();
  while (!request.untold.empty() && request.untold.front().until <= request.text.bytes_out()) {
    if (request.options.top) delta.logprobs.push_back(std::move(request.untold.front().logprobs));
    delta.tokens++;
    request.untold.pop_front();
  }
  const bool has_logprobs = request.options.top && !delta.logprobs.empty();
  if (!has_logprobs) delta.logprobs = nullptr;
  if (delta.text.empty() && !has_logprobs) return;
  out_(request.id, std::move(delta));
}

void Batcher::finish(Request& request, std::string reason) {
  if (!request.text.stopped()) tell(request, request.text.rest());
  const SteadyTime now = clock_.now();
  const auto ms = [](SteadyTime from, SteadyTime to) {
    return std::chrono::duration<double, std::milli>(to - from).count();
  };
  wire::Done done;
  done.reason = std::move(reason);
  done.prompt_tokens = static_cast<Tokens>(request.prompt);
  done.completion_tokens = static_cast<Tokens>(request.generated());
  done.reused_tokens = static_cast<Tokens>(request.reused);
  done.prefill_ms = ms(request.began, request.first_token);
  done.decode_ms = ms(request.first_token, now);
  done.cpu_ms = request.cpu_ms;
  done.stop = request.text.stop();
  const uint64_t id = request.id;
  drop(request);
  out_(id, std::move(done));
}

void Batcher::fail(Request& request, Error error) {
  const uint64_t id = request.id;
  drop(request);
  out_(id, wire::Failed{std::move(error)});
}

// Forgets a request; what its sequence holds stays for others.
void Batcher::drop(Request& request) {
  if (request.sequence >= 0) slots_.release(request.sequence);
  for (Requests* list : {&computing_, &waiting_}) {
    const auto at = std::find_if(list->begin(), list->end(),
                                 [&](const auto& item) { return item.get() == &request; });
    if (at != list->end()) {
      list->erase(at);
      return;
    }
  }
  assert(false);
}

// After an error in the engine nothing that these sequences hold is trusted.
void Batcher::broken(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    clear(part.request->sequence);
    fail(*part.request,
         {Code::Io, "computing: the engine gave an error; the worker's log has more"});
  }
}

// --- embeddings
// --------------------------------------------------------------------------------------

bool Batcher::embed_step() {
  if (embeddings_.empty()) return false;
  const Embeddings::Next next = embeddings_.next();
  if (next.begins) out_(next.id, wire::Started{next.tokens, 0});
  const double cpu_from = cpu_ms_();
  running({{next.id, next.rows}}, next.rows);
  auto vectors = model_.embed(next.inputs);
  running({}, 0);
  pulse_.beat();
  embeddings_.charge(next, cpu_ms_() - cpu_from);
  if (vectors) {
    if (auto done = embeddings_.took(next, *vectors)) out_(next.id, *std::move(done));
  } else if (vectors.error().code != Code::Cancelled) {  // else cancel() follows
    embeddings_.remove(next.id);
    out_(next.id, wire::Failed{std::move(vectors).error()});
  }
  return true;
}

}  // namespace lares::engine
