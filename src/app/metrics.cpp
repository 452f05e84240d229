#include "app/metrics.h"

#include "base/text.h"

namespace lares::app {
namespace {

constexpr std::array<Lane, 3> kLanes = {Lane::Interactive, Lane::Agent, Lane::Background};

int64_t second_of(SteadyTime time) { return time.time_since_epoch() / std::chrono::seconds(1); }

std::string label(std::string_view name, std::string_view value) {
  std::string out = cat(name, "=\"");
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

double seconds(milliseconds ms) { return std::chrono::duration<double>(ms).count(); }

// One family of the text: its head, and a line for each sample.
class Family {
 public:
  Family(std::string& out, std::string_view name, std::string_view kind, std::string_view help)
      : out_(out), name_(name) {
    out_ += cat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n");
  }
  template <class Number>
  void add(const std::string& labels, Number value, std::string_view suffix = "") {
    out_ += cat(name_, suffix, labels.empty() ? "" : cat("{", labels, "}"), " ", value, "\n");
  }

 private:
  std::string& out_;
  const std::string_view name_;
};

}  // namespace

void Metrics::read(const sched::ModelId& model, Lane lane, Tokens tokens, Tokens reused) {
  TokenCount& count = models_[model].tokens[static_cast<size_t>(lane)];
  count.prompt += tokens;
  count.reused += reused;
}

void Metrics::wrote(const sched::ModelId& model, Lane lane, Tokens tokens, SteadyTime now) {
  models_[model].tokens[static_cast<size_t>(lane)].completion += tokens;
  auto& seconds = models_[model].seconds;
  const int64_t second = second_of(now);
  auto& [which, count] = seconds[static_cast<size_t>(second) % seconds.size()];
  if (which != second) count = 0;
  which = second;
  count += tokens;
}

double Metrics::tokens_per_s(const sched::ModelId& model, SteadyTime now) const {
  const auto found = models_.find(model);
  if (found == models_.end()) return 0;
  const int64_t second = second_of(now);
  constexpr int64_t kOver = kRateOver / std::chrono::seconds(1);
  uint64_t sum = 0;
  for (const auto& [which, count] : found->second.seconds) {
    if (which < second && which >= second - kOver) sum += count;  // whole seconds only
  }
  return static_cast<double>(sum) / static_cast<double>(kOver);
}

void Metrics::ended(Lane lane, const route::Receipt& receipt) {
  LaneCount& count = lanes_[static_cast<size_t>(lane)];
  count.outcomes[receipt.outcome]++;
  count.queued++;
  count.queue_s += static_cast<double>(receipt.queue_ms) / 1000;
  if (receipt.ttft_ms == 0) return;
  count.started++;
  count.first_token_s += static_cast<double>(receipt.ttft_ms) / 1000;
}

std::string Metrics::text(const Now& now) const {
  std::string out;
  {
    Family family(out, "lares_requests_total", "counter", "Requests that ended.");
    for (const Lane lane : kLanes) {
      for (const auto& [outcome, count] : lanes_[static_cast<size_t>(lane)].outcomes)
        family.add(cat(label("lane", name(lane)), ",", label("outcome", outcome)), count);
    }
  }
  const auto summary = [&](std::string_view what, std::string_view help, auto sum, auto count) {
    Family family(out, what, "summary", help);
    for (const Lane lane : kLanes) {
      const LaneCount& its = lanes_[static_cast<size_t>(lane)];
      family.add(label("lane", name(lane)), sum(its), "_sum");
      family.add(label("lane", name(lane)), count(its), "_count");
    }
  };
  summary(
      "lares_queue_seconds", "How long requests waited before a worker had them.",
      [](const LaneCount& its) { return its.queue_s; },
      [](const LaneCount& its) { return its.queued; });
  summary(
      "lares_first_token_seconds", "From the request to its first token.",
      [](const LaneCount& its) { return its.first_token_s; },
      [](const LaneCount& its) { return its.started; });
  {
    Family family(out, "lares_tokens_total", "counter",
                  "Tokens of prompts and answers, as they are computed.");
    for (const auto& [id, model] : models_) {
      for (const Lane lane : kLanes) {
        const TokenCount& count = model.tokens[static_cast<size_t>(lane)];
        const std::string whose = cat(label("model", id), ",", label("lane", name(lane)));
        family.add(cat(whose, ",kind=\"prompt\""), count.prompt);
        family.add(cat(whose, ",kind=\"prompt_reused\""), count.reused);
        family.add(cat(whose, ",kind=\"completion\""), count.completion);
      }
    }
  }
  const auto of_models = [&](std::string_view what, std::string_view kind, std::string_view help,
                             auto value) {
    Family family(out, what, kind, help);
    for (const Now::Model& model : now.models) family.add(label("model", model.id), value(model));
  };
  of_models("lares_model_memory_bytes", "gauge", "What a model holds of the budget.",
            [](const Now::Model& m) { return m.memory.n; });
  const auto of_lanes = [&](std::string_view what, std::string_view help, auto value) {
    Family family(out, what, "gauge", help);
    for (const Now::Model& model : now.models) {
      for (const Lane lane : kLanes)
        family.add(cat(label("model", model.id), ",", label("lane", name(lane))),
                   value(model, static_cast<size_t>(lane)));
    }
  };
  of_lanes("lares_requests_computing", "Answers that a model computes.",
           [](const Now::Model& m, size_t lane) { return m.computing[lane]; });
  of_lanes("lares_requests_waiting", "Requests that wait, here or in the worker for a place.",
           [](const Now::Model& m, size_t lane) { return m.waiting[lane]; });
  of_lanes("lares_waiting_seconds", "How long the longest of them has waited until now.",
           [](const Now::Model& m, size_t lane) { return seconds(m.longest_wait[lane]); });
  of_models("lares_device_seconds_total", "counter",
            "How long a model's worker has computed, since it was started.",
            [](const Now::Model& m) { return seconds(m.lease.held); });
  of_models("lares_device_wait_seconds_total", "counter",
            "How long it waited for others to compute.",
            [](const Now::Model& m) { return seconds(m.lease.waited); });
  of_models("lares_device_turns_total", "counter", "How often it was its turn.",
            [](const Now::Model& m) { return m.lease.turns; });
  {
    Family family(out, "lares_device_lane_seconds_total", "counter",
                  "How long models have computed for requests of a lane.");
    for (const Lane lane : kLanes)
      family.add(label("lane", name(lane)), seconds(now.lane_held[static_cast<size_t>(lane)]));
  }
  Family(out, "lares_memory_used_bytes", "gauge", "What all models hold.")
      .add("", now.memory_used.n);
  Family(out, "lares_memory_budget_bytes", "gauge", "What they may hold.")
      .add("", now.memory_budget.n);
  return out;
}

}  // namespace lares::app
