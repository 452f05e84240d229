// lares plan: what a model would need in memory, what would have to leave for it, and how fast it
// would be, beside what was measured of it here.
#include "app/cli/answer.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {
    {"MODEL", "a model, by its name or the beginning of it, or a name of the catalogue",
     Word::Count::One, "model"}};
constexpr Example kExamples[] = {
    {"lares plan qwen2.5-1.5b",
     "Says whether it fits, what would leave, and how fast it would be."},
};

std::string rate_of(const Json& rates, std::string_view member) {
  const double rate = number_of(rates, member);
  return rate > 0 ? cat(rate_words(rate), " tokens/s") : "";
}

// "12 tokens/s (11 tokens/s measured)"
std::string beside(const std::string& predicted, const std::string& measured) {
  if (predicted.empty()) return measured.empty() ? "" : cat(measured, " measured");
  return measured.empty() ? cat("about ", predicted)
                          : cat("about ", predicted, ", ", measured, " measured");
}

Result<int> run(Context& context, const Arguments& arguments) {
  const std::string path =
      cat("/lares/v1/models/", path_escaped(arguments.words().front()), "/plan");
  TRY_AS(const Json plan, [&] {
    const Waiting waiting(context.screen, "looking at this machine");
    return ask(context.daemon, "GET", path);
  }());
  if (arguments.has("--json")) return print_json(context, plan);
  const Json& predicted = member_of(plan, "predicted");
  const Json& measured = member_of(plan, "measured");
  std::string leaving;
  for (const Json& model : member_of(plan, "would_evict")) {
    if (model.is_string()) leaving += cat(leaving.empty() ? "" : ", ", model.get<std::string>());
  }
  const std::string budget = size_of(plan, "budget_bytes");
  std::string verdict = cat("no: memory.budget is ", budget);
  if (flag_of(plan, "in_memory")) {
    verdict = "it is in memory";
  } else if (flag_of(plan, "fits")) {
    verdict = flag_of(plan, "room_now")
                  ? cat("yes, into ", budget)
                  : cat("yes, into ", budget, ", when answers in progress end");
  }
  Facts facts;
  facts.add("model", text_of(plan, "model"));
  facts.add("needs", cat(size_of(plan, "needs_bytes"), " of memory"));
  facts.add("  weights", size_of(plan, "weights_bytes"));
  facts.add("  conversations",
            count_of(plan, "state_bytes") > 0 ? size_of(plan, "state_bytes") : "");
  facts.add("  buffers", count_of(plan, "compute_bytes") > 0 ? size_of(plan, "compute_bytes") : "");
  const Bytes needs{count_of(plan, "needs_bytes")};
  const std::string draft = text_of(plan, "draft");
  facts.add("  draft model",
            draft.empty() ? "" : cat(size_of(plan, "draft_bytes"), ", '", draft, "'"));
  const Bytes parts{count_of(plan, "weights_bytes") + count_of(plan, "state_bytes") +
                    count_of(plan, "compute_bytes") + count_of(plan, "draft_bytes")};
  facts.add("  the worker", needs > parts ? cat(Bytes{needs.n - parts.n}) : "");
  facts.add("fits", verdict);
  facts.add("would leave", leaving);
  facts.add("memory",
            beside(size_of(predicted, "memory_bytes"), size_of(measured, "memory_bytes")));
  facts.add("writes",
            beside(rate_of(predicted, "tokens_per_s"), rate_of(measured, "tokens_per_s")));
  facts.add("reads", beside(rate_of(predicted, "prompt_tokens_per_s"),
                            rate_of(measured, "prompt_tokens_per_s")));
  TRY(context.screen.out(facts.print()));
  return 0;
}

constexpr Verb kVerb{
    .name = "plan",
    .summary = "say what a model would need, and how fast it would be, before it is loaded",
    .more = "The first time this measures the machine, which takes some seconds.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
