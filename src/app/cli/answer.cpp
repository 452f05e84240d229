#include "app/cli/answer.h"

#include <atomic>
#include <csignal>
#include <cstdint>

#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/thoughts.h"
#include "base/mutex.h"
#include "base/text.h"

namespace lares::app {

Waiting::Waiting(Screen& screen, std::string what)
    : Waiting(screen, [what = std::move(what)] { return what; }) {}

Waiting::Waiting(Screen& screen, std::function<std::string()> what)
    : screen_(screen), what_(std::move(what)) {
  if (!screen.is_terminal(Stream::Err)) return;
  // signals go to the command's own thread, whose reads they interrupt
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::jthread([this](const std::stop_token& stop) { wait(stop); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Waiting::wait(const std::stop_token& stop) {
  Mutex mutex;
  Condition woken;
  const std::stop_callback wake(stop, [&] {
    const MutexLock lock(mutex);
    woken.notify_all();
  });
  const auto rest_until = [&](SteadyTime until) {
    const MutexLock lock(mutex);
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < until)
      woken.wait_until(mutex, until);
  };
  const SteadyTime began = std::chrono::steady_clock::now();
  rest_until(began + kPatience);
  if (stop.stop_requested()) return;
  shown_ = true;
  do {
    const std::string what = plain_line(what_());
    if (stop.stop_requested()) break;
    const int64_t waited = ms_between(began, std::chrono::steady_clock::now());
    screen_.say(cat("\r\x1b[K", what, " … ", waited / 1000, " s"));
    rest_until(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  } while (!stop.stop_requested());
}

void Waiting::over() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  if (shown_) screen_.say("\r\x1b[K");
}

namespace {

std::atomic<Daemon*> interruptible = nullptr;
volatile std::sig_atomic_t interrupts = 0;
struct sigaction handler_before{};

void on_interrupt(int) {
  if (Thoughts::take_interrupt()) return;
  interrupts = 1;
  if (Daemon* daemon = interruptible.load()) daemon->interrupt();
}

}  // namespace

InterruptsDaemon::InterruptsDaemon(Daemon& daemon) {
  daemon.rearm();
  interrupts = 0;
  interruptible.store(&daemon);
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, &handler_before);
}

InterruptsDaemon::~InterruptsDaemon() {
  ::sigaction(SIGINT, &handler_before, nullptr);
  interruptible.store(nullptr);
}

bool InterruptsDaemon::happened() const { return interrupts != 0; }

Result<Sampling> sampling_of(const Arguments& arguments) {
  Sampling sampling;
  sampling.model = arguments.value("--model");
  TRY_AS(sampling.temperature, arguments.number("--temperature", 0, 2));
  TRY_AS(sampling.tokens_max, arguments.integer("--max-tokens", 1, 1'000'000));
  TRY_AS(sampling.seed, arguments.integer("--seed", INT64_MIN, INT64_MAX));
  sampling.thoughts = arguments.has("--thoughts");
  if (arguments.has("--priority")) {
    const std::string word = arguments.value("--priority");
    sampling.lane = lane_named(word);
    if (!sampling.lane)
      return Error{Code::Invalid, cat("reading the command line: --priority is '", word,
                                      "', but interactive, agent or background is wanted")};
  }
  return sampling;
}

Result<Json> model_meant(Daemon& daemon, std::string_view wanted_name) {
  TRY_AS(const Json models, ask(daemon, "GET", "/lares/v1/models"));
  const std::string wanted = lower(wanted_name);
  std::string id;
  Json meant;
  for (const Json& model : models) {
    const std::string name = text_of(model, "id");
    if (wanted.empty() || wanted == "default"
            ? flag_of(model, "default") && text_of(model, "use") == "chat"
            : name.starts_with(wanted) && id != wanted) {
      id = name;
      meant = model;
    }
  }
  return meant;
}

Result<Sampling> recommended(Daemon& daemon, Sampling sampling) {
  if (sampling.temperature) return sampling;
  TRY_AS(const Json model, model_meant(daemon, sampling.model));
  const Json& told = member_of(model, "sampling");
  if (told.contains("temperature")) sampling.temperature = number_of(told, "temperature");
  if (told.contains("top_p")) sampling.top_p = number_of(told, "top_p");
  return sampling;
}

Json opening(const std::string& system, const std::string& prompt) {
  Json messages = Json::array();
  if (!trimmed(system).empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  return messages;
}

Json chat_body(const Sampling& sampling, const Json& messages, bool stream) {
  Json body = {{"messages", messages}, {"stream", stream}};
  if (stream) body["stream_options"] = {{"include_usage", true}};
  body["model"] = sampling.model.empty() ? "default" : sampling.model;
  if (sampling.temperature) body["temperature"] = *sampling.temperature;
  if (sampling.top_p) body["top_p"] = *sampling.top_p;
  if (sampling.tokens_max) body["max_tokens"] = *sampling.tokens_max;
  if (sampling.seed) body["seed"] = *sampling.seed;
  if (sampling.lane) body["lares"]["priority"] = name(*sampling.lane);
  body["stop_repeating"] = true;
  return body;
}

namespace {

// One answer's events into its text.
class Listener {
 public:
  Listener(Context& context, Thoughts::Shown thoughts)
      : context_(context),
        screen_(context.screen),
        shown_(thoughts),
        waiting_(context.screen, [&daemon = context.daemon] { return daemon.doing(); }) {}

  // False: no more is wanted.
  bool bytes(std::string_view piece) {
    auto fed = events_.feed(piece, [&](std::string_view data) {
      event(data);
      return !failure_;
    });
    if (!fed && !failure_) failure_ = std::move(fed).error().within("reading the answer");
    return !failure_;
  }

  Result<Answer> end() {
    waiting_.over();
    thoughts_.reset();
    show(plain_.end());
    if (!last_is_newline_) show("\n");
    if (failure_) return *failure_;
    if (repeats_) answer_.reason = "repeats";
    return answer_;
  }
  bool complete() const { return complete_; }
  bool began() const { return thought_ || !answer_.text.empty(); }

 private:
  void event(std::string_view data) {
    if (failure_) return;
    if (data == "[DONE]") {
      complete_ = true;
      return;
    }
    auto json = parse_json(data);
    if (!json) {
      failure_ = std::move(json).error().within("reading the answer");
      return;
    }
    if (!member_of(*json, "error").is_null()) {
      failure_ = error_of(500, std::string(data));
      return;
    }
    if (const std::string id = text_of(*json, "id"); !id.empty()) id_ = id;
    if (const std::string model = text_of(*json, "model"); !model.empty()) answer_.model = model;
    if (const Json& lares = member_of(*json, "lares"); lares.is_object()) {
      answer_.id = text_of(lares, "id");
      answer_.message = text_of(lares, "message");
      answer_.not_kept = text_of(lares, "not_kept");
      repeats_ = repeats_ || text_of(lares, "outcome") == "repeats";
    }
    if (const Json& usage = member_of(*json, "usage"); usage.is_object()) {
      answer_.prompt_tokens = count_of(usage, "prompt_tokens");
      answer_.completion_tokens = count_of(usage, "completion_tokens");
    }
    if (const Json& timings = member_of(*json, "timings"); timings.is_object())
      answer_.tokens_per_s = number_of(timings, "predicted_per_second");
    const Json& choices = member_of(*json, "choices");
    if (!choices.is_array() || choices.empty()) return;
    const Json& choice = choices.front();
    if (const std::string reason = text_of(choice, "finish_reason"); !reason.empty())
      answer_.reason = reason;
    const Json& delta = member_of(choice, "delta");
    think(text_of(delta, "reasoning_content"));
    const std::string text = text_of(delta, "content");
    if (text.empty()) return;
    waiting_.over();
    thoughts_.reset();
    answer_.text += text;
    show(plain_.feed(text));
  }

  void think(const std::string& thought) {
    if (thought.empty()) return;
    waiting_.over();
    thought_ = true;
    if (!thoughts_) thoughts_.emplace(context_, id_, shown_);
    thoughts_->add(thought);
  }

  void show(std::string_view text) {
    if (text.empty()) return;
    last_is_newline_ = text.back() == '\n';
    if (auto written = screen_.out(text); !written && !failure_)
      failure_ = std::move(written).error();
  }

  Context& context_;
  Screen& screen_;
  const Thoughts::Shown shown_;
  Waiting waiting_;
  std::optional<Thoughts> thoughts_;  // while it thinks
  api::EventLines events_;
  PlainText plain_;
  Answer answer_;
  std::optional<Error> failure_;
  bool last_is_newline_ = true;
  bool complete_ = false;
  bool repeats_ = false;
  bool thought_ = false;
  std::string id_;  // as the stream has it
};

// One try at it; `began` says whether any of the answer was shown.
Result<Answer> stream_once(Context& context, const Sampling& sampling, const Json& messages,
                           const Json& place, bool& began) {
  const InterruptsDaemon interrupts_daemon(context.daemon);
  Listener listener(context, sampling.thoughts ? Thoughts::Shown::Yes : Thoughts::Shown::No);
  auto reply = [&]() -> Result<Daemon::Answer> {
    TRY_AS(const Sampling tuned, recommended(context.daemon, sampling));
    Json body = chat_body(tuned, messages, true);
    if (place.is_object()) body["lares"].update(place);
    return context.daemon.request("POST", "/v1/chat/completions", dump(body),
                                  [&](std::string_view bytes) { return listener.bytes(bytes); });
  }();
  auto answer = listener.end();
  began = listener.began();
  if (interrupts_daemon.happened()) {
    Answer stopped = answer ? *std::move(answer) : Answer{};
    stopped.stopped = true;
    return stopped;
  }
  if (!answer) return answer;
  if (!reply) return std::move(reply).error();
  if (reply->status >= 400) return error_of(reply->status, reply->body);
  if (!listener.complete())
    return Error{
        Code::Io,
        "reading the answer: it broke off before its end; `lares doctor` says how the daemon is"};
  return answer;
}

}  // namespace

Result<Answer> stream_answer(Context& context, const Sampling& sampling, const Json& messages,
                             const Json& place) {
  bool began = false;
  auto answer = stream_once(context, sampling, messages, place, began);
  const bool ended_early = !answer && answer.error().code == Code::Offline && !began;
  // a question that is kept may have been kept by the daemon that ended
  if (!ended_early || place.is_object()) return answer;
  return stream_once(context, sampling, messages, place, began);
}

}  // namespace lares::app
