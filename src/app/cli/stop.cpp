// lares stop: ends the daemon, and waits until it has ended.
#include <poll.h>

#include "app/cli/answer.h"
#include "app/cli/show.h"
#include "app/home.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr milliseconds kStopMax{15'000};  // longer than the daemon gives its workers
constexpr int kPollMs = 5;

constexpr Option kOptions[] = {kJson};
constexpr Example kExamples[] = {
    {"lares stop", "Ends the daemon and its workers; answers in progress are cancelled."}};

// Gone: its process is no more. The socket alone may be closed long before.
bool gone(Daemon& daemon, int64_t pid) {
  return pid == 0 ? !daemon.running() : !process_lives(pid);
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto holder = holder_of(context.home);
  const bool ran = holder || context.daemon.running();
  if (ran) {
    auto asked = ask(context.daemon, "POST", "/lares/v1/stop", Json::object());
    // no longer there to hear it: it ends already
    if (!asked && asked.error().code != Code::Offline) return std::move(asked).error();
    const int64_t pid = holder ? holder->pid : 0;
    const Waiting waiting(context.screen, "waiting for laresd to end");
    const SteadyTime begun = std::chrono::steady_clock::now();
    while (!gone(context.daemon, pid)) {
      if (ms_between(begun, std::chrono::steady_clock::now()) > kStopMax.count()) {
        return Error{Code::Timeout, cat("stopping laresd: process ", pid, " is still there after ",
                                        kStopMax.count() / 1000, " s; look at ",
                                        DaemonClient::log_file(context.home).string(),
                                        ", or end it with: kill ", pid)};
      }
      ::poll(nullptr, 0, kPollMs);
    }
  }
  if (arguments.has("--json")) return print_json(context, {{"ran", ran}});
  context.screen.say(ran ? "lares: the daemon has ended\n" : "lares: the daemon does not run\n");
  return 0;
}

constexpr Verb kVerb{
    .name = "stop",
    .summary = "end the daemon",
    .more = "",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
