// lares why: what became of a request, in sentences.
#include <ctime>

#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--list", '\0', "", "the newest requests, one a line, instead of one of them"},
};
constexpr Word kWords[] = {
    {"ID", "of a request, as r-...; without it, the newest", Word::Count::Maybe}};
constexpr Example kExamples[] = {
    {"lares why", "Explains the newest answer: where it ran, why, and how long each part took."},
    {"lares why --list", "Lists the newest requests with their IDs."},
    {"lares why r-0123456789abcdef", "Explains a certain one."},
};

std::string when(uint64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm local{};
  localtime_r(&seconds, &local);
  char buffer[32];
  const size_t length = std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &local);
  return {buffer, length};
}

std::string ms_words(const Json& receipt, std::string_view member) {
  return duration_words(static_cast<int64_t>(count_of(receipt, member)));
}

std::string outcome_words(const Json& receipt) {
  const std::string outcome = text_of(receipt, "outcome");
  if (outcome == "stop") return "the model ended it";
  if (outcome == "repeats") return "ended, since it said one thing over and over again";
  if (outcome == "length") return "cut off at the most tokens that it could have";
  if (outcome == "embedded") return "turned into vectors";
  const std::string error = text_of(receipt, "error");
  return error.empty() ? outcome : cat(outcome, ": ", error);
}

// What a model measured; nothing where none came to work.
void add_figures(Facts& facts, const Json& receipt) {
  const bool said = count_of(receipt, "ttft_ms") > 0 || text_of(receipt, "error").empty();
  facts.add("first text", cat(said ? cat("after ", ms_words(receipt, "ttft_ms")) : "none came",
                              "; the whole took ", ms_words(receipt, "total_ms"),
                              count_of(receipt, "cpu_ms") > 0
                                  ? cat(" and ", ms_words(receipt, "cpu_ms"), " of CPU time")
                                  : ""));
  const uint64_t prompt = count_of(receipt, "prompt_tokens");
  const uint64_t reused = count_of(receipt, "prompt_tokens_reused");
  const double prefill = number_of(receipt, "prefill_tokens_per_s");
  // of one that was ended before, how much of its prompt was read is not known
  facts.add(said ? "read" : "prompt",
            cat(counted(prompt, "token"),
                reused > 0 ? cat(", ", reused, " of them known from before") : "",
                prefill > 0 ? cat(", at ", rate_words(prefill), " tokens/s") : ""));
  const double decode = number_of(receipt, "decode_tokens_per_s");
  facts.add("wrote", cat(counted(count_of(receipt, "completion_tokens"), "token"),
                         decode > 0 ? cat(", at ", rate_words(decode), " tokens/s") : ""));
  const uint64_t drafted = count_of(receipt, "drafted_tokens");
  facts.add("drafted", drafted > 0 ? cat(counted(drafted, "token"), " ahead, of which ",
                                         count_of(receipt, "accepted_tokens"), " came")
                                   : "");
}

std::string explained(const Json& receipt) {
  Facts facts;
  facts.add("request", text_of(receipt, "id"));
  facts.add("when", when(count_of(receipt, "started_unix_ms")));
  facts.add("asked by",
            cat(text_of(receipt, "principal"), ", through ", text_of(receipt, "endpoint")));
  facts.add("answered by", text_of(receipt, "model"));
  const uint64_t left = count_of(receipt, "bytes_left_device");
  const std::string place = text_of(receipt, "place");
  facts.add("where", cat(place == "local" ? "on this machine" : place, "; ",
                         left == 0 ? "nothing left it" : cat(Bytes{left}, " left it")));
  facts.add("outcome", outcome_words(receipt));
  facts.add("waited", cat(ms_words(receipt, "queue_ms"), " in the queue, ",
                          ms_words(receipt, "load_ms"), " for the model to load"));
  if (count_of(receipt, "prompt_tokens") > 0) add_figures(facts, receipt);
  std::string out = facts.print();
  const Json& why = member_of(receipt, "why");
  if (why.is_array() && !why.empty()) {
    out += "because\n";
    for (const Json& reason : why) {
      if (reason.is_string()) out += cat("  - ", plain_line(reason.get<std::string>()), "\n");
    }
  }
  return out;
}

Result<int> run(Context& context, const Arguments& arguments) {
  if (arguments.has("--list")) {
    TRY_AS(const Json receipts, ask(context.daemon, "GET", "/lares/v1/receipts"));
    if (arguments.has("--json")) return print_json(context, receipts);
    Table table({{"ID"},
                 {"WHEN"},
                 {"MODEL", Table::Side::Left, true},
                 {"OUTCOME"},
                 {"READ", Table::Side::Right},
                 {"WROTE", Table::Side::Right},
                 {"FIRST TEXT", Table::Side::Right},
                 {"TOOK", Table::Side::Right}});
    for (const Json& receipt : receipts) {
      table.add({text_of(receipt, "id"), when(count_of(receipt, "started_unix_ms")),
                 text_of(receipt, "model"), text_of(receipt, "outcome"),
                 cat(count_of(receipt, "prompt_tokens")),
                 cat(count_of(receipt, "completion_tokens")), ms_words(receipt, "ttft_ms"),
                 ms_words(receipt, "total_ms")});
    }
    if (table.empty()) {
      context.screen.say("lares: nothing has been asked yet\n");
    } else {
      TRY(context.screen.out(table.print(table_width(context))));
    }
    return 0;
  }
  const auto& words = arguments.words();
  // a question that begins with "why" and forgot its quotes
  if (!words.empty() && !words.front().starts_with("r-") &&
      !words.front().starts_with("chatcmpl-") && !words.front().starts_with("cmpl-")) {
    return Error{Code::Invalid,
                 cat("looking for request '", words.front(),
                     "': an ID begins with r-; `lares why --list` shows them; a question "
                     "is put in quotes: lares \"why ",
                     words.front(), "\"")};
  }
  std::string path = "/lares/v1/why";
  if (!words.empty()) {
    // an answer's own id holds the receipt's
    const std::string& id = words.front();
    const size_t dash = id.find('-');
    path += "/" + path_escaped(id.starts_with("r-") ? id : "r-" + id.substr(dash + 1));
  }
  TRY_AS(const Json receipt, ask(context.daemon, "GET", path));
  if (arguments.has("--json")) return print_json(context, receipt);
  TRY(context.screen.out(explained(receipt)));
  return 0;
}

constexpr Verb kVerb{
    .name = "why",
    .summary = "explain what became of a request: where it ran and why",
    .more = "Receipts hold no text of questions or answers.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
