// One pull as Pulls keeps it, and the way to the disk and back: shared by pulls.cpp, which takes
// orders, and pulls_steps.cpp, which carries them out. On the run loop.
#pragma once

#include "app/pull_files.h"
#include "app/pulls.h"
#include "base/json.h"

namespace lares::app {

inline std::string text_in_order(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
inline uint64_t count_in_order(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

// After a model's id, beside its file.
inline constexpr std::string_view kBesides = ".pulled.json";
// Which texts may lie beside a model, under which names.
inline constexpr std::pair<std::string_view, std::string_view> kTexts[] = {
    {"licence", ".licence.txt"},
    {"template", ".template.txt"},
    {"params", ".params.json"},
    {"system", ".system.txt"}};

// What a file must be, as far as it is known before it is here.
struct Pulls::Expected {
  std::string sha256;       // "": not known
  uint64_t size_bytes = 0;  // 0: not known
  std::string by;           // "was asked for": ends a sentence about the digest
  bool first_seen = false;  // known only from an earlier pull
};

struct Pulls::Pull {
  std::string id;
  PullSource source;
  std::string wanted_name;
  std::string sha256;  // that the person asked for; "": none
  std::string model;   // the id that it becomes; "": not known yet
  State state = State::Resolving;
  bool paused = false;  // by the person
  bool queued = false;  // waits for another pull to end
  bool ever_fetched = false;
  std::string boot;  // when it was fetched last
  int64_t begun_ms = 0;
  uint64_t done = 0, total = 0;
  std::string waiting;  // why nothing comes
  std::optional<Error> error;
  wire::Found found;
  std::string place;  // place_of() what was found
  Expected expected;
  std::string learned;  // the digest of what came
  uint64_t run = 0;     // counts the beginnings: an answer to an earlier one is not heard
  int tries = 0;        // in a row that brought nothing
  uint64_t done_before = 0;
  bool hashing = false;
  std::unique_ptr<host::Worker> worker;
  Loop::TimerId retry = 0;
  SteadyTime kept{};                                 // when it was saved last
  std::deque<std::pair<SteadyTime, uint64_t>> seen;  // bytes done, for the rate

  bool active() const {
    return state != State::Done && state != State::Failed && state != State::Cancelled &&
           state != State::Waiting;
  }
};

template <class T>
void Pulls::on_disk(Pull& pull, std::function<Result<T>()> work,
                    std::function<void(Pull&, Result<T>)> then) {
  auto answer = [this, id = pull.id, run = pull.run,
                 then = std::move(then)](std::shared_ptr<Result<T>> result) {
    Pull* still = find(id);
    if (stopping_ || !still || still->run != run) return;
    then(*still, std::move(*result));
  };
  const bool taken = disk_.post([this, work = std::move(work), answer] {
    auto result = std::make_shared<Result<T>>(work());
    loop_.post_end([answer, result] { answer(result); });
  });
  if (!taken)
    lost(pull, Error{Code::Busy, "the daemon has more to do with its disk than it can queue"});
}

}  // namespace lares::app
