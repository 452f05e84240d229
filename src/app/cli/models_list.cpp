// lares models, lares models list: which models there are.
#include "app/cli/plain_text.h"
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

// For completions: from a daemon that runs; there is none to wait for while somebody types.
Result<int> print_names(Context& context, const Arguments& arguments) {
  Json models = Json::array();
  if (context.daemon.running()) {
    TRY_AS(models, ask(context.daemon, "GET", "/lares/v1/models"));
  }
  Json names = Json::array();
  std::string lines;
  for (const Json& model : models) {
    names.push_back(text_of(model, "id"));
    lines += plain_line(text_of(model, "id")) + "\n";
  }
  if (arguments.has("--json")) return print_json(context, names);
  TRY(context.screen.out(lines));
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  if (arguments.has("--names")) return print_names(context, arguments);
  TRY_AS(const Json models, ask(context.daemon, "GET", "/lares/v1/models"));
  if (arguments.has("--json")) return print_json(context, models);
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
               size_of(model, "size_bytes"), text_of(model, "use"), state_of(model),
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
    .more =
        "`lares models list`, `show`, `add`, `pull`, `rm`, `find`, `search`, `pin`, `unpin` and "
        "`evict` have a --help each.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kBareRegistered{kBare};

}  // namespace
}  // namespace lares::app
