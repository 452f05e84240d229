// Chat: a conversation on the terminal. The whole conversation goes with every turn; the daemon
// reuses what it has computed of it already, and keeps it (transcript.h). When it no longer fits
// the model, its older turns become a summary (compaction.h). Thread: the command's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "app/cli/answer.h"
#include "app/cli/transcript.h"
#include "app/cli/verb.h"
#include "base/json.h"

namespace lares::app {

// Where lines come from: a terminal with editing and history, or a pipe.
class Lines {
 public:
  enum class Got { Line, Interrupted, End };
  virtual ~Lines() = default;
  // The next line, without its end, into `line`. Interrupted: Ctrl-C at the prompt.
  virtual Got next(std::string_view prompt, std::string& line) = 0;
};
// With libedit, for a terminal; its history lives in memory only. Otherwise plain lines.
std::unique_ptr<Lines> lines_of_terminal();
std::unique_ptr<Lines> lines_of_pipe();

// The conversation until /quit, Ctrl-D or the end of the pipe.
class Conversation {
 public:
  // A message longer than this is refused; longer than any context here.
  static constexpr size_t kMessageMax = MiB(3).n;
  // Of one answer; then the context is full with the question alone.
  static constexpr int kCompactionsMax = 2;
  struct Start {
    Sampling sampling;
    std::string system;         // the prompt
    bool system_given = false;  // by the person, so it is kept with the conversation
    Transcript::Keep keep = Transcript::Keep::InDaemon;
  };
  Conversation(Context& context, Lines& lines, Start start);
  // Goes on with one that is kept: see Transcript::go_on().
  Result<> go_on(const std::string& which);
  Result<int> run();

 private:
  enum class Next { GoOn, Quit };
  Lines::Got read_message(std::string& message);
  Next obey(const std::string& command);
  void ask(const std::string& message);
  void answer();
  void set_model(const std::string& name);
  void set_system(const std::string& text);
  void save(const std::string& file);
  void retry();
  void undo();
  bool compacted();
  void say_not_kept(std::string_view why);
  void note(std::string_view text);  // what Lares itself says, dim

  Context& context_;
  Lines& lines_;
  Sampling sampling_;
  std::string system_;
  bool system_given_;
  Transcript transcript_;
  int status_ = 0;
};

// `lares chat`, and `lares` alone.
Result<int> chat(Context& context, const Arguments& arguments);

}  // namespace lares::app
