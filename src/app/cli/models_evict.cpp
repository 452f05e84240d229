// lares models evict: send a model out of memory now.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--to", '\0', "RUNG", "parked: its process stays, without weights; warm: without its context"},
};
constexpr Word kWords[] = {
    {"NAME", "a model, by its name or the beginning of it", Word::Count::One, "model"}};
constexpr Example kExamples[] = {
    {"lares models evict qwen2.5-1.5b", "Ends its process; the next request starts it again."},
    {"lares models evict qwen2.5-1.5b --to parked",
     "Gives its memory back, and comes back in milliseconds."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const std::string path =
      cat("/lares/v1/models/", path_escaped(arguments.words().front()), "/evict");
  Json body = Json::object();
  if (arguments.has("--to")) body["rung"] = arguments.value("--to");
  TRY_AS(const Json told, ask(context.daemon, "POST", path, body));
  if (arguments.has("--json")) return print_json(context, told);
  const std::string model = text_of(told, "model"), from = text_of(told, "from");
  TRY(context.screen.out(
      plain_line(from == text_of(told, "to")
                     ? cat(model, " is ", from, " already")
                     : cat(model, " goes from ", from, " to ", text_of(told, "to"), "; it held ",
                           size_of(told, "held_bytes"))) +
      "\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "models evict",
    .summary = "send a model out of memory, or down to a lower rung",
    .more = "A model that answers is not sent away; retry when it has. `lares ps` shows the rungs.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
