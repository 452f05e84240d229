// lares models find: the models that other programs keep on this disk.
#include "app/cli/answer.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Example kExamples[] = {
    {"lares models find",
     "Lists what Ollama, LM Studio, GPT4All, Jan and Hugging Face's tools have here."},
    {"lares models add 2", "Then uses the second of the list, where it lies."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const Json found, [&] {
    const Waiting waiting(context.screen, "looking through the folders of other programs");
    return ask(context.daemon, "GET", "/lares/v1/models-found");
  }());
  if (arguments.has("--json")) return print_json(context, found);
  if (found.empty()) {
    context.screen.say(
        "lares: no other program's folder here holds a GGUF; `lares models add FILE` "
        "takes one from anywhere\n");
    return 0;
  }
  Table table({{"", Table::Side::Right},
               {"PROGRAM"},
               {"NAME", Table::Side::Left, true},
               {"SIZE", Table::Side::Right}});
  size_t number = 1;
  for (const Json& model : found)
    table.add({cat(number++), text_of(model, "program"), text_of(model, "name"),
               size_of(model, "size_bytes")});
  TRY(context.screen.out(table.print(table_width(context))));
  if (context.screen.is_terminal(Stream::Out))
    context.screen.say("`lares models add NUMBER` uses one where it lies.\n");
  return 0;
}

constexpr Verb kVerb{
    .name = "models find",
    .summary = "find models that other programs keep on this disk",
    .more =
        "Looks in the folders of Ollama, LM Studio, GPT4All, Jan and Hugging Face. Nothing is "
        "copied "
        "or changed.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
