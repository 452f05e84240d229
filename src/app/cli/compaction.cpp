#include "app/cli/compaction.h"

#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr std::string_view kTask =
    "You write summaries of conversations. Keep names, numbers, decisions, and what the user "
    "wants. Write short plain sentences, and nothing but the summary.";

// Of a text's tokens there are seldom fewer than this makes of it.
constexpr size_t kTokenBytesMost = 5;

std::string question_of(const std::string& before, std::string_view text) {
  std::string question;
  if (!before.empty()) question = cat("Summary of the earlier part:\n", before, "\n\n");
  return cat(question, "Conversation:\n", text, "\n\nSummarise all of this in at most 150 words.");
}

// The beginning of `text`, of about `size` bytes, cut between characters and rather between lines.
std::string_view piece_of(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  std::string_view piece = text.substr(0, size);
  if (const size_t line = piece.rfind('\n'); line != std::string_view::npos && line > size / 2)
    return piece.substr(0, line + 1);
  return piece.substr(0, piece.size() - utf8_tail(piece));
}

// Whether no summary makes room for that question, since it is too long for the model by itself.
bool too_long_alone(Daemon& daemon, const Sampling& sampling, const std::string& question) {
  const auto model = model_meant(daemon, sampling.model);
  const uint64_t context = model ? count_of(member_of(*model, "info"), "context") : 0;
  return context > 0 && question.size() / kTokenBytesMost > context;
}

}  // namespace

size_t turns_kept(size_t in_view) {
  if (in_view < 2) return 0;
  return in_view >= 5 ? 3 : 1;
}

Result<std::string> summary_of(Context& context, const Sampling& sampling, std::string before,
                               std::string_view text) {
  TRY_AS(Sampling tuned, recommended(context.daemon, sampling));
  tuned.tokens_max = kSummaryTokensMax;
  size_t size = std::max(text.size() / 2, kSummaryPieceMin);  // the whole did not fit
  for (size_t requests = 0; !text.empty(); requests++) {
    const std::string_view piece = piece_of(text, size);
    const Json messages = opening(std::string(kTask), question_of(before, piece));
    auto answer =
        requests < kSummaryRequestsMax
            ? ask(context.daemon, "POST", "/v1/chat/completions", chat_body(tuned, messages, false))
            : Result<Json>(Error{Code::TooLong,
                                 "summarising: the conversation is too long for "
                                 "this model; /new begins another"});
    if (!answer && answer.error().code == Code::TooLong && size > kSummaryPieceMin &&
        requests < kSummaryRequestsMax) {
      size = std::max(size / 2, kSummaryPieceMin);
      continue;
    }
    if (!answer) return std::move(answer).error();
    if (text_of(member_of(*answer, "lares"), "outcome") == "repeats")
      return Error{Code::Unsupported,
                   "summarising: the model only repeated itself; /new begins another "
                   "conversation"};
    const Json& choices = member_of(*answer, "choices");
    const std::string said =
        choices.is_array() && !choices.empty()
            ? std::string(trimmed(text_of(member_of(choices.front(), "message"), "content")))
            : "";
    if (said.empty())
      return Error{Code::Unsupported,
                   "summarising: the model wrote nothing; /new begins another "
                   "conversation"};
    before = said;
    text.remove_prefix(piece.size());
  }
  return before;
}

Result<bool> compact(Context& context, const Sampling& sampling, Transcript& transcript) {
  const std::vector<size_t> view = transcript.in_view();
  const size_t kept = turns_kept(view.size());
  if (kept == 0 || too_long_alone(context.daemon, sampling, transcript.turns()[view.back()].text))
    return false;
  const size_t covered = view.size() - kept;
  std::string text;
  for (size_t i = 0; i < covered; i++) {
    const Transcript::Turn& turn = transcript.turns()[view[i]];
    text += cat(turn.role == "user" ? "User: " : "Assistant: ", turn.text, "\n\n");
  }
  auto summary = [&]() -> Result<std::string> {
    const InterruptsDaemon interrupts_daemon(context.daemon);
    const Waiting waiting(context.screen, "the context is full: summarising what was said before");
    auto made = summary_of(context, sampling, transcript.summary(), text);
    if (interrupts_daemon.happened()) return Error{Code::Cancelled, "summarising: stopped"};
    return made;
  }();
  if (!summary) return std::move(summary).error();
  const auto added = transcript.summarise(view[covered - 1], *std::move(summary));
  context.screen.say(
      cat(shaded(context.screen, Stream::Err, Shade::Dim,
                 cat("the context was full: ", counted(covered, "earlier message"),
                     covered == 1 ? " is" : " are", " now a summary; /undo takes that back")),
          "\n"));
  TRY(added);
  return true;
}

}  // namespace lares::app
