// lares models pull: fetch a model, with how far it is.
#include <poll.h>

#include <filesystem>

#include "app/cli/answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "app/pull_files.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--name", '\0', "NAME", "what to call it, instead of as its source does"},
    {"--sha256", '\0', "DIGEST",
     "what its file must be; takes one that was changed at its source since it was pulled first"},
    {"--detach", '\0', "", "begin it and return; it goes on in the daemon"},
    {"--cancel", '\0', "",
     "end the pull of SOURCE, remove what was fetched, and take it off the list"},
    {"--list", '\0', "", "list the models on their way, those that came and those that did not"},
};
constexpr Word kWords[] = {
    {"SOURCE",
     "hf:OWNER/REPO[:QUANTIZATION], ollama:NAME[:TAG], https://..., a file or a "
     "folder; or a name of the catalogue",
     Word::Count::Maybe, "file"}};
constexpr Example kExamples[] = {
    {"lares models pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M",
     "Fetches this quantization from Hugging Face."},
    {"lares models pull ollama:llama3.2:1b --name llama",
     "Fetches from the Ollama registry, under a name of yours."},
    {"lares models pull --list", "Shows what is on its way."},
};

constexpr int kLookEveryMs = 250;
constexpr int kLinesEveryMs = 10'000;  // where there is no terminal
constexpr size_t kBarWidth = 24;

bool is_over(const std::string& state) {
  return state == "done" || state == "failed" || state == "cancelled";
}

// "fetching      [######------------------]  25 %  244 MiB of 976 MiB  11 MiB/s  1 min 7 s left"
std::string progress_line(const Json& pull) {
  const std::string state = text_of(pull, "state");
  const uint64_t done = count_of(pull, "bytes_done");
  const uint64_t total = count_of(pull, "bytes_total");
  std::string line = state;
  line.resize(std::max<size_t>(line.size(), 10), ' ');
  if (total > 0 && (state == "fetching" || state == "waiting")) {
    const size_t full = static_cast<size_t>(kBarWidth * std::min(done, total) / total);
    std::string percent = cat(done * 100 / total);
    percent.insert(0, 3 - std::min<size_t>(percent.size(), 3), ' ');
    line += cat(" [", std::string(full, '#'), std::string(kBarWidth - full, '-'), "] ", percent,
                " %  ", Bytes{done}, " of ", Bytes{total});
  }
  if (const uint64_t rate = count_of(pull, "bytes_per_s"); rate > 0)
    line += cat("  ", Bytes{rate}, "/s");
  if (pull.contains("eta_s")) line += cat("  ", seconds_words(count_of(pull, "eta_s")), " left");
  const std::string why = text_of(member_of(pull, "error"), "message");
  if (!why.empty()) line += cat("  ", why);
  return plain_line(line);
}

// Keeps one line of standard error up to date; plain lines where it is no terminal.
class Bar {
 public:
  explicit Bar(Screen& screen) : screen_(screen), terminal_(screen.is_terminal(Stream::Err)) {}
  ~Bar() {
    if (drawn_) screen_.say("\r\x1b[K");
  }
  void show(const Json& pull) {
    const std::string line = progress_line(pull);
    if (terminal_) {
      const size_t room = screen_.width() > 1 ? screen_.width() - 1 : 1;
      screen_.say(cat("\r", columns(line) > room ? cut(line, room) : line, "\x1b[K"));
      drawn_ = true;
    } else if (passed_ms_ == 0 || passed_ms_ >= kLinesEveryMs || text_of(pull, "state") != state_) {
      screen_.say(cat("lares: ", line, "\n"));
      passed_ms_ = 0;
    }
    state_ = text_of(pull, "state");
    passed_ms_ += kLookEveryMs;
  }

 private:
  static std::string cut(std::string line, size_t room) {
    while (columns(line) > room) {
      line.pop_back();
      line.resize(line.size() - utf8_tail(line));
    }
    return line;
  }
  Screen& screen_;
  bool terminal_;
  bool drawn_ = false;
  int passed_ms_ = 0;
  std::string state_;
};

Error error_of_pull(const Json& pull) {
  const Json& error = member_of(pull, "error");
  const CodeRow* known = row_named(text_of(error, "code"));
  return {known ? known->code : Code::Io, text_of(error, "message")};
}

// What lies there of pulls while no daemon runs, as it would list them.
Json kept_without_daemon(const Home& home) {
  Json pulls = Json::array();
  for (const std::filesystem::path& folder : kept_pulls(home.models())) {
    const auto order = read_order(folder);
    if (!order) continue;  // the daemon's log says so
    const bool failed = flag_of(*order, "failed");
    Json why = {{"message", "no daemon runs; it goes on by itself when one does"},
                {"code", row(Code::Offline).name}};
    if (failed) why = member_of(*order, "why");
    if (flag_of(*order, "paused"))
      why = {{"message", kStopped}, {"code", row(Code::Cancelled).name}};
    pulls.push_back({{"id", folder.filename().string()},
                     {"source", text_of(*order, "source")},
                     {"model", text_of(*order, "model")},
                     {"state", failed ? "failed" : "waiting"},
                     {"bytes_done", count_of(*order, "done_bytes")},
                     {"bytes_total", count_of(*order, "size_bytes")},
                     {"error", std::move(why)}});
  }
  return pulls;
}

