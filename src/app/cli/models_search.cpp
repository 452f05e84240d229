// lares models search: models worth having, best for this machine first.
#include "app/cli/answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {{"WORDS",
                            "only those with all of these words in name, family or licence",
                            Word::Count::Many, ""}};
constexpr Example kExamples[] = {
    {"lares models search", "Lists them all, the best for this machine first."},
    {"lares models search qwen mit", "Only those with both words."},
};

std::string speed_words(const Json& model) {
  if (const double measured = number_of(member_of(model, "measured"), "tokens_per_s"); measured > 0)
    return cat(rate_words(measured), " measured");
  const double rate = number_of(member_of(model, "predicted"), "tokens_per_s");
  return rate > 0 ? cat("about ", rate_words(rate)) : "";
}

std::string note_of(const Json& model) {
  if (flag_of(model, "have")) return "here";
  if (!flag_of(model, "fits")) return "too large";
  return flag_of(model, "recommended") ? "best here" : "";
}

Result<int> run(Context& context, const Arguments& arguments) {
  std::string query;
  for (const std::string& word : arguments.words()) query += cat(query.empty() ? "" : " ", word);
  TRY_AS(const Json models, [&] {
    const Waiting waiting(context.screen, "looking at this machine");
    return ask(context.daemon, "GET", cat("/lares/v1/catalogue?query=", path_escaped(query)));
  }());
  if (arguments.has("--json")) return print_json(context, models);
  if (models.empty()) {
    context.screen.say(
        cat("lares: no model of the catalogue has '", plain_line(query),
            "' in its name, family or licence; `lares models search` lists them all\n"));
    return 0;
  }
  Table table({{"NAME", Table::Side::Left, true},
               {"SIZE", Table::Side::Right},
               {"NEEDS", Table::Side::Right},
               {"TOKENS/S", Table::Side::Right},
               {"LICENCE"},
               {""}});
  for (const Json& model : models)
    table.add({text_of(model, "id"), size_of(model, "size_bytes"), size_of(model, "needs_bytes"),
               speed_words(model), text_of(model, "licence"), note_of(model)});
  TRY(context.screen.out(table.print(table_width(context))));
  if (!context.screen.is_terminal(Stream::Out)) return 0;
  const Json& first = models.front();
  if (flag_of(first, "recommended"))
    context.screen.say(plain(cat(text_of(first, "title"), ": ", text_of(first, "why"), "\n")));
  context.screen.say("Sizes, licences and where each was read: `lares models search --json`.\n");
  return 0;
}

constexpr Verb kVerb{
    .name = "models search",
    .summary = "list models worth having, the best for this machine first",
    .more =
        "From a list that comes with Lares: nothing is fetched. What each needs and how fast it "
        "would "
        "be is predicted for this machine, which is measured the first time; that takes some "
        "seconds.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
