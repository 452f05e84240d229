// lares models, lares models list: which models there are.
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--names", '\0', "", "names only, one a line; starts no daemon (for completions)"},
};
constexpr Example kExamples[] = {
    {"lares models list", "Lists them; * marks the one that answers when none is named."},
    {"lares models list --json | jq -r .[].id", "Gives their names to a program."},
};

std::string state_words(const Json& model) {
  const std::string state = text_of(model, "state");
  return state == "absent" ? "on disk" : state;
}

Result<int> run(Context& context, const Arguments& arguments) {
  if (arguments.has("--names") && !context.daemon.running()) return 0;
  TRY_AS(const Json models, ask(context.daemon, "GET", "/lares/v1/models"));
  if (arguments.has("--json")) return print_json(context, models);
  if (arguments.has("--names")) {
    std::string names;
    for (const Json& model : models) names += text_of(model, "id") + "\n";
    TRY(context.screen.out(names));
    return 0;
  }
  if (models.empty()) {
    context.screen.say(
        "lares: there is no model; `lares models find` looks for some on this disk, "
        "`lares models add FILE` adds one\n");
    return 0;
  }
  Table table({{"NAME", Table::Side::Left, true},
               {"SIZE", Table::Side::Right},
               {"FOR"},
               {"STATE"},
               {"FORMAT"},
               {"CONTEXT", Table::Side::Right}});
  for (const Json& model : models) {
    const Json& info = member_of(model, "info");
    const uint64_t context_tokens = count_of(info, "context_train");
    table.add({cat(flag_of(model, "default") ? "* " : "  ", text_of(model, "id")),
               size_of(model, "size_bytes"), text_of(model, "use"), state_words(model),
               text_of(info, "quantization"), context_tokens > 0 ? cat(context_tokens) : ""});
  }
  TRY(context.screen.out(table.print(table_width(context))));
  return 0;
}

constexpr Verb kVerb{
    .name = "models list",
    .summary = "list the models that can answer",
    .more = "",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

constexpr Verb kBare{
    .name = "models",
    .summary = "the models of this machine; alone, the list of them",
    .more = "`lares models list`, `show`, `add`, `rm` and `find` have a --help each.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kBareRegistered{kBare};

}  // namespace
}  // namespace lares::app
