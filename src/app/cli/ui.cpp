// lares ui: opens the page in the person's browser, paired with the daemon by a code that is good
// once.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/verb.h"
#include "app/home.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    {"--print", '\0', "", "print the page's address instead of opening a browser"},
    kJson,
};
constexpr Example kExamples[] = {
    {"lares ui", "Opens the page in your browser."},
    {"lares ui --print", "Prints its address, for a browser that is chosen by hand."},
};

bool has_desktop() {
  for (const char* name : {"WAYLAND_DISPLAY", "DISPLAY"}) {
    const char* value = std::getenv(name);
    if (value && *value) return true;
  }
  return false;
}

// Starts the desktop's opener, apart from this terminal. False: there is none.
bool open_in_browser(const std::string& url) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::vector<std::string> words = {"xdg-open", url};
  std::vector<char*> pointers = {words[0].data(), words[1].data(), nullptr};
  pid_t child = 0;
  const int why =
      ::posix_spawnp(&child, "xdg-open", &actions, &attributes, pointers.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return why == 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const Json status, ask(context.daemon, "GET", "/lares/v1/status"));
  if (!flag_of(status, "page")) {
    const std::filesystem::path clone = programs().clone;
    return Error{Code::NotFound,
                 cat("opening the page: this laresd was built without it; ",
                     clone.empty() ? std::string("install a build that has it")
                                   : cat("'", (clone / "lares").string(), "' ui builds it"))};
  }
  TRY_AS(const Json pairing, ask(context.daemon, "POST", "/lares/v1/pair", Json::object()));
  if (arguments.has("--json")) return print_json(context, pairing);
  const std::string url = text_of(pairing, "url");
  const uint64_t minutes = count_of(pairing, "expires_s") / 60;
  if (!arguments.has("--print") && has_desktop() && open_in_browser(url)) {
    context.screen.say(
        "lares: the page opens in your browser; `lares ui --print` prints its address\n");
    return 0;
  }
  TRY(context.screen.out(plain_line(url) + "\n"));
  context.screen.say(
      cat("lares: open this address in a browser on this computer, as the same user; it is good "
          "once, for ",
          minutes, " minutes\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "ui",
    .summary = "open the page in a browser",
    .more =
        "The address holds a code by which the page is paired with the daemon. A page that is "
        "paired stays "
        "so until it is not used for three months; `lares token list` shows it, and `lares token "
        "revoke` "
        "ends it.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
