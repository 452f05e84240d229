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

// There is no verb of that name: what there is instead.
Error no_verb(const std::string& name, const std::vector<std::string>& words,
              std::span<const Verb* const> verbs) {
  const auto error = [&](std::string_view instead) {
    return Error{Code::NotFound, cat("there is no verb '", name, "'", instead)};
  };
  if (const std::string_view instead = instead_of(name); !instead.empty())
    return error(cat(": ", instead, "; `lares help` lists them all"));
  // a verb and something more
  const Verb* first = Registered<Verb>::find(words.front());
  if (words.size() > 2) {
    const std::string two = cat(words[0], " ", words[1]);
    if (Registered<Verb>::find(two) != nullptr)
      return error(cat(", but there is '", two, "': lares help ", two));
  }
  const std::vector<std::string> parts = second_words(verbs, words.front());
  if (words.size() > 1 && !parts.empty()) {
    std::string list;
    for (const std::string& part : parts) list += cat(list.empty() ? "" : ", ", part);
    return error(cat(did_you_mean(words[1], parts), "; `lares ", words.front(), "` has ", list));
  }
  if (words.size() > 1 && first != nullptr)
    return error(cat(", but there is '", words.front(), "': lares help ", words.front()));
  std::vector<std::string> names;
  names.reserve(verbs.size());
  for (const Verb* known : verbs) names.emplace_back(known->name);
  const std::string hint = did_you_mean(name, names);
  return error(hint.empty() ? "; `lares help` lists them all" : hint);
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto verbs = Registered<Verb>::all();
  std::string text = arguments.has("--markdown") ? commands_page(verbs) : overall_help(verbs);
  if (!arguments.words().empty()) {
    std::string name;
    for (const std::string& word : arguments.words()) name += cat(name.empty() ? "" : " ", word);
    const Verb* verb = Registered<Verb>::find(name);
    if (verb == nullptr) return no_verb(name, arguments.words(), verbs);
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
