// lares serve: the daemon in the foreground, in this process's place.
#include <vector>

#include "app/cli/verb.h"
#include "app/home.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    {"--budget", '\0', "SIZE", "the most that all models may hold in memory, as 3GiB"},
    {"--port", '\0', "N", "the port on 127.0.0.1 and [::1], instead of the one that is set"},
};
constexpr Word kWords[] = {
    {"OPTION", "after --: options of laresd, as `laresd --help` lists them", Word::Count::Many}};
constexpr Example kExamples[] = {
    {"lares serve", "Runs the daemon here, with its log on this terminal; Ctrl-C ends it."},
    {"lares serve --port 8080", "On another port, this once."},
    {"lares serve --budget 3GiB", "With no more than that for models, this once."},
    {"lares serve -- --log.level=debug", "Hands an option on to laresd."},
};

Result<int> run(Context& /*context*/, const Arguments& arguments) {
  TRY_AS(const std::optional<int64_t> port, arguments.integer("--port", 0, 65535));
  std::vector<std::string> words{programs().daemon.string()};
  if (arguments.has("--budget"))
    words.push_back(cat("--memory.budget=", arguments.value("--budget")));
  if (port) words.push_back(cat("--api.port=", *port));
  words.insert(words.end(), arguments.words().begin(), arguments.words().end());
  return become(std::move(words));
}

constexpr Verb kVerb{
    .name = "serve",
    .summary = "run the daemon in the foreground",
    .more =
        "For service managers, and to see its log. Every other verb starts it in the background "
        "when it is needed.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
