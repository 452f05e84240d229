// What workers say of what they compute, and what becomes of it when they die.
#include <algorithm>
#include <cmath>
#include <utility>

#include "app/core_doing.h"
#include "base/text.h"
#include "host/conduct.h"
#include "wire/message.h"

namespace lares::app {
namespace {

// Of a worker whose end may have nothing to do with what it computed, unlike one that spoke
// nonsense.
bool is_death(const Error& error) {
  return error.code == Code::WorkerDied || error.code == Code::Timeout;
}

}  // namespace

void Core::loaded(const ModelId& model) {
  // Even while it drains: whoever waited for it has its turn before it may be sent away again.
  hand_out(model);
}

void Core::lost(const ModelId& model, const Error& error, Residents::Lost lost) {
  std::map<api::WorkId, std::vector<unsigned>> works;
  for (auto it = parts_.begin(); it != parts_.end();) {
    if (it->second.model != model) {
      ++it;
      continue;
    }
    if (it->second.work != 0) works[it->second.work].push_back(it->second.choice);
    if (it->second.limit) loop_.cancel(it->second.limit);
    it = parts_.erase(it);
  }
  for (const auto& [id, choices] : works) {
    if (goes_on(id, choices, error)) continue;
    Doing& doing = *doing_.at(id);
    doing.ended = doing.handed;  // nothing is left to cancel
    finish(id, doing.deaths > kResumesMax ? too_often(doing, error) : error);
  }
  if (lost == Residents::Lost::WhileReady) return;
  for (const sched::JobId id : queue_.waiting_for(model)) {
    Doing& doing = *doing_.at(id);
    // one that waits to go on can wait for another
    if (doing.deaths > 0 && is_death(error) && ++doing.deaths <= kResumesMax) continue;
    finish(id, doing.deaths > kResumesMax ? too_often(doing, error) : error);
  }
}

// The worker that computed these parts of it is gone. Puts them back into the queue, so that the
// next worker goes on with them; false when that cannot be.
bool Core::goes_on(api::WorkId id, const std::vector<unsigned>& choices, const Error& error) {
  Doing& doing = *doing_.at(id);
  if (!is_death(error)) return false;
  size_t tokens = 0;
  for (const unsigned choice : choices) {
    if (!doing.said[choice].lost()) return false;
    tokens += doing.said[choice].tokens();
  }
  if (++doing.deaths > kResumesMax) return false;
  doing.receipt.why.push_back(
      tokens == 0 ? "worker: it died, and the next one computes this anew"
                  : cat("worker: it died, and the answer goes on with the next one after ", tokens,
                        tokens == 1 ? " token" : " tokens"));
  doing.again.insert(doing.again.end(), choices.begin(), choices.end());
  queue_.give_back({id, doing.model, doing.lane, static_cast<unsigned>(choices.size()),
                    size_of(doing.payloads), doing.receipt.principal});
  schedule_pump();
  return true;
}

Error Core::too_often(const Doing& doing, const Error& error) const {
  return {error.code,
          cat("model '", doing.model, "': ", doing.deaths,
              " of its workers died one after another while they computed this request, which is "
              "not tried again; change it, or choose another model; the last one: ",
              error.message)};
}

void Core::frame(const ModelId& model, wire::Frame frame) {
  const auto found = parts_.find(frame.id);
  if (found == parts_.end() || found->second.model != model) return;  // ended a moment ago
  Part& part = found->second;
  const auto type = static_cast<wire::Type>(frame.type);
  const bool ends = type == wire::Type::Done || type == wire::Type::Failed;
  const api::WorkId id = part.work;
  const unsigned choice = part.choice;
  const SteadyTime handed = part.handed;
  if (ends) {
    if (part.limit) loop_.cancel(part.limit);
    if (type == wire::Type::Done) {
      if (const auto done = wire::from_frame<wire::Done>(frame)) settle(part, done->cpu_ms, true);
    } else if (const auto failed = wire::from_frame<wire::Failed>(frame)) {
      settle(part, failed->cpu_ms, false);  // what was cancelled has cost its app too
    }
    parts_.erase(found);
    tell_lane(model);
    schedule_pump();
  }
  if (id == 0) return;  // nobody listens any more
  Doing& doing = *doing_.at(id);
  const auto broken = [&](const Error& error) {
    if (ends) finish(id, Error{Code::Corrupt, error.message});
    residents_.end(model,
                   {Code::Corrupt,
                    cat("model '", model, "': its worker broke the protocol: ", error.message)});
  };
  switch (type) {
    case wire::Type::Started: {
      auto started = wire::from_frame<wire::Started>(frame);
      if (!started) return broken(started.error());
      doing.said.at(choice).started(*started);
      if (!std::exchange(part.begun, true) && !doing.started) note_wait(doing, handed);
      if (!doing.started && started->thinking_max >= 0)
        doing.receipt.why.push_back(
            cat("thinking: at most ", grouped(started->thinking_max), " tokens"));
      report_started(doing, started->prompt_tokens);
      if (choice == 0) count_prompt(doing, started->reused_tokens, started->reused_tokens);
      return;
    }
    case wire::Type::Progress: {
      auto progress = wire::from_frame<wire::Progress>(frame);
      if (!progress) return broken(progress.error());
      // what is no number is nothing yet
      const double there = progress->fraction > 0 ? std::min(progress->fraction, 1.0) : 0;
      if (choice == 0) count_prompt(doing, static_cast<uint64_t>(there * doing.prompt_tokens), 0);
      return;
    }
    case wire::Type::Delta: {
      auto delta = wire::from_frame<wire::Delta>(frame);
      if (!delta) return broken(delta.error());
      auto told = doing.said.at(choice).heard(*std::move(delta));
      if (!told) return broken(told.error());
      if (auto passed = pass_on(doing, choice, *std::move(told)); !passed)
        return broken(passed.error());
      return;
    }
    case wire::Type::Done: {
      auto done = wire::from_frame<wire::Done>(frame);
      if (!done) return broken(done.error());
      if (auto can_be = host::credible(*done, now() - handed); !can_be)
        return broken(can_be.error());
      if (auto passed = pass_on(doing, choice, doing.said.at(choice).done()); !passed)
        return broken(passed.error());
      return on_done(id, doing, choice, *std::move(done));
    }
    case wire::Type::Failed: {
      auto failed = wire::from_frame<wire::Failed>(frame);
      if (!failed) return broken(failed.error());
      doing.ended++;
      if (host::credible({.cpu_ms = failed->cpu_ms}, now() - handed))
        doing.cpu_ms += failed->cpu_ms;
      return finish(id, from_worker(std::move(failed->error)));
    }
    case wire::Type::Hello:
    case wire::Type::Load:
    case wire::Type::Inspect:
    case wire::Type::Loaded:
    case wire::Type::Generate:
    case wire::Type::Embed:
    case wire::Type::Rank:
    case wire::Type::Resume:
    case wire::Type::Cancel:
    case wire::Type::StopThinking:
    case wire::Type::Move:
    case wire::Type::Moved:
    case wire::Type::Beat:
    case wire::Type::Resolve:
    case wire::Type::Found:
    case wire::Type::Fetch:
    case wire::Type::Fetched:
    case wire::Type::Pulled:
    case wire::Type::Hash:
    case wire::Type::Hashed:
    case wire::Type::Shutdown: break;
  }
  broken({Code::Corrupt, cat("a message of type ", frame.type, " in an answer")});
}

// In its worker, for a place or for cells.
void Core::note_wait(Doing& doing, SteadyTime handed) const {
  constexpr int64_t kWorthSaying = 50;
  const int64_t waited = ms_between(handed, now());
  if (waited < kWorthSaying) return;
  doing.receipt.queue_ms += waited;
  doing.receipt.why.push_back(
      cat("queue: waited ", waited, " ms more until the model had room for it"));
}

void Core::report_started(Doing& doing, Tokens prompt_tokens) {
  if (doing.started) return;
  doing.started = true;
  doing.prompt_tokens = prompt_tokens;
  doing.sink->on(api::Started{doing.receipt.id, doing.model, prompt_tokens});
}

// Corrupt for a call that was not offered.
Result<> Core::pass_on(Doing& doing, unsigned choice, std::vector<wire::Delta> deltas) {
  for (wire::Delta& delta : deltas) {
    TRY(doing.calls.at(choice).check(delta.tool_calls, doing.tools));
    on_delta(doing, choice, std::move(delta));
  }
  return Unit{};
}

void Core::on_delta(Doing& doing, unsigned choice, wire::Delta delta) {
  report_started(doing, 0);
  if (doing.receipt.ttft_ms == 0)
    doing.receipt.ttft_ms = std::max<int64_t>(1, ms_between(doing.arrived, now()));
  Tokens& written = doing.written.at(choice);
  written += std::min(delta.tokens, UINT32_MAX - written);
  metrics_.wrote(doing.model, doing.lane, delta.tokens, now());
  if (choice == 0) count_prompt(doing, doing.prompt_tokens, 0);
  for (std::string* text : {&delta.text, &delta.reasoning}) {
    if (!is_utf8(*text)) *text = utf8_repaired(*text);
  }
  doing.sink->on(api::Delta{choice, std::move(delta.text), std::move(delta.logprobs),
                            std::move(delta.reasoning), std::move(delta.tool_calls)});
}

// So many tokens of its prompt are there by now, of which so many were reused, as far as is known.
// Another worker that begins anew says less for a while.
void Core::count_prompt(Doing& doing, uint64_t there, uint64_t reused) {
  const auto count = [&](Tokens& counted, uint64_t by_now) {
    const auto most = static_cast<Tokens>(std::min<uint64_t>(by_now, doing.prompt_tokens));
    const Tokens before = std::exchange(counted, std::max(counted, most));
    return counted - before;
  };
  const Tokens tokens = count(doing.counted_prompt, there);
  const Tokens again = count(doing.counted_reused, reused);
  if (tokens > 0 || again > 0) metrics_.read(doing.model, doing.lane, tokens, again);
}

void Core::on_done(api::WorkId id, Doing& doing, unsigned choice, wire::Done done) {
  report_started(doing, done.prompt_tokens);
  doing.ended++;
  doing.prompt_tokens = std::max(doing.prompt_tokens, done.prompt_tokens);
  if (choice == 0) doing.reused_tokens = std::min(done.reused_tokens, done.prompt_tokens);
  if (choice == 0) count_prompt(doing, doing.prompt_tokens, doing.reused_tokens);
  if (const Tokens told = doing.written.at(choice); done.completion_tokens > told)
    metrics_.wrote(doing.model, doing.lane, done.completion_tokens - told, now());
  doing.written.at(choice) = done.completion_tokens;
  if (choice == 0) doing.prefill_ms = std::max(0.0, done.prefill_ms);
  doing.cpu_ms += done.cpu_ms;
  doing.decode.add(now(), done.decode_ms);
  if (doing.type != wire::Type::Generate) {
    const bool ranks = doing.type == wire::Type::Rank;
    const size_t length =
        doing.inputs == 0 ? 0 : done.vectors.size() / sizeof(float) / doing.inputs;
    if (length == 0 || length > UINT32_MAX || (ranks && length != 1) ||
        done.input_tokens.size() != doing.inputs ||
        done.vectors.size() != length * sizeof(float) * doing.inputs)
      return finish(id, Error{Code::Corrupt, cat("model '", doing.model, "': ", done.vectors.size(),
                                                 " bytes of ", ranks ? "scores" : "vectors",
                                                 " for ", doing.inputs, " texts make no sense")});
    doing.receipt.outcome = ranks ? "ranked" : "embedded";
    doing.sink->on(api::Embedded{std::move(done.vectors), static_cast<uint32_t>(length),
                                 std::move(done.input_tokens)});
    return finish(id, Unit{});
  }
  const bool called = done.reason == "tool_calls" && doing.calls.at(choice).calls() > 0;
  const std::string reason = done.reason == "length" ? "length" : called ? "tool_calls" : "stop";
  const Tokens reasoning = std::min(done.reasoning_tokens, done.completion_tokens);
  doing.reasoning_tokens += reasoning;
  doing.drafted_tokens += done.drafted_tokens;
  doing.accepted_tokens += std::min(done.accepted_tokens, done.drafted_tokens);
  doing.model_drafted_tokens += done.model_drafted_tokens;
  doing.model_accepted_tokens += std::min(done.model_accepted_tokens, done.model_drafted_tokens);
  if (choice == 0) doing.receipt.outcome = done.reason == "repeats" ? "repeats" : reason;
  doing.sink->on(
      api::ChoiceDone{choice, reason, utf8_repaired(done.stop), done.completion_tokens, reasoning});
  if (doing.ended == doing.work.choices) finish(id, Unit{});
}

// Of the caller's own answers only: another's is not there.
void Core::stop_thinking(const Json& arguments, const api::Reply& reply) {
  std::string id = arguments.value("id", "");
  const std::string_view hex = std::string_view(id).substr(std::min(id.size(), id.rfind('-') + 1));
  const std::string receipt = cat("r-", hex);
  const std::string who = arguments.value("who", "");
  for (const auto& [work, doing] : doing_) {
    if (doing->receipt.id != receipt || doing->receipt.principal != who) continue;
    doing->thinking_stopped = true;  // for a worker that has to begin again
    for (const auto& [wire_id, part] : parts_) {
      if (part.work != work) continue;
      if (auto sent =
              residents_.send(part.model, wire::to_frame(wire::Type::StopThinking, wire_id));
          !sent)
        return reply(std::move(sent).error());
    }
    return reply(Json::object());
  }
  reply(Error{Code::NotFound,
              cat("there is no answer '", utf8_repaired(id.substr(0, 64)),
                  "' of yours on its way; its id stands in the first piece of its stream"),
              "id"});
}

}  // namespace lares::app
