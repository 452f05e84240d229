// lares config: the settings in force, and where each comes from.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {{"KEY", "one setting; without it, all of them", Word::Count::Maybe}};
constexpr Example kExamples[] = {
    {"lares config", "Lists the settings with what each is and where that was said."},
    {"lares config memory.budget", "Prints one value."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const Json settings, ask(context.daemon, "GET", "/lares/v1/config"));
  if (!arguments.words().empty()) {
    const std::string& key = arguments.words().front();
    std::vector<std::string> names;
    for (const Json& setting : settings) {
      names.push_back(text_of(setting, "name"));
      if (names.back() != key) continue;
      if (arguments.has("--json")) return print_json(context, setting);
      TRY(context.screen.out(plain_line(text_of(setting, "value")) + "\n"));
      return 0;
    }
    return Error{Code::NotFound, cat("reading the settings: there is no '", key, "'",
                                     did_you_mean(key, names), "; `lares config` lists them")};
  }
  if (arguments.has("--json")) return print_json(context, settings);
  Table table({{"SETTING"}, {"VALUE"}, {"FROM"}, {"WHAT IT DOES", Table::Side::Left, true}});
  for (const Json& setting : settings)
    table.add({text_of(setting, "name"), text_of(setting, "value"), text_of(setting, "source"),
               text_of(setting, "says")});
  TRY(context.screen.out(table.print(table_width(context))));
  if (context.screen.is_terminal(Stream::Out))
    context.screen.say(cat("They are set in ",
                           plain_line((context.home.config / "lares.toml").string()),
                           ", which the daemon reads when it starts.\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "config",
    .summary = "show the settings in force and where each comes from",
    .more = "Settings stand in lares.toml; docs/configuration.md describes them.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
