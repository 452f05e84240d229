// Conversations, as the daemon serves them: stands before another Service (Core), answers the
// questions "conversations.*" and "key.*" (the key seals the store), and adds the answer to each
// piece of work that names a conversation to it when it ends. All else it passes on.
//
//   submit() --begin()--> inner.submit() --Delta*, kept every kKeepEvery--> Ended, on disk --> sink
//
// What the caller did wrong (a message that does not exist, a context too long) is told to the
// caller and not kept; an answer that was stopped is kept when it had begun to say something, and
// one that went wrong here is kept as failed. An answer that cannot be kept is good all the same:
// Ended says why.
//
// Not a judge of fields or rights (api), and no store (store/conversations.h).
//
// Threads: submit(), cancel() and ask() from any; the store is touched by the background thread
// alone; what is under way belongs to the run loop. Sinks and replies are called on the run loop.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "api/service.h"
#include "app/background.h"
#include "app/key_questions.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mutex.h"
#include "consent/keyring.h"
#include "store/conversations.h"

namespace lares::app {

class KeptConversations final : public api::Service {
 public:
  // How far the file may be behind an answer that is being written.
  static constexpr milliseconds kKeepEvery{700};

  // Opens the store in the background; until then, and when it cannot be opened, questions wait
  // and then hear why. While the key is locked that is Denied; key.unlock opens the store, and
  // key.lock closes it, unless answers are being kept: Busy. `keyring` belongs to `disk`'s thread.
  // The references must outlive it, and `disk` must be ended before it goes.
  KeptConversations(api::Service& inner, Loop& loop, Log& log, Background& disk,
                    consent::Keyring& keyring, std::filesystem::path config,
                    std::filesystem::path data);
  ~KeptConversations() override;

  api::WorkId submit(api::Work work, std::shared_ptr<api::Sink> sink) override;
  void cancel(api::WorkId work) override;
  void ask(const std::string& question, Json arguments, api::Reply reply) override;

  // Calls `done` on the loop when everything that was given to the background so far is on disk.
  void settle(std::function<void()> done);

 private:
  class Answer;
  // The last of our ids: the inner service counts from 1.
  static constexpr api::WorkId kFirstWork = api::WorkId{1} << 62;

  void open();
  void ask_key(KeyQuestion answer, const std::string& question, Json arguments, api::Reply reply);
  void after_key(const std::string& question);
  Result<store::Conversations*> opened();
  bool in_background(Task task);
  void begin(const std::shared_ptr<Answer>& answer);
  // False: not now.
  bool keep(const std::shared_ptr<Answer>& answer, std::string text);
  void finish(const std::shared_ptr<Answer>& answer, api::Ended ended);
  void tell_state(Result<> state);
  Json doctor_line() const;
  int64_t now_ms() const;

  api::Service& inner_;
  Loop& loop_;
  Log& log_;
  Background& disk_;
  consent::Keyring& keyring_;  // the background thread's
  const std::filesystem::path config_;
  const std::filesystem::path data_;
  std::atomic<api::WorkId> next_work_{kFirstWork};
  std::map<api::WorkId, std::shared_ptr<Answer>> answers_;  // loop thread

  // the background thread
  std::optional<Result<store::Conversations>> store_;

  mutable Mutex mutex_;
  Result<> state_ GUARDED_BY(mutex_) = Unit{};  // of the last that was written
  bool locked_ GUARDED_BY(mutex_) = false;      // and that is why it cannot be opened
};

}  // namespace lares::app
