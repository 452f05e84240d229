// lares [PROMPT]: one question, one answer, streamed.
#include "app/cli/answer.h"
#include "app/cli/chat.h"
#include "app/cli/first_answer.h"
#include "app/cli/prompt.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "app/system_prompt.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kModel,       kSystem,
    kTemperature, kMaxTokens,
    kSeed,        kThoughts,
    kPriority,    {"--json", '\0', "", "print the whole answer as one JSON object"}};
constexpr Word kWords[] = {
    {"PROMPT", "the question; what comes through a pipe is added below it", Word::Count::Many}};
constexpr Example kExamples[] = {
    {"lares \"Why is the sky blue?\"",
     "Asks the default model and prints its answer as it is written."},
    {"git diff | lares \"explain this change\"",
     "Puts what comes through the pipe below the question."},
    {"lares < letter.txt", "With a pipe alone, the pipe is the question."},
    {"lares -m qwen2.5-1.5b \"Name three trees\"",
     "Asks a certain model; the beginning of its name is enough."},
    {"lares --priority background < report.txt > summary.txt",
     "Lets everything that somebody waits for go first."},
    {"lares --json \"Say hi\" | jq -r .choices[0].message.content",
     "Gives a program the whole answer, with its figures."},
    {"lares -- help me write a letter", "Asks a question that begins with the name of a verb."},
};

// --json: the API's answer as it is.
Result<int> whole_answer(Context& context, const Sampling& sampling, const Json& messages) {
  const InterruptsDaemon interrupts_daemon(context.daemon);
  auto answer = [&]() -> Result<Json> {
    const Waiting waiting(context.screen, "waiting for the answer");
    TRY_AS(const Sampling tuned, recommended(context.daemon, sampling));
    return ask(context.daemon, "POST", "/v1/chat/completions", chat_body(tuned, messages, false));
  }();
  if (interrupts_daemon.happened()) return row(Code::Cancelled).exit_status;
  if (!answer) return std::move(answer).error();
  TRY_AS(const int status, print_json(context, *answer));
  after_answer(context,
               {.model = text_of(*answer, "model"),
                .tokens_per_s = number_of(member_of(*answer, "timings"), "predicted_per_second")});
  return status;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const Sampling sampling, sampling_of(arguments));
  TRY(check_text("the system prompt", arguments.value("--system")));
  std::string piped;
  if (context.screen.in_is_piped()) {
    TRY_AS(piped, context.screen.read_all(kPromptMax));
  } else if (arguments.words().empty() && context.screen.is_terminal(Stream::In) &&
             !arguments.has("--json")) {
    return chat(context, arguments);
  }
  TRY_AS(const std::string prompt, join_prompt(arguments.words(), piped));
  const Json messages =
      opening(arguments.value("--system", system_prompt(SystemClock().wall())), prompt);
  if (arguments.has("--json")) return whole_answer(context, sampling, messages);

  TRY_AS(const Answer answer, stream_answer(context, sampling, messages));
  if (answer.stopped) return row(Code::Cancelled).exit_status;
  if (answer.reason == "length" && !sampling.tokens_max)
    context.screen.say(cat("lares: the answer was cut off after ",
                           counted(answer.completion_tokens, "token"),
                           ", where its context ends\n"));
  if (answer.reason == "repeats") context.screen.say(cat("lares: ", kRepeats, "\n"));
  after_answer(context, answer);
  return 0;
}

constexpr Verb kVerb{
    .name = "ask",
    .summary = "ask one question; without one, on a terminal, begin a conversation",
    .more =
        "The answer is written to standard output as it comes, without control characters. Ctrl-C "
        "ends it, and the model stops computing; while the model thinks before it answers, the "
        "first Ctrl-C ends that. Thoughts never go to standard output. The daemon is started when "
        "it does not run. The "
        "model that Lares brings is asked with its makers' temperature of 0.2 and top_p of 0.9; "
        "--temperature is used instead of both.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
