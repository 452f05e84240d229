// lares bench: how fast the default model reads and writes here, through the API.
#include <algorithm>
#include <array>
#include <vector>

#include "app/cli/answer.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/file.h"
#include "base/text.h"
#include "inventory/devices.h"

namespace lares::app {
namespace {

constexpr int64_t kRoundsDefault = 5;
constexpr int kWordsRead = 400;  // about 500 tokens, none of which was seen before
constexpr int kTokensWritten = 128;

constexpr Option kOptions[] = {
    kModel,
    {"--rounds", '\0', "N", "how often; the median counts (5)"},
    kJson,
};
constexpr Example kExamples[] = {
    {"lares bench", "Takes a few seconds; prints the machine, its load, and tokens a second."},
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// A prompt that no cache knows: it begins with chance.
std::string unseen_prompt() {
  static constexpr std::array kWords = {"the",   "river", "carries", "seven", "small",
                                        "boats", "past",  "an",      "old",   "mill",
                                        "where", "green", "apples",  "grow"};
  std::string text = random_hex(8);
  for (size_t i = 0; i < kWordsRead; i++) text += cat(" ", kWords[i * 7 % kWords.size()]);
  return text;
}

Result<Json> figures(Context& context, const std::string& model, const std::string& prompt,
                     int tokens) {
  Sampling sampling;
  sampling.model = model;
  sampling.tokens_max = tokens;
  sampling.temperature = 0;
  Json body = chat_body(sampling, opening("", prompt), false);
  body["ignore_eos"] = true;
  body.erase("stop_repeating");
  TRY_AS(Json answer, ask(context.daemon, "POST", "/v1/chat/completions", body));
  return answer;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const std::optional<int64_t> given, arguments.integer("--rounds", 1, 100));
  const int64_t rounds = given.value_or(kRoundsDefault);
  const std::string model = arguments.value("--model");
  const InterruptsDaemon interrupts_daemon(context.daemon);
  std::vector<double> reads;
  std::vector<double> writes;
  std::string answered_by;
  {
    Waiting waiting(context.screen, "measuring");
    for (int64_t round = -1; round < rounds && !interrupts_daemon.happened(); round++) {
      auto read = figures(context, model, unseen_prompt(), 1);
      if (interrupts_daemon.happened()) break;
      if (!read) return std::move(read).error();
      auto written =
          figures(context, model, cat(random_hex(4), " Tell a long story."), kTokensWritten);
      if (interrupts_daemon.happened()) break;
      if (!written) return std::move(written).error();
      answered_by = text_of(*written, "model");
      if (round < 0) continue;  // the first warms the caches
      reads.push_back(number_of(member_of(*read, "timings"), "prompt_per_second"));
      writes.push_back(number_of(member_of(*written, "timings"), "predicted_per_second"));
    }
  }
  if (interrupts_daemon.happened()) return row(Code::Cancelled).exit_status;

  const inventory::Cpu cpu = inventory::cpu();
  const auto load = read_file("/proc/loadavg", KiB(1));
  const std::string load_1 = load ? split(*load, ' ').front() : "";
  const Json result = {{"model", answered_by},
                       {"prefill_tokens_per_s", median(reads)},
                       {"decode_tokens_per_s", median(writes)},
                       {"rounds", rounds},
                       {"cpu", cpu.model},
                       {"cores", cpu.cores},
                       {"memory_bytes", inventory::memory().total.n},
                       {"load", load_1},
                       {"version", LARES_VERSION}};
  if (arguments.has("--json")) return print_json(context, result);
  Facts facts;
  facts.add("model", answered_by);
  facts.add("reads", cat(rate_words(median(reads)), " tokens/s"));
  facts.add("writes", cat(rate_words(median(writes)), " tokens/s"));
  facts.add("rounds", cat(rounds, ", of which these are the medians"));
  facts.add("machine",
            cat(cpu.model, ", ", counted(cpu.cores, "core"), ", ", inventory::memory().total));
  facts.add("load", load_1);
  TRY(context.screen.out(facts.print()));
  return 0;
}

constexpr Verb kVerb{
    .name = "bench",
    .summary = "measure how fast a model reads and writes here",
    .more =
        "Through the API, as any program would: some 500 tokens of an unseen prompt are read, and "
        "128 "
        "written.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