Result<int> list_pulls(Context& context, bool json) {
  Json pulls = kept_without_daemon(context.home);
  if (context.daemon.running()) {
    TRY_AS(pulls, ask(context.daemon, "GET", "/lares/v1/pulls"));
  }
  if (json) return print_json(context, pulls);
  if (pulls.empty()) {
    context.screen.say("lares: no model is on its way\n");
    return 0;
  }
  Table table({{"SOURCE", Table::Side::Left, true},
               {"STATE"},
               {"DONE", Table::Side::Right},
               {"OF", Table::Side::Right},
               {"RATE", Table::Side::Right},
               {"LEFT", Table::Side::Right},
               {"WHY", Table::Side::Left, true}});
  for (const Json& pull : pulls) {
    const uint64_t rate = count_of(pull, "bytes_per_s");
    table.add({text_of(pull, "source"), text_of(pull, "state"), size_of(pull, "bytes_done"),
               size_of(pull, "bytes_total"), rate > 0 ? cat(Bytes{rate}, "/s") : "",
               pull.contains("eta_s") ? seconds_words(count_of(pull, "eta_s")) : "",
               text_of(member_of(pull, "error"), "message")});
  }
  TRY(context.screen.out(table.print(table_width(context))));
  return 0;
}

// A path that is there becomes the whole path that the daemon understands.
std::string source_meant(const std::string& written) {
  std::error_code failed;
  const bool path =
      written.starts_with('.') || written.starts_with('/') ||
      (written.find(':') == std::string::npos && std::filesystem::exists(written, failed));
  if (!path) return written;
  const auto absolute = std::filesystem::absolute(written, failed).lexically_normal();
  return failed ? written : absolute.string();
}

// The pull that was meant, rather one that is on its way than one that is over.
Result<Json> pull_meant(const Json& pulls, const std::string& source) {
  const Json* meant = nullptr;
  for (const Json& pull : pulls) {
    const std::string known = text_of(pull, "source");
    const bool matches = known == source || known == source + ":latest" ||
                         text_of(pull, "id") == source || text_of(pull, "model") == source;
    if (matches && (!meant || text_of(*meant, "state") == "done")) meant = &pull;
  }
  if (meant) return *meant;
  return Error{Code::NotFound, cat("cancelling '", source,
                                   "': it is not on its way; `lares models pull "
                                   "--list` shows what is")};
}

Result<int> cancel(Context& context, const std::string& source, bool json) {
  TRY_AS(const Json pulls, ask(context.daemon, "GET", "/lares/v1/pulls"));
  TRY_AS(const Json pull, pull_meant(pulls, source));
  TRY_AS(const Json ended,
         ask(context.daemon, "DELETE", cat("/lares/v1/pulls/", path_escaped(text_of(pull, "id")))));
  if (json) return print_json(context, ended);
  const std::string told =
      text_of(ended, "state") == "done"
          ? cat("took ", text_of(pull, "source"), " off the list; the model stays")
          : cat("cancelled the pull of ", text_of(pull, "source"), "; what was fetched is removed");
  TRY(context.screen.out(plain_line(told) + "\n"));
  return 0;
}

// Follows a pull to its end. Ctrl-C stops it, as people expect; the same command goes on.
Result<Json> follow(Context& context, Json pull) {
  const std::string path = cat("/lares/v1/pulls/", path_escaped(text_of(pull, "id")));
  const InterruptsDaemon interrupts(context.daemon);
  Bar bar(context.screen);
  while (!is_over(text_of(pull, "state"))) {
    bar.show(pull);
    static_cast<void>(::poll(nullptr, 0, kLookEveryMs) < 0);  // a signal wakes it
    auto next = interrupts.happened() ? Result<Json>(Error{Code::Cancelled, ""})
                                      : ask(context.daemon, "GET", path);
    if (!next && (interrupts.happened() || next.error().code == Code::Cancelled)) {
      context.daemon.rearm();
      TRY(ask(context.daemon, "POST", path + "/stop"));
      return Error{
          Code::Cancelled,
          cat("stopped; the same command goes on from there, and `lares models pull --cancel ",
              text_of(pull, "source"), "` removes what was fetched")};
    }
    if (!next && next.error().code == Code::NotFound) {  // from elsewhere, and it is gone
      pull["state"] = "cancelled";
      return pull;
    }
    if (!next) return next;
    pull = *std::move(next);
  }
  return pull;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const bool json = arguments.has("--json");
  if (arguments.has("--list")) return list_pulls(context, json);
  if (arguments.words().empty())
    return Error{Code::Invalid,
                 "reading the command line: name the SOURCE of a model; `lares models pull "
                 "--help` shows what it looks like"};
  const std::string source = source_meant(arguments.words().front());
  if (arguments.has("--cancel")) return cancel(context, source, json);
  Json order = {{"source", source}};
  for (const std::string field : {"name", "sha256"}) {
    if (arguments.has("--" + field)) order[field] = arguments.value("--" + field);
  }
  TRY_AS(Json pull, ask(context.daemon, "POST", "/lares/v1/pulls", order));
  if (!arguments.has("--detach")) {
    TRY_AS(pull, follow(context, std::move(pull)));
  }
  if (text_of(pull, "state") == "failed") return error_of_pull(pull);
  if (json) return print_json(context, pull);
  const std::string id = text_of(pull, "model");
  const std::string state = text_of(pull, "state");
  const std::string told = state == "done" ? cat("pulled ", id, " (", size_of(pull, "bytes_total"),
                                                 "); ask it with: lares -m ", id, " \"...\"")
                           : state == "cancelled"
                               ? cat("cancelled the pull of ", text_of(pull, "source"))
                               : cat("the daemon pulls ", text_of(pull, "source"),
                                     "; `lares models pull --list` shows how far it is");
  TRY(context.screen.out(plain_line(told) + "\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "models pull",
    .summary = "fetch a model, and go on with one that was interrupted",
    .more =
        "What comes is held against its digest before it is used; a source that gives another file "
        "than the first time is refused. Ctrl-C stops it; the same command goes on from there, "
        "after a crash or a reboot too, when the daemon goes on by itself. A file or a "
        "folder on "
        "this disk is used where it lies, as `lares models add` does.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
