// lares models unpin: the opposite of pin.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {
    {"NAME", "a model, by its name or the beginning of it", Word::Count::One, "model"}};
constexpr Example kExamples[] = {
    {"lares models unpin qwen2.5-1.5b", "Lets it go when others need room."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const std::string path =
      cat("/lares/v1/models/", path_escaped(arguments.words().front()), "/unpin");
  TRY_AS(const Json told, ask(context.daemon, "POST", path, Json::object()));
  if (arguments.has("--json")) return print_json(context, told);
  TRY(context.screen.out(plain_line(cat("unpinned ", text_of(told, "model"), "; it is ",
                                        text_of(told, "rung"), " now")) +
                         "\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "models unpin",
    .summary = "let others take a pinned model's room again",
    .more = "",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
