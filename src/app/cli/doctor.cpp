// lares doctor: what works on this machine, what does not, and the next step.
#include "app/cli/answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--failed", '\0', "", "only the lines that did not pass"},
};
constexpr Example kExamples[] = {
    {"lares doctor",
     "Looks at folders, models, engine, sandbox and devices; each line passes, fails, or is a "
     "remark."},
    {"lares doctor --failed", "Shows only what is not as it should be."},
};

enum class Verdict { Pass, Fail, Told };

Verdict verdict(const Json& check) {
  const Json& ok = member_of(check, "ok");
  if (!ok.is_boolean()) return Verdict::Told;
  return ok.get<bool>() ? Verdict::Pass : Verdict::Fail;
}

// "  pass  name: detail" and below it the next step, where there is one.
std::string line_of(const Context& context, const Json& check, size_t width) {
  std::string word;
  switch (verdict(check)) {
    case Verdict::Pass: word = shaded(context.screen, Stream::Out, Shade::Green, "pass"); break;
    case Verdict::Fail: word = shaded(context.screen, Stream::Out, Shade::Red, "FAIL"); break;
    case Verdict::Told: word = shaded(context.screen, Stream::Out, Shade::Dim, "   -"); break;
  }
  const std::string detail = plain_line(text_of(check, "detail"));
  const std::string text =
      plain_line(text_of(check, "check")) + (detail.empty() ? "" : ": " + detail);
  std::string out = cat("  ", word, "  ", wrapped(text, width, 8), "\n");
  if (const std::string next = plain_line(text_of(check, "next")); !next.empty())
    out += cat("        ", wrapped("next: " + next, width, 8), "\n");
  return out;
}

// The checks when no daemon answers: that, and what laresd finds without serving. A daemon that
// does not start is what a doctor is called for.
Json without_daemon(Context& context, const Error& trouble) {
  const auto fails = [](const char* check, const Error& error, const std::string& next) -> Json {
    return {{"check", check}, {"ok", false}, {"detail", error.message}, {"next", next}};
  };
  Json checks = Json::array();
  checks.push_back(fails("daemon", trouble,
                         cat("what it needs is looked at below; its log is ",
                             DaemonClient::log_file(context.home).string(),
                             ", and `lares serve` shows what it says")));
  const Waiting waiting(context.screen, "looking at this machine without a daemon");
  auto found = context.daemon.self_test();
  if (!found) {
    checks.push_back(fails("self-test", found.error(), ""));
  } else if (found->is_array()) {
    for (Json& check : *found) checks.push_back(std::move(check));
  }
  return checks;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto answer = [&] {
    const Waiting waiting(context.screen, "looking at this machine");
    return ask(context.daemon, "GET", "/lares/v1/doctor");
  }();
  const Json checks = answer ? *answer : without_daemon(context, answer.error());
  size_t passed = 0;
  size_t failed = 0;
  for (const Json& check : checks) {
    if (verdict(check) == Verdict::Pass) passed++;
    if (verdict(check) == Verdict::Fail) failed++;
  }
  const int status = !answer ? row(answer.error().code).exit_status : failed == 0 ? 0 : 1;
  if (arguments.has("--json")) {
    TRY(print_json(context, checks));
    return status;
  }
  const size_t width = table_width(context) == 0 ? SIZE_MAX : table_width(context);
  std::string out;
  for (const Json& check : checks) {
    if (!arguments.has("--failed") || verdict(check) == Verdict::Fail)
      out += line_of(context, check, width);
  }
  out += cat(counted(passed, "check"), " passed, ", failed, " failed\n");
  TRY(context.screen.out(out));
  return status;
}

constexpr Verb kVerb{
    .name = "doctor",
    .summary = "check this machine and say what to do about what is wrong",
    .more = "Exits with 0 when no check failed, else with 1. A line with - only tells.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
