// Answer: one chat answer, streamed to the screen as it comes. Takes the API's events apart, keeps
// the person informed while nothing comes, and stops cleanly on Ctrl-C. Thread: the command's; the
// waiting notice has its own for as long as it waits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "app/cli/verb.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/lane.h"

namespace lares::app {

// Tells the person, after a second without a sign, what is being waited for, and wipes that away
// when the answer begins. Says nothing where standard error is no terminal.
class Waiting {
 public:
  static constexpr milliseconds kPatience{1'000};
  // `what` is called on a thread of its own.
  Waiting(Screen& screen, std::function<std::string()> what);
  Waiting(Screen& screen, std::string what);
  ~Waiting() { over(); }
  void over();  // no effect the second time

 private:
  void wait(const std::stop_token& stop);
  Screen& screen_;
  const std::function<std::string()> what_;
  bool shown_ = false;
  std::jthread thread_;
};

// While one lives, Ctrl-C interrupts the daemon's exchange instead of ending the program. One at a
// time.
class InterruptsDaemon {
 public:
  explicit InterruptsDaemon(Daemon& daemon);
  ~InterruptsDaemon();
  InterruptsDaemon(const InterruptsDaemon&) = delete;
  bool happened() const;
};

// What a chat request holds beside its messages.
struct Sampling {
  std::string model;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> tokens_max;
  std::optional<int64_t> seed;
  std::optional<Lane> lane;  // whoever reads along asks without one
  bool thoughts = false;     // are shown to the person; the request is the same
};
// The options of asking and of chat.
inline constexpr Option kModel{"--model", 'm', "MODEL",
                               "which model answers; `lares models list` names them", "model"};
inline constexpr Option kSystem{"--system", 's', "TEXT",
                                "the system prompt, in place of Lares's own; \"\" for none"};
inline constexpr Option kTemperature{
    "--temperature", '\0', "T", "how freely words are chosen, from 0 (always the likeliest) to 2"};
inline constexpr Option kMaxTokens{"--max-tokens", '\0', "N", "end the answer after N tokens"};
inline constexpr Option kSeed{"--seed", '\0', "N",
                              "the same seed and question give the same answer, as far as can be"};
inline constexpr Option kThoughts{"--thoughts", '\0', "",
                                  "show what the model thinks before it answers"};
inline constexpr Option kPriority{
    "--priority", '\0', "LANE",
    "who waits: interactive, agent, or background (computed when nobody waits for the machine)"};
Result<Sampling> sampling_of(const Arguments& arguments);

// The model that a question to `wanted` would be answered by, as GET /lares/v1/models lists it;
// null where none fits.
Result<Json> model_meant(Daemon& daemon, std::string_view wanted);

// With what the makers of the model that would answer recommend for it, when the person chose no
// temperature. Our own chats (never the API) ask so. Asks the daemon which model that is.
Result<Sampling> recommended(Daemon& daemon, Sampling sampling);

// The body for /v1/chat/completions.
Json chat_body(const Sampling& sampling, const Json& messages, bool stream);
// [{system}, {user}]; an empty system prompt is left out.
Json opening(const std::string& system, const std::string& prompt);

inline constexpr std::string_view kRepeats =
    "the model said one thing over and over again, so it was ended there";

struct Answer {
  std::string text;  // as the model wrote it
  std::string id;    // of the receipt
  std::string model;
  std::string reason;  // "stop", "length", "repeats"
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  double tokens_per_s = 0;  // while the answer was written; 0: not known
  std::string message;      // under which the daemon keeps it; "" where it does not
  std::string not_kept;     // why, although it was to
  bool stopped = false;     // by Ctrl-C: the text is what came until then
};

// Asks, and writes the answer to standard output as it comes, made harmless, its last line ended;
// what is thought before it as thoughts.h says.
// `place`: the request's object "lares", which says where the answer is kept; or null. Without one,
// a question whose daemon ends before the first word is asked of the next.
Result<Answer> stream_answer(Context& context, const Sampling& sampling, const Json& messages,
                             const Json& place = nullptr);

}  // namespace lares::app
