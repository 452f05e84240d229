// Chat: a conversation on the terminal. The whole conversation goes with every turn; the daemon
// reuses what it has computed of it already. Thread: the command's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "app/cli/answer.h"
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

// [{system}, {user}]; an empty system prompt is left out.
Json opening(const std::string& system, const std::string& prompt);

// The conversation until /quit, Ctrl-D or the end of the pipe.
class Conversation {
 public:
  // A message longer than this is refused; longer than any context here.
  static constexpr size_t kMessageMax = MiB(3).n;
  Conversation(Context& context, Lines& lines, Sampling sampling, std::string system);
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
  Json messages() const;
  void note(std::string_view text);  // what Lares itself says, dim

  Context& context_;
  Lines& lines_;
  Sampling sampling_;
  std::string system_;
  Json turns_ = Json::array();  // user and assistant by turns; the last may be an unanswered user's
  Error last_error_{Code::Invalid, ""};
  int status_ = 0;
};

// `lares chat`, and `lares` alone.
Result<int> chat(Context& context, const Arguments& arguments);

}  // namespace lares::app
