// Compaction: a summary of the older turns of a conversation whose context is full, made by the
// model that it is held with. Thread: the command's.
#pragma once

#include <string>

#include "app/cli/answer.h"
#include "app/cli/transcript.h"
#include "app/cli/verb.h"

namespace lares::app {

inline constexpr int64_t kSummaryTokensMax = 256;
inline constexpr size_t kSummaryRequestsMax = 24;  // then it is given up: TooLong
// A piece of text that is no longer than this and still too long for the model is given up.
inline constexpr size_t kSummaryPieceMin = 256;

// Of the turns that are in view, how many stand as they are when the others become a summary: the
// question, and the exchange before it where there is more. 0: there is nothing to summarise.
size_t turns_kept(size_t in_view);

// Asks the model for one of `text`, in pieces that fit it; `before` is the summary so far, "" for
// none. TooLong when not even a small piece fits.
Result<std::string> summary_of(Context& context, const Sampling& sampling, std::string before,
                               std::string_view text);

// Replaces the older turns in view by a summary, and says so in one line. False: there are none, or
// the question that waits for its answer is too long for the model by itself.
Result<bool> compact(Context& context, const Sampling& sampling, Transcript& transcript);

}  // namespace lares::app
