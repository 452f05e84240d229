// lares help: the same texts as --help, and the docs page.
#include "app/cli/help.h"
#include "app/cli/missing.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    {"--markdown", '\0', "", "the page docs/commands.md, with all verbs"},
};
constexpr Word kWords[] = {{"VERB", "what to say more about", Word::Count::Many}};
constexpr Example kExamples[] = {{"lares help models add", "Says more about one verb."}};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto verbs = Registered<Verb>::all();
  std::string text = arguments.has("--markdown") ? commands_page(verbs) : overall_help(verbs);
  if (!arguments.words().empty()) {
    std::string name;
    for (const std::string& word : arguments.words()) name += cat(name.empty() ? "" : " ", word);
    const Verb* verb = Registered<Verb>::find(name);
    if (verb == nullptr) {
      std::vector<std::string> names;
      names.reserve(verbs.size());
      for (const Verb* known : verbs) names.emplace_back(known->name);
      const std::string_view instead = instead_of(name);
      return Error{Code::NotFound,
                   cat("there is no verb '", name, "'",
                       instead.empty() ? did_you_mean(name, names) : cat(": ", instead),
                       "; `lares help` lists them")};
    }
    text = verb_help(*verb);
  }
  TRY(context.screen.out(text));
  return 0;
}

constexpr Verb kVerb{
    .name = "help",
    .summary = "say what can be asked for",
    .more = "",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
    .needs_home = false,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
