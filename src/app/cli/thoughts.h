// Thoughts: what the person sees of a model that thinks before it answers. On a terminal one line
// counts the seconds, and the first Ctrl-C ends the thinking instead of the answer; with --thoughts
// the thoughts themselves are shown, dim. All of it goes to standard error: what is read from
// standard output is the answer alone. One at a time. Thread: the command's; the line has its own.
#pragma once

#include <string>
#include <string_view>
#include <thread>

#include "app/cli/plain_text.h"
#include "app/cli/verb.h"
#include "base/clock.h"

namespace lares::app {

class Thoughts {
 public:
  enum class Shown { No, Yes };

  // Thinking has begun, of the answer with this id ("" where it is not known).
  Thoughts(Context& context, std::string answer, Shown shown);
  ~Thoughts() { over(); }
  Thoughts(const Thoughts&) = delete;
  Thoughts& operator=(const Thoughts&) = delete;

  void add(std::string_view thought);
  void over();  // the answer begins, or has ended; no effect the second time

  // Ctrl-C was pressed: whether that was for the thoughts. For a signal handler.
  static bool take_interrupt();

 private:
  void watch(const std::stop_token& stop);
  void show(std::string_view text);

  Context& context_;
  const std::string answer_;
  const Shown shown_;
  const bool person_;  // somebody who sees standard error, and may press Ctrl-C
  const SteadyTime began_;
  PlainText plain_;
  bool last_is_newline_ = true;
  bool over_ = false;
  std::jthread thread_;
};

}  // namespace lares::app
