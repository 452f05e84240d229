#include "engine/batcher.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "base/text.h"

namespace lares::engine {
namespace {

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

}  // namespace

Batcher::Batcher(Model& model, Pulse& pulse, const Clock& clock, Lease& lease, Out out,
                 CpuMs cpu_ms, Together together)
    : model_(model),
      pulse_(pulse),
      clock_(clock),
      lease_(lease),
      out_(std::move(out)),
      cpu_ms_(std::move(cpu_ms)),
      together_(std::move(together)),
      embeddings_(model, clock, shares_),
      slots_(model.facts().sequences, model.facts().cells),
      parked_(Bytes{model.facts().parked_bytes}),
      park_tried_(slots_.count()),
      rested_(slots_.count()) {
  for (const Lane lane : {Lane::Agent, Lane::Background}) {
    if (const auto part = lease_.part(lane)) shares_.set_part(lane, *part);
  }
}

Batcher::~Batcher() = default;

// --- requests in
// -------------------------------------------------------------------------------------

void Batcher::add(Made made) {
  const uint64_t id = id_of(made);
  assert(!has(id));
  if (auto* const pooled = std::get_if<PooledRequest>(&made)) {
    arrived(pooled->lane);
    if (embeddings_.size() >= kWaitingMax) return out_(id, wire::Failed{too_busy()});
    return embeddings_.add(std::move(*pooled));
  }
  auto answer = std::get<std::unique_ptr<Request>>(std::move(made));
  arrived(answer->lane);
  if (waiting_.size() >= kWaitingMax) return out_(id, wire::Failed{too_busy()});
  add_answer(std::move(answer));
}

void Batcher::add_answer(std::unique_ptr<Request> request) {
  const GenerateOptions& options = request->options;
  if (auto there = load_adapters(options.adapters); !there)
    return out_(request->id, wire::Failed{std::move(there).error()});
  request->adapters = sets_.number_of(options.adapters);
  // what others were like is nothing that the same seed may hang on
  if (!options.seeded) request->speculation.begin(draft_odds_);
  shares_.enter(request->lane, request->owner);
  waiting_.push_back(std::move(request));
}

Result<> Batcher::load_adapters(const std::vector<Adapter>& adapters) {
  constexpr std::chrono::milliseconds kReadMax{20'000};  // of a file from a slow disk
  if (adapters.empty()) return Unit{};
  const Pulse::Quiet quiet(pulse_, kReadMax);
  for (const Adapter& adapter : adapters) TRY(model_.load_adapter(adapter.index));
  return Unit{};
}

bool Batcher::has(uint64_t id) const {
  const auto is_it = [id](const auto& item) { return item->id == id; };
  return std::any_of(waiting_.begin(), waiting_.end(), is_it) ||
         std::any_of(computing_.begin(), computing_.end(), is_it) || embeddings_.has(id);
}

void Batcher::stop_thinking(uint64_t id) {
  for (Requests* list : {&waiting_, &computing_}) {
    for (const auto& request : *list) {
      if (request->id != id) continue;
      if (request->replay.over())
        request->sampler->stop_thinking();
      else
        request->stop_thoughts = true;  // what was thought before is what was thought
    }
  }
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

void Batcher::hurry(Lane lane) {
  const MutexLock lock(mutex_);
  hurrying_[static_cast<size_t>(lane)]++;
  abort_locked();
}

void Batcher::arrived(Lane lane) {
  const MutexLock lock(mutex_);
  size_t& coming = hurrying_[static_cast<size_t>(lane)];
  if (coming > 0) coming--;
}

// Says what the step is that begins or, without rows, that it is over. Who was interrupted between
// two steps does not begin another.
void Batcher::running(Running step) {
  const MutexLock lock(mutex_);
  running_ = std::move(step);
  pulse_.allow();
  abort_locked();
}

void Batcher::abort_locked() {
  if (running_.rows == 0) return;
  size_t rows = 0;
  for (const auto& [owner, count] : running_.whose)
    rows += interrupted_.contains(owner) ? count : 0;
  if (rows * 2 > running_.rows) return pulse_.abort();
  if (running_.until <= clock_.now() + kWorthAborting) return;
  for (size_t lane = 0; lane < static_cast<size_t>(running_.lane); lane++) {
    if (hurrying_[lane] > 0) return pulse_.abort();
  }
}

SteadyTime Batcher::expected_end(const StepCost& cost, double rows) const {
  if (!cost.known()) return rows > double{kChunkMin} ? SteadyTime::max() : clock_.now();
  return clock_.now() + std::chrono::ceil<SteadyTime::duration>(
                            std::chrono::duration<double, std::milli>(cost.ms(rows)));
}

// --- a step
// ------------------------------------------------------------------------------------------

bool Batcher::step() {
  admit();
  if (computing_.empty()) {
    if (embed_step()) return true;
    lease_.rest();
    return park_one();
  }

  std::vector<Part> parts;
  size_t rows = 0;
  for (;;) {
    parts = plan();
    rows = 0;
    for (const Part& part : parts) rows += part.all();
    if (parts.empty()) return embed_step();  // every answer must wait for the machine
    if (make_cells(rows)) break;
    if (!preempt_youngest()) {
      fail(*computing_.front(),
           {Code::NoRoom, "the model's state has no room for this conversation"});
      return true;
    }
  }

  if (parts.front().request->next_piece()) {
    const bool computed = media_step(parts.front());
    if (computed) embed_step();
    return true;
  }
  if (!lease_.enter(lease_step(parts, weight(parts), cost_))) return true;
  const SteadyTime from = clock_.now();
  const double cpu_from = cpu_ms_();
  Drafting drafting;
  const Decoded done = compute(parts, drafting);
  const double cpu_ms = cpu_ms_() - cpu_from;
  charge(parts, cpu_ms, drafting);
  switch (done) {
    case Decoded::Ok: {
      const double took = exact_ms(from, clock_.now());
      cost_.learn(weight(parts), took - drafting.ms);
      const double answers = static_cast<double>(computing_.size() + 1);
      token_ms_ = cost_.ms(answers * (1 + model_.facts().logit_rows));
      if (took > 0) cpu_per_ms_ += 0.1 * (cpu_ms / took - cpu_per_ms_);
      advance(parts);
      leave_rested();
      break;
    }
    case Decoded::Aborted: break;
    case Decoded::NoCells: give_up_cells(); break;
    case Decoded::Broken: broken(parts); break;
  }
  lease_.step_over();
  embed_step();
  return true;
}

// The engine's own count is stricter than ours (windows): what is idle goes, then the youngest.
void Batcher::give_up_cells() {
  if (const auto idle = slots_.oldest_idle()) {
    clear(*idle);
  } else if (!preempt_youngest()) {
    fail(*computing_.front(),
         {Code::NoRoom, "the model's state has no room for this conversation"});
  }
}

Decoded Batcher::compute(std::vector<Part>& parts, Drafting& drafting) {
  Running step;
  step.lane = Lane::Background;
  step.whose.reserve(parts.size());
  double caught_up = 0;
  for (const Part& part : parts) {
    const size_t rows = part.all() + part.catch_up;
    step.whose.emplace_back(part.request->id, rows);
    step.rows += rows;
    caught_up += static_cast<double>(part.catch_up);
    step.lane = std::min(step.lane, part.request->lane);
  }
  step.until = expected_end(cost_, weight(parts) + caught_up);
  model_.adapt(parts.front().request->options.adapters);
  running(std::move(step));
  Decoded done = draft(parts, drafting);
  rows_.clear();
  for (const Part& part : parts) {
    const Request& request = *part.request;
    const std::span<const Token> drafted = request.speculation.draft();
    const size_t said = request.tokens.size();
    for (size_t i = 0; i < part.all(); i++) {
      const size_t at = request.computed + i;
      const Token token = at < said ? request.tokens[at] : drafted[at - said];
      rows_.push_back({token, request.position(at), request.sequence, at + 1 >= said});
    }
  }
  if (done == Decoded::Ok) done = model_.decode(rows_);
  running({});
  pulse_.beat();
  return done;
}

// Rows as the prices of steps count them.
double Batcher::weight(const Part& part) const {
  const auto rows = static_cast<double>(part.all());
  const double choosing = part.chooses() ? 1 + static_cast<double>(part.drafts) : 0;
  return rows + choosing * model_.facts().logit_rows;
}

double Batcher::weight(const std::vector<Part>& parts) const {
  return std::accumulate(parts.begin(), parts.end(), 0.0,
                         [this](double sum, const Part& part) { return sum + weight(part); });
}

// What the next step is, for those who give out the device.
Lease::Step Batcher::lease_step(const std::vector<Part>& parts, double rows,
                                const StepCost& cost) const {
  Lease::Step step{Lane::Background, true, cost.ms(rows) + drafting_ms(parts)};
  for (const Part& part : parts) {
    step.lane = std::min(step.lane, part.request->lane);
    step.decode = step.decode && !part.request->prefilling();
  }
  return step;
}

// What a step took is everyone's who was in it, whether or not something came of it; what drafting
// took, of those who were drafted.
void Batcher::charge(const std::vector<Part>& parts, double cpu_ms, const Drafting& drafting) {
  const double all = weight(parts);
  size_t drafted = 0;
  for (const Part& part : parts) drafted += part.catch_up;
  for (const Part& part : parts) {
    Request& request = *part.request;
    double own = (cpu_ms - drafting.cpu_ms) * cost_.share(weight(part), all, parts.size());
    if (drafted > 0)
      own += drafting.cpu_ms * static_cast<double>(part.catch_up) / static_cast<double>(drafted);
    request.cpu_ms += own;
    shares_.charge(request.lane, request.owner, own);
  }
}

void Batcher::advance(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    for (size_t i = 0; i < part.rows; i++) {
      slots_.extend(part.request->sequence, part.request->tokens[part.request->computed++]);
    }
  }
  note_exact(parts);
  together_(true);
  int row = -1;
  for (const Part& part : parts) {
    Request& request = *part.request;
    row += static_cast<int>(part.rows);
    if (request.pending() > 0) {
      out_(request.id, wire::Progress{"prefill", static_cast<double>(request.computed) /
                                                     static_cast<double>(request.tokens.size())});
      continue;
    }
    say(part, row);
    row += static_cast<int>(part.drafts);
  }
  together_(false);
}

// A whole piece of a seeded prompt, and nothing else: whoever computes it again has the same bytes.
void Batcher::note_exact(const std::vector<Part>& parts) {
  const Part& part = parts.front();
  const Request& request = *part.request;
  const size_t before = request.computed - part.rows;
  if (parts.size() > 1 || !request.exact || part.drafts > 0 || part.rows != kExactPiece ||
      slots_[request.sequence].exact != before)
    return;
  slots_.set_exact(request.sequence, request.computed);
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
  const SteadyTime from = clock_.now();
  const bool again = !request.replay.over();
  auto chosen = again ? request.sampler->take(row, request.replay.next(), request.options.top)
                      : request.sampler->choose(row, request.options.top);
  const double cpu_ms = cpu_ms_() - cpu_from;
  request.cpu_ms += cpu_ms;
  shares_.charge(request.lane, request.owner, cpu_ms);
  constexpr double kNewest = 0.3;
  request.choosing_ms += kNewest * (exact_ms(from, clock_.now()) - request.choosing_ms);
  pulse_.beat();
  if (!chosen) {
    Error error = std::move(chosen).error();
    if (error.code == Code::Corrupt && !request.options.adapters.empty()) {
      error = {Code::Invalid,
               "with these adapters the model computes something that is no number; send smaller "
               "scales, or leave them out"};
      error.param = "lora";
    }
    fail(request, std::move(error));
    return false;
  }
  const bool ends = model_.ends(chosen->token) && !request.options.sampling.ignore_eos;
  if (!again && (chosen->last || ends)) {
    finish(request, "stop");
    return false;
  }
  request.tokens.push_back(chosen->token);
  request.speculation.chosen(chosen->token);
  request.thought += chosen->thinking ? 1 : 0;
  std::string shown =
      request.text.add(model_.piece(chosen->token, request.special(chosen->token)),
                       chosen->thinking ? TextOut::Stops::Ignored : TextOut::Stops::Count);
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
  if (again)
    tell_nobody(request, shown);
  else
    tell(request, std::move(shown));
  if (request.text.stopped() || (request.reader && request.reader->over())) {
    finish(request, "stop");
    return false;
  }
  if (request.options.stop_repeating && request.repetition.grown(request.answer())) {
    if (!chosen->thinking) {
      finish(request, "repeats");
      return false;
    }
    request.sampler->stop_thinking();  // thoughts that go round in circles come to no end
  }
  if ((most && request.generated() >= *most) || request.tokens.size() > model_.facts().context) {
    finish(request, "length");
    return false;
  }
  return true;
}

// What another worker told already.
void Batcher::tell_nobody(Request& request, const std::string& text) {
  if (request.reader) request.reader->again(text, request.replay.told_here());
  auto& untold = request.untold;
  while (!untold.empty() && untold.front().until <= request.text.bytes_out()) untold.pop_front();
  request.known = request.generated();
  if (request.replay.over() && request.stop_thoughts) request.sampler->stop_thinking();
}

// Sends text that may be shown, with the tokens that stand behind it.
void Batcher::tell(Request& request, std::string text) {
  if (request.reader) return tell_news(request, request.reader->add(text));
  if (text.empty() && !request.options.top) return;
  tell(request, wire::Delta{std::move(text), nullptr, 0});
}

void Batcher::tell_news(Request& request, AnswerReader::News news) {
  if (news.empty() && !request.options.top) return;
  tell(request, wire::Delta{std::move(news.text), nullptr, 0, std::move(news.reasoning),
                            std::move(news.tool_calls)});
}

void Batcher::tell(Request& request, wire::Delta delta) {
  if (request.options.top) delta.logprobs = Json::array();
  while (!request.untold.empty() && request.untold.front().until <= request.text.bytes_out()) {
    if (request.options.top) delta.logprobs.push_back(std::move(request.untold.front().logprobs));
    delta.tokens++;
    request.untold.pop_front();
  }
  const bool has_logprobs = request.options.top && !delta.logprobs.empty();
  if (!has_logprobs) delta.logprobs = nullptr;
  const bool says = !delta.text.empty() || !delta.reasoning.empty() || !delta.tool_calls.is_null();
  if (!says && !has_logprobs) return;
  const auto news = request.answer().subspan(request.known);
  delta.ids.assign(news.begin(), news.end());
  delta.last = request.ending;
  request.known = request.generated();
  out_(request.id, std::move(delta));
}

void Batcher::finish(Request& request, std::string reason) {
  request.ending = true;
  if (!request.text.stopped()) tell(request, request.text.rest());
  if (request.reader) {
    tell_news(request, request.reader->end());
    if (reason == "stop" && request.reader->called()) reason = "tool_calls";
  }
  const SteadyTime now = clock_.now();
  wire::Done done;
  done.reason = std::move(reason);
  done.prompt_tokens = static_cast<Tokens>(request.prompt);
  done.completion_tokens = static_cast<Tokens>(request.generated());
  done.reused_tokens = static_cast<Tokens>(request.reused);
  done.prefill_ms = exact_ms(request.began, request.first_token);
  done.decode_ms = exact_ms(request.first_token, now);
  done.cpu_ms = request.cpu_ms;
  done.stop = request.text.stop();
  done.reasoning_tokens = static_cast<Tokens>(request.thought);
  const auto& found = request.speculation.counts(Speculation::Source::Lookup);
  const auto& by_model = request.speculation.counts(Speculation::Source::Model);
  done.drafted_tokens = found.drafted + by_model.drafted;
  done.accepted_tokens = found.right + by_model.right;
  done.model_drafted_tokens = by_model.drafted;
  done.model_accepted_tokens = by_model.right;
  const uint64_t id = request.id;
  drop(request);
  out_(id, std::move(done));
}

void Batcher::fail(Request& request, Error error) {
  const uint64_t id = request.id;
  const double cpu_ms = request.cpu_ms;
  drop(request);
  out_(id, wire::Failed{std::move(error), cpu_ms});
}

// Forgets a request; what its sequence holds stays for others.
void Batcher::drop(Request& request) {
  end_drafting(request);
  if (request.sequence >= 0) slots_.release(request.sequence);
  shares_.leave(request.lane, request.owner);
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
  const Lane worst = this->worst();
  if (!embeddings_.has_up_to(worst)) return false;
  size_t rows_max = kEmbedRows;
  if (embeddings_.size() > 1 || !computing_.empty() || lease_.pressed())
    rows_max = std::min(rows_max, embed_cost_.rows_within(kStepSharedMs));
  shares_.step_begins();
  const Embeddings::Next next = embeddings_.next(rows_max, worst);
  const auto rows = static_cast<double>(next.rows);
  if (!lease_.enter({next.lane, false, embed_cost_.ms(rows)})) return true;
  if (next.begins) out_(next.id, wire::Started{next.tokens, 0});
  const double cpu_from = cpu_ms_();
  const SteadyTime from = clock_.now();
  running({{{next.id, next.rows}}, next.rows, next.lane, expected_end(embed_cost_, rows)});
  auto vectors = model_.embed(next.inputs);
  running({});
  pulse_.beat();
  embeddings_.charge(next, cpu_ms_() - cpu_from);
  if (vectors) {
    embed_cost_.learn(rows, exact_ms(from, clock_.now()));
  }
  if (vectors) {
    if (auto done = embeddings_.took(next, *vectors)) out_(next.id, *std::move(done));
  } else if (vectors.error().code != Code::Cancelled) {  // else cancel() follows, or a hurry passes
    embeddings_.remove(next.id);
    out_(next.id, wire::Failed{std::move(vectors).error()});
  }
  lease_.step_over();
  return true;
}

}  // namespace lares::engine
