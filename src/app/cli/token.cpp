// lares token: the owner's token, for programs that come over the network port.
#include "app/cli/plain_text.h"
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

}  // namespace
}  // namespace lares::app
