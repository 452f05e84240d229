#include "app/conversations.h"

#include "app/conversation_questions.h"
#include "base/text.h"
#include "consent/keyring.h"

namespace lares::app {

// One answer that is to be kept, from submit() to its end. Loop thread, but for what is const.
class KeptConversations::Answer final : public api::Sink,
                                        public std::enable_shared_from_this<Answer> {
 public:
  Answer(KeptConversations& owner, api::WorkId own_id, api::Work asked,
         std::shared_ptr<api::Sink> told)
      : id(own_id), work(std::move(asked)), sink(std::move(told)), owner_(owner) {}

  void on(api::Event event) override {
    if (auto* ended = std::get_if<api::Ended>(&event)) {
      if (timer_) owner_.loop_.cancel(std::exchange(timer_, 0));
      return owner_.finish(shared_from_this(), std::move(*ended));
    }
    if (auto* started = std::get_if<api::Started>(&event)) {
      begun = true;
      model = started->model;
    } else if (auto* delta = std::get_if<api::Delta>(&event)) {
      keep_thoughts(*delta);
      text += delta->text;
      if (!timer_ && text.size() > kept_)
        timer_ = owner_.loop_.after(kKeepEvery, [self = shared_from_this()] { self->keep(); });
    }
    sink->on(std::move(event));
  }

  const api::WorkId id;
  api::Work work;  // moves on to the inner service
  const std::shared_ptr<api::Sink> sink;
  std::optional<api::WorkId> inner;
  bool cancelled = false;
  bool begun = false;
  std::string model;
  std::string text;
  // the background thread's
  store::Conversations::Answer place;
  bool gap =
      false;  // something could not be kept, so nothing after it is: what is cut has no holes

 private:
  // Thoughts are kept before the answer, between the tags by which they are known again.
  void keep_thoughts(const api::Delta& delta) {
    if (!delta.reasoning.empty()) {
      if (!std::exchange(thinks_, true)) text += "<think>";
      text += delta.reasoning;
    }
    if (thinks_ && !delta.text.empty()) {
      thinks_ = false;
      text += "</think>\n\n";
    }
  }
  void keep() {
    timer_ = 0;
    if (owner_.keep(shared_from_this(), text.substr(kept_))) kept_ = text.size();
  }
  KeptConversations& owner_;
  bool thinks_ = false;
  size_t kept_ = 0;
  Loop::TimerId timer_ = 0;
};

namespace {

// Whether the end of an answer belongs into its conversation: see the header.
bool belongs(const Result<>& result, bool begun, const std::string& text) {
  if (result) return true;
  if (result.error().code == Code::Cancelled) return !text.empty();
  return begun || row(result.error().code).http_status >= 500;
}

api::Ended ended_with(Error error) {
  api::Ended ended;
  ended.result = std::move(error);
  return ended;
}

Error busy() {
  return {Code::Busy, "more conversations are being written than can wait; retry in a few seconds"};
}

}  // namespace

KeptConversations::KeptConversations(api::Service& inner, Loop& loop, Log& log, Background& disk,
                                     consent::Keyring& keyring, std::filesystem::path config,
                                     std::filesystem::path data)
    : inner_(inner),
      loop_(loop),
      log_(log),
      disk_(disk),
      keyring_(keyring),
      config_(std::move(config)),
      data_(std::move(data)) {
  const bool posted = in_background([this] { open(); });
  assert(posted);
}

KeptConversations::~KeptConversations() = default;

int64_t KeptConversations::now_ms() const { return unix_ms(loop_.clock().wall()); }

bool KeptConversations::in_background(Task task) { return disk_.post(std::move(task)); }

// ---- the store, on the background thread

void KeptConversations::open() {
  auto opened = [&]() -> Result<store::Conversations::Opened> {
    TRY_AS(const consent::SecretBytes* const key, keyring_.key());
    return store::Conversations::open(data_, key->reveal());
  }();
  const bool locked = !opened && consent::key_is_locked(opened.error());
  {
    const MutexLock lock(mutex_);
    locked_ = locked;
  }
  if (locked) {
    log_.info("the conversations are locked");
    store_ = std::move(opened).error();
    return;
  }
  if (!opened) {
    log_.error("the conversations cannot be opened", {{"why", opened.error().message}});
    tell_state(opened.error());
    store_ = std::move(opened).error();
    return;
  }
  if (!opened->set_aside.empty()) {
    log_.error("the conversations could not be read; the damaged file was set aside",
               {{"file", opened->set_aside.filename().string()}});
  }
  if (opened->interrupted > 0)
    log_.info("answers that were cut were kept as far as they came",
              {{"answers", opened->interrupted}});
  if (!opened->conversations.writable()) {
    log_.warn("the conversations can only be read");
    tell_state(Error{Code::Denied, "they can be read, but their file is not to be written to"});
  }
  store_ = std::move(opened->conversations);
}

// Background: what becomes of the store behind an order about the key that was carried out.
void KeptConversations::after_key(const std::string& question) {
  if (question == "key.lock") {
    auto locked = keyring_.key();
    assert(!locked);
    store_ = std::move(locked).error();
    tell_state(Unit{});
    const MutexLock lock(mutex_);
    locked_ = true;
  } else if (!*store_ && !keyring_.is_locked()) {
    tell_state(Unit{});
    open();
  }
}

Result<store::Conversations*> KeptConversations::opened() {
  assert(store_);  // open() was the first task
  if (!*store_) return store_->error();
  return &**store_;
}

void KeptConversations::tell_state(Result<> state) {
  const MutexLock lock(mutex_);
  state_ = std::move(state);
}

// ---- questions

void KeptConversations::ask(const std::string& question, Json arguments, api::Reply reply) {
  if (question == "doctor") {
    return inner_.ask(question, std::move(arguments), [this, reply](Result<Json> lines) {
      if (lines && lines->is_array()) lines->push_back(doctor_line());
      reply(std::move(lines));
    });
  }
  if (const KeyQuestion key = key_question(question))
    return ask_key(key, question, std::move(arguments), std::move(reply));
  const ConversationQuestion answer = conversation_question(question);
  if (!answer) return inner_.ask(question, std::move(arguments), std::move(reply));
  const auto work = [this, answer, arguments = std::move(arguments), reply] {
    auto result = std::make_shared<Result<Json>>([&]() -> Result<Json> {
      TRY_AS(store::Conversations * store, opened());
      return answer.run(*store, arguments, now_ms());
    }());
    if (!*result && result->error().code == Code::NoRoom) {
      tell_state(result->error());
    } else if (*result && answer.writes) {
      tell_state(Unit{});
    }
    loop_.post_end([reply, result] { reply(std::move(*result)); });
  };
  if (!in_background(work)) loop_.post_end([reply] { reply(busy()); });
}

void KeptConversations::ask_key(KeyQuestion answer, const std::string& question, Json arguments,
                                api::Reply reply) {
  // one copy, in which what is secret is wiped
  const auto given = std::make_shared<Json>(std::move(arguments));
  const auto work = [this, answer, question, given, reply] {
    auto result = std::make_shared<Result<Json>>(answer(keyring_, config_, *given));
    if (*result) after_key(question);
    loop_.post_end([reply, result] { reply(std::move(*result)); });
  };
  loop_.post_end([this, question, work, reply] {
    if (question == "key.lock" && !answers_.empty())
      return reply(Error{Code::Busy, cat("locking the key: ", answers_.size(),
                                         answers_.size() == 1 ? " answer is" : " answers are",
                                         " being written into conversations; lock it when they "
                                         "have ended")});
    if (!in_background(work)) reply(busy());
  });
}

Json KeptConversations::doctor_line() const {
  const MutexLock lock(mutex_);
  Json line = {{"check", "conversations"},
               {"ok", static_cast<bool>(state_)},
               {"detail", "on disk, encrypted"},
               {"next", ""}};
  if (locked_) {
    line["ok"] = nullptr;
    line["detail"] =
        "on disk, encrypted, and locked: nothing is read or kept until the key is there";
    line["next"] = "lares key unlock";
    return line;
  }
  if (!state_) {
    line["detail"] = state_.error().message;
    line["next"] = state_.error().code == Code::NoRoom
                       ? "make room; what is there can be read, and nothing of it is lost"
                       : "answers are given all the same, but not kept";
  }
  return line;
}

// ---- answers

api::WorkId KeptConversations::submit(api::Work work, std::shared_ptr<api::Sink> sink) {
  if (work.conversation.empty()) return inner_.submit(std::move(work), std::move(sink));
  const api::WorkId id = next_work_++;
  const auto answer = std::make_shared<Answer>(*this, id, std::move(work), std::move(sink));
  loop_.post_end([this, answer] {
    answers_.emplace(answer->id, answer);
    if (in_background([this, answer] { begin(answer); })) return;
    answers_.erase(answer->id);
    answer->sink->on(ended_with(busy()));
  });
  return id;
}

// Background: finds the place and hands the work on. A prompt may have megabytes, so not on the
// loop.
void KeptConversations::begin(const std::shared_ptr<Answer>& answer) {
  const auto place = [&]() -> Result<store::Conversations::Answer> {
    TRY_AS(store::Conversations * store, opened());
    return store->begin(answer->work.who.id, answer->work.conversation, answer->work.parent,
                        now_ms());
  }();
  if (!place) {
    loop_.post_end([this, answer, error = place.error()] {
      if (answers_.erase(answer->id) > 0) answer->sink->on(ended_with(error));
    });
    return;
  }
  answer->place = *place;
  const api::WorkId inner = inner_.submit(std::move(answer->work), answer);
  loop_.post_end([this, answer, inner] {
    answer->inner = inner;
    if (answer->cancelled) inner_.cancel(inner);
  });
}

void KeptConversations::cancel(api::WorkId work) {
  if (work < kFirstWork) return inner_.cancel(work);
  loop_.post_end([this, work] {
    const auto found = answers_.find(work);
    if (found == answers_.end()) return;
    found->second->cancelled = true;
    if (found->second->inner) inner_.cancel(*found->second->inner);
  });
}

bool KeptConversations::keep(const std::shared_ptr<Answer>& answer, std::string text) {
  return in_background([this, answer, model = answer->model, text = std::move(text)] {
    if (answer->gap) return;
    const auto kept = [&]() -> Result<> {
      TRY_AS(store::Conversations * store, opened());
      return store->keep(answer->place, model, text);
    }();
    answer->gap = !kept;
    if (!kept && kept.error().code != Code::NotFound) tell_state(kept.error());
  });
}

void KeptConversations::finish(const std::shared_ptr<Answer>& answer, api::Ended ended) {
  answers_.erase(answer->id);
  const auto end = std::make_shared<api::Ended>(std::move(ended));
  const bool kept = belongs(end->result, answer->begun, answer->text);
  if (!kept) return answer->sink->on(std::move(*end));
  const auto tell = [answer, end] { answer->sink->on(std::move(*end)); };
  const bool taken = in_background([this, answer, end, tell] {
    store::Message whole;
    whole.text = answer->text;
    whole.model = end->receipt.model;
    whole.receipt = end->receipt.id;
    if (!end->result) {
      const Error& error = end->result.error();
      whole.state = error.code == Code::Cancelled ? store::MessageState::Stopped
                                                  : store::MessageState::Failed;
      if (whole.state == store::MessageState::Failed) whole.error = error.message;
    }
    const auto written = [&]() -> Result<store::Message> {
      TRY_AS(store::Conversations * store, opened());
      return store->end(answer->place, std::move(whole), now_ms());
    }();
    if (written) {
      end->message = written->id;
      tell_state(Unit{});
    } else {
      end->not_kept = written.error().message;
      if (written.error().code != Code::NotFound) {
        tell_state(written.error());
        log_.warn("an answer could not be kept", {{"why", written.error().message}});
      }
    }
    loop_.post_end(tell);
  });
  if (taken) return;
  end->not_kept = busy().message;
  tell();
}

void KeptConversations::settle(std::function<void()> done) {
  auto held = std::make_shared<std::function<void()>>(std::move(done));
  const bool posted = in_background([this, held] { loop_.post_end([held] { (*held)(); }); });
  if (!posted) (*held)();
}

}  // namespace lares::app
