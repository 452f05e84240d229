// lares status, lares start: the daemon, where it listens and what it holds.
#include "app/cli/answer.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};

std::string told(const Json& status) {
  Facts facts;
  const uint64_t pid = count_of(status, "pid");
  facts.add("laresd", cat(text_of(status, "version"), pid > 0 ? cat(", process ", pid) : "",
                          ", up for ", seconds_words(count_of(status, "uptime_s"))));
  facts.add("address", text_of(status, "address"));
  facts.add("socket", text_of(status, "socket"));
  facts.add("folder", text_of(status, "home"));
  facts.add("engine", text_of(status, "engine"));
  facts.add("models",
            cat(count_of(status, "models"), ", ", count_of(status, "resident"), " in memory"));
  facts.add("memory", cat(to_string(Bytes{count_of(status, "memory_bytes")}), " of ",
                          size_of(status, "memory_budget_bytes")));
  facts.add("requests", cat(count_of(status, "requests"), ", ", count_of(status, "waiting"),
                            " of them waiting"));
  if (const std::string why = text_of(status, "restraint"); !why.empty()) {
    const Json paused = status.value("paused_lanes", Json::array());
    facts.add("restraint", cat(why, paused.empty() ? "" : "; background requests wait"));
  }
  if (const uint64_t pulls = count_of(status, "pulls"); pulls > 0)
    facts.add("pulls", cat(counted(pulls, "model"), " on the way; `lares models pull --list`"));
  return facts.print();
}

Result<int> run_status(Context& context, const Arguments& arguments) {
  if (!context.daemon.running()) {
    if (arguments.has("--json")) {
      TRY(print_json(context, {{"running", false}}));
    } else {
      context.screen.say(
          "lares: the daemon does not run; the next question starts it, or `lares start`\n");
    }
    return row(Code::NotFound).exit_status;
  }
  TRY_AS(Json status, ask(context.daemon, "GET", "/lares/v1/status"));
  status["running"] = true;
  if (arguments.has("--json")) return print_json(context, status);
  TRY(context.screen.out(told(status)));
  return 0;
}

Result<int> run_start(Context& context, const Arguments& arguments) {
  const bool already = context.daemon.running();
  TRY_AS(Json status, [&] {
    const Waiting waiting(context.screen, [&daemon = context.daemon] { return daemon.doing(); });
    return ask(context.daemon, "GET", "/lares/v1/status");
  }());
  status["running"] = true;
  if (arguments.has("--json")) return print_json(context, status);
  if (already) context.screen.say("lares: it runs already\n");
  TRY(context.screen.out(told(status)));
  return 0;
}

constexpr Example kStatusExamples[] = {
    {"lares status", "Says whether the daemon runs, where it listens, and what it holds."},
    {"lares status --json | jq .pid", "Gives a program one of its figures."},
};
constexpr Verb kStatus{
    .name = "status",
    .summary = "say whether the daemon runs, and how it is",
    .more = "Starts nothing. Exits with 3 when the daemon does not run.",
    .options = kOptions,
    .words = {},
    .examples = kStatusExamples,
    .run = run_status,
};
const Registered<Verb> kStatusRegistered{kStatus};

constexpr Example kStartExamples[] = {
    {"lares start", "Starts the daemon in the background, so that programs can use its API."},
};
constexpr Verb kStart{
    .name = "start",
    .summary = "start the daemon in the background",
    .more = "Questions start it by themselves; this is for programs that use the API.",
    .options = kOptions,
    .words = {},
    .examples = kStartExamples,
    .run = run_start,
};
const Registered<Verb> kStartRegistered{kStart};

}  // namespace
}  // namespace lares::app
