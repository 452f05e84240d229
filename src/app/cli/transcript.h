// Transcript: the branch of a conversation that `lares chat` is on, from its first message to its
// last, and where the daemon keeps it (/lares/v1/conversations), so that it can be gone on with
// here and on the page. What cannot be kept is said once, and the conversation goes on without.
//
// A summary in it stands for all before it up to the message that it covers; what the model is
// asked is made from that (messages()), what people see never loses anything. Thread: the
// command's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/daemon_client.h"
#include "base/json.h"
#include "base/result.h"

namespace lares::app {

class Transcript {
 public:
  enum class Keep : uint8_t { InDaemon, Nowhere };
  struct Turn {
    std::string id;    // the daemon's; "" while it is not known
    std::string role;  // "system", "user", "assistant", "summary"
    std::string text;
    std::string covers = "";  // of a summary: an id
  };

  Transcript(Daemon& daemon, Keep keep) : daemon_(daemon), keep_(keep) {}

  // Goes on with the one that is meant: by its id, the beginning of one, or words of it; "" is the
  // newest. NotFound when there is none.
  Result<> go_on(const std::string& which);
  // Forgets this one here (the daemon keeps it); the next question begins another.
  void begin_again();

  // Adds a question; one without an answer is replaced. The error: why it could not be kept, with
  // which keeping ends.
  Result<> ask(const std::string& question, const std::string& system);
  // The object "lares" of the request that answers the last question.
  Json place() const;
  // Adds the answer. `id` "": it was stopped before the daemon said it.
  void answered(std::string text, std::string id);
  // Takes the last answer away, to ask again. False: there is no question.
  bool ask_again();

  // The messages for the model: the system prompt and what has been said since the last summary.
  Json messages(const std::string& system) const;
  // The turns that are in view of the model, as places in turns(); the last is the question.
  std::vector<size_t> in_view() const;
  // The summary in view, "" for none.
  std::string summary() const;
  // From now on `text` stands for all up to the turn at `last`. The error is ask()'s.
  Result<> summarise(size_t last, std::string text);
  // Takes the last summary back, with what was said after it. False: there is none.
  Result<bool> undo();

  Result<> set_model(const std::string& model);
  const std::vector<Turn>& turns() const { return turns_; }
  const std::string& title() const { return title_; }
  const std::string& model() const { return model_; }

 private:
  Result<Json> order(std::string_view method, std::string_view below, const Json& body);
  Result<> add(Turn turn);
  void learn_last_answer();
  std::string last_id() const;
  std::optional<size_t> last_summary() const;

  Daemon& daemon_;
  Keep keep_;
  std::string id_;  // "": nothing is kept yet
  std::string title_;
  std::string model_;
  std::string system_kept_;  // the system prompt that stands in it
  std::vector<Turn> turns_;
  uint64_t unkept_ = 0;  // ids given to what is kept nowhere
};

// One line of `lares chat --list` for each, newest first.
Result<Json> kept_conversations(Daemon& daemon, const std::string& words);
// The id of the one that is meant: see Transcript::go_on().
Result<std::string> conversation_meant(Daemon& daemon, const std::string& which);

}  // namespace lares::app
