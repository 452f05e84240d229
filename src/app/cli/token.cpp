// lares token: the owner's token, for programs that come over the network port, and what was given
// to single apps and pages.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "app/cli/verb.h"
#include "base/file.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    {"--show", '\0', "", "print the token itself instead of where it lies"},
};
constexpr Example kExamples[] = {
    {"lares token", "Prints the file that holds the token."},
    {"curl -H \"Authorization: Bearer $(lares token --show)\" "
     "http://127.0.0.1:5273/lares/v1/status",
     "Asks what only the owner may."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto file = context.home.config / "token";
  if (!arguments.has("--show")) {
    TRY(context.screen.out(plain_line(file.string()) + "\n"));
    return 0;
  }
  auto token = read_file(file, KiB(4));
  // the daemon makes it at its first start
  if (!token && token.error().code == Code::NotFound) {
    TRY(ask(context.daemon, "GET", "/lares/v1/status"));
    token = read_file(file, KiB(4));
  }
  if (!token) return std::move(token).error();
  TRY(context.screen.out(plain_line(trimmed(*token)) + "\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "token",
    .summary = "show where the owner's token lies, or the token",
    .more =
        "Programs of yours on this machine need none for models, chat and embeddings. Whoever has "
        "it "
        "may do all that you may.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

constexpr Option kOnlyJson[] = {kJson};
constexpr Example kListExamples[] = {
    {"lares token list", "Shows which apps and pages may ask, and when each last did."}};
constexpr Example kAddExamples[] = {
    {"lares token add notes",
     "Prints a token for the app 'notes', this once; its requests carry its name."}};
constexpr Example kRevokeExamples[] = {
    {"lares token revoke 4f1d22c0a9b3e857", "Ends what that app or page may do, at once."},
    {"lares token revoke owner",
     "Makes a new owner's token; the old one is worth nothing from then on."}};
constexpr Word kAddWords[] = {{"NAME", "of the app", Word::Count::One}};
constexpr Word kRevokeWords[] = {
    {"ID", "of an app or page, as `lares token list` shows it, or owner", Word::Count::One}};

Result<int> run_list(Context& context, const Arguments& arguments) {
  TRY_AS(const Json all, ask(context.daemon, "GET", "/lares/v1/credentials"));
  if (arguments.has("--json")) return print_json(context, all);
  Table table({{"ID"}, {"KIND"}, {"NAME", Table::Side::Left, true}, {"GIVEN"}, {"LAST USED"}});
  const int64_t now = unix_ms(SystemClock().wall());
  for (const Json& each : all) {
    table.add({text_of(each, "id"), text_of(each, "kind"), text_of(each, "name"),
               ago(count_of(each, "created_ms"), now), ago(count_of(each, "last_used_ms"), now)});
  }
  if (table.empty()) {
    context.screen.say("lares: no app has a token of its own, and no page is paired\n");
    return 0;
  }
  TRY(context.screen.out(table.print(table_width(context))));
  return 0;
}

Result<int> run_add(Context& context, const Arguments& arguments) {
  TRY_AS(const Json given, ask(context.daemon, "POST", "/lares/v1/credentials",
                               {{"name", arguments.words().front()}}));
  if (arguments.has("--json")) return print_json(context, given);
  TRY(context.screen.out(plain_line(text_of(given, "token")) + "\n"));
  context.screen.say(cat("lares: it is shown this once; lares token revoke ", text_of(given, "id"),
                         " takes it back\n"));
  return 0;
}

Result<int> run_revoke(Context& context, const Arguments& arguments) {
  const std::string id = arguments.words().front();
  TRY_AS(const Json done,
         ask(context.daemon, "DELETE", cat("/lares/v1/credentials/", path_escaped(id))));
  if (arguments.has("--json")) return print_json(context, done);
  context.screen.say(cat("lares: ", plain_line(id), " may ask nothing from now on",
                         id == "owner" ? "; `lares token --show` prints the new one" : "", "\n"));
  return 0;
}

constexpr Verb kList{
    .name = "token list",
    .summary = "list the apps and pages that were given access",
    .more = "",
    .options = kOnlyJson,
    .words = {},
    .examples = kListExamples,
    .run = run_list,
};
constexpr Verb kAdd{
    .name = "token add",
    .summary = "give an app a token of its own",
    .more =
        "With it the app may use models, chat and embeddings, from any user of this computer and "
        "from browser "
        "extensions, and its requests carry its name in receipts.",
    .options = kOnlyJson,
    .words = kAddWords,
    .examples = kAddExamples,
    .run = run_add,
};
constexpr Verb kRevoke{
    .name = "token revoke",
    .summary = "take back an app's token, a page's session or the owner's token",
    .more = "",
    .options = kOnlyJson,
    .words = kRevokeWords,
    .examples = kRevokeExamples,
    .run = run_revoke,
};
const Registered<Verb> kListRegistered{kList};
const Registered<Verb> kAddRegistered{kAdd};
const Registered<Verb> kRevokeRegistered{kRevoke};

}  // namespace
}  // namespace lares::app
