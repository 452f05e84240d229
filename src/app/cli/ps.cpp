// lares ps: what is in memory, and what it is doing.
#include <cmath>

#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Example kExamples[] = {
    {"lares ps", "Lists the models in memory with what each holds and does."},
};

std::string tokens_per_s(const Json& model) {
  const double rate = model.value("tokens_per_s", 0.0);
  return rate > 0 ? cat(std::round(rate * 10) / 10) : "";
}

// How long whoever waits longest has waited.
std::string waited(const Json& model) {
  if (count_of(model, "waiting") == 0) return "";
  return cat(std::round(static_cast<double>(count_of(model, "waiting_ms")) / 100) / 10, " s");
}

Result<int> run(Context& context, const Arguments& arguments) {
  // with no daemon nothing is in memory, and starting one would change the answer
  const bool running = context.daemon.running();
  Json models = Json::array();
  if (running) {
    TRY_AS(models, ask(context.daemon, "GET", "/lares/v1/ps"));
  }
  if (arguments.has("--json")) return print_json(context, models);
  if (models.empty()) {
    context.screen.say(running ? "lares: no model is in memory\n"
                               : "lares: no model is in memory; the daemon does not run\n");
    return 0;
  }
  Table table({{"MODEL", Table::Side::Left, true},
               {"STATE"},
               {"MEMORY", Table::Side::Right},
               {"ANSWERING", Table::Side::Right},
               {"LANE"},
               {"TOK/S", Table::Side::Right},
               {"WAITING", Table::Side::Right},
               {"FOR", Table::Side::Right},
               {"UP", Table::Side::Right},
               {"ENGINE"},
               {"DRAFT"},
               {"PID", Table::Side::Right}});
  for (const Json& model : models) {
    const uint64_t pid = count_of(model, "pid");
    table.add({text_of(model, "model"), text_of(model, "state"), size_of(model, "memory_bytes"),
               cat(count_of(model, "requests")), text_of(model, "lane"), tokens_per_s(model),
               cat(count_of(model, "waiting")), waited(model),
               seconds_words(count_of(model, "up_s")), text_of(model, "variant"),
               text_of(model, "draft_refused").empty() ? text_of(model, "draft") : "refused",
               pid > 0 ? cat(pid) : ""});
  }
  TRY(context.screen.out(table.print(table_width(context))));
  if (const std::string why = text_of(models.front(), "paused"); !why.empty())
    context.screen.say(cat("lares: background requests wait: ", why, "\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "ps",
    .summary = "list the models in memory and what they are doing",
    .more =
        "LANE is the best that it computes for. WAITING are requests that it has not begun, and "
        "FOR "
        "is how long the first of them has waited. TOK/S is of the last seconds.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
