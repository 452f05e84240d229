// lares version: of this program, and of the daemon when one runs.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Example kExamples[] = {
    {"lares version", "Prints it; the daemon's too where it differs."}};

Result<int> run(Context& context, const Arguments& arguments) {
  std::string daemon;
  if (!context.home.run.empty() && context.daemon.running()) {
    if (auto status = ask(context.daemon, "GET", "/lares/v1/status"))
      daemon = text_of(*status, "version");
  }
  if (arguments.has("--json"))
    return print_json(
        context, {{"version", LARES_VERSION}, {"daemon", daemon.empty() ? Json() : Json(daemon)}});
  TRY(context.screen.out("lares " LARES_VERSION "\n"));
  if (!daemon.empty() && daemon != LARES_VERSION)
    context.screen.say(
        plain(cat("lares: the daemon that runs is version ", daemon,
                  "; `lares stop` ends it, and the next question starts this one\n")));
  return 0;
}

constexpr Verb kVerb{
    .name = "version",
    .summary = "print the version",
    .more = "",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
    .needs_home = false,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
