#include "app/cli/thoughts.h"

#include <atomic>
#include <csignal>

#include "app/cli/screen.h"
#include "app/daemon_client.h"
#include "base/text.h"

namespace lares::app {
namespace {

enum class State { Over, Thinking, ToBeEnded };
std::atomic<State> state = State::Over;
static_assert(std::atomic<State>::is_always_lock_free, "a signal handler changes it");

constexpr milliseconds kLook{50};  // until a Ctrl-C is passed on

}  // namespace

bool Thoughts::take_interrupt() {
  State thinking = State::Thinking;
  return state.compare_exchange_strong(thinking, State::ToBeEnded);
}

Thoughts::Thoughts(Context& context, std::string answer, Shown shown)
    : context_(context),
      answer_(std::move(answer)),
      shown_(shown),
      person_(context.screen.is_terminal(Stream::Err)),
      began_(std::chrono::steady_clock::now()) {
  if (!person_) return;
  if (!answer_.empty()) state = State::Thinking;
  // signals go to the command's own thread, whose reads they interrupt
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Counts the seconds, and passes on that the person has waited long enough.
void Thoughts::watch(const std::stop_token& stop) {
  bool ended = false;
  int64_t second = -1;
  while (!stop.stop_requested()) {
    const int64_t now = ms_between(began_, std::chrono::steady_clock::now()) / 1000;
    if (shown_ == Shown::No && now != second) {
      second = now;
      const std::string line =
          cat("thinking … ", now, " s", ended || answer_.empty() ? "" : ", Ctrl-C ends that");
      context_.screen.say(cat("\r\x1b[K", shaded(context_.screen, Stream::Err, Shade::Dim, line)));
    }
    if (!ended && state == State::ToBeEnded) {
      ended = true;
      second = -1;
      context_.daemon.stop_thinking(answer_);
    }
    std::this_thread::sleep_for(kLook);
  }
}

void Thoughts::add(std::string_view thought) {
  if (shown_ == Shown::Yes) show(plain_.feed(thought));
}

void Thoughts::show(std::string_view text) {
  if (text.empty()) return;
  last_is_newline_ = text.back() == '\n';
  context_.screen.say(shaded(context_.screen, Stream::Err, Shade::Dim, text));
}

void Thoughts::over() {
  if (std::exchange(over_, true)) return;
  state = State::Over;
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
    if (shown_ == Shown::No) context_.screen.say("\r\x1b[K");
  }
  if (shown_ == Shown::No) return;
  show(plain_.end());
  context_.screen.say(last_is_newline_ ? "\n" : "\n\n");
}

}  // namespace lares::app
