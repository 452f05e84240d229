// lares ps: what is in memory, and what it is doing.
#include <algorithm>
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

// Where it stands: "hot", or "parked, to hot" while it moves; before it has loaded, its state.
std::string rung_of(const Json& model) {
  if (text_of(model, "state") != "ready") return text_of(model, "state");
  const std::string at = text_of(model, "rung"), to = text_of(model, "to_rung");
  return cat(at == to ? at : cat(at, ", to ", to), flag_of(model, "pinned") ? ", pinned" : "");
}

// What bringing it back to hot would take.
std::string back_in(const Json& model) {
  const double ms = number_of(model, "back_ms");
  if (text_of(model, "rung") == "hot" || text_of(model, "state") != "ready") return "";
  return ms < 1000 ? cat(std::max(1.0, std::round(ms)), " ms")
                   : cat(std::round(ms / 100) / 10, " s");
}

// "memory  ######------------------  1.2 GiB of 5.0 GiB"
std::string memory_bar(const Json& status) {
  constexpr size_t kWidth = 40;
  const uint64_t used = count_of(status, "memory_bytes");
  const uint64_t budget = std::max<uint64_t>(count_of(status, "memory_budget_bytes"), 1);
  const size_t full = std::min<size_t>(kWidth, (used * kWidth + budget - 1) / budget);
  return cat("\nmemory  ", std::string(full, '#'), std::string(kWidth - full, '-'), "  ",
             Bytes{used}, " of ", Bytes{budget}, "\n");
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
               {"IS"},
               {"MEMORY", Table::Side::Right},
               {"USED", Table::Side::Right},
               {"BACK IN", Table::Side::Right},
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
    const bool used = member_of(model, "idle_s").is_number();
    table.add({text_of(model, "model"), rung_of(model), size_of(model, "memory_bytes"),
               used ? cat(seconds_words(count_of(model, "idle_s")), " ago") : "never",
               back_in(model), cat(count_of(model, "requests")), text_of(model, "lane"),
               tokens_per_s(model), cat(count_of(model, "waiting")), waited(model),
               seconds_words(count_of(model, "up_s")), text_of(model, "variant"),
               text_of(model, "draft_refused").empty() ? text_of(model, "draft") : "refused",
               pid > 0 ? cat(pid) : ""});
  }
  const auto status = ask(context.daemon, "GET", "/lares/v1/status");
  TRY(context.screen.out(table.print(table_width(context)) + (status ? memory_bar(*status) : "")));
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
