// Where chat's lines come from. The door to libedit.
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <utility>

#include "app/cli/chat.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr int kHistoryMax = 1'000;  // lines, in memory

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) { interrupted = 1; }
sigset_t while_waiting;  // the signals that are held back while a key is waited for: not SIGINT

// libedit's own reader goes on after a signal; Ctrl-C must bring a fresh prompt. So bytes are read
// here.
int read_character(EditLine* /*editor*/, wchar_t* character) {
  std::mbstate_t state{};
  for (;;) {
    // the one place that lets Ctrl-C in: elsewhere it could come between a look and a wait
    pollfd ready{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (::ppoll(&ready, 1, nullptr, &while_waiting) < 0) {
      if (errno == EINTR && interrupted == 0) continue;  // the window changed its size
      return -1;
    }
    char byte = 0;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return -1;
    if (got == 0) return 0;
    const size_t length = std::mbrtowc(character, &byte, 1, &state);
    if (length == static_cast<size_t>(-2)) continue;  // more bytes make this character
    if (length == static_cast<size_t>(-1)) {
      state = {};
      *character = L'\uFFFD';
    }
    return 1;
  }
}

class TerminalLines final : public Lines {
 public:
  TerminalLines() {
    std::setlocale(LC_CTYPE, "");
    // in a plain C locale every letter but ASCII would be lost
    if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
    history_ = history_init();
    HistEvent event{};
    history(history_, &event, H_SETSIZE, kHistoryMax);
    history(history_, &event, H_SETUNIQUE, 1);
    editor_ = el_init("lares", stdin, stdout, stderr);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &TerminalLines::prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_GETCFN, &read_character);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    // For as long as the conversation lasts: one that comes a moment after an answer's end, when
    // there is nothing left to stop, must not end it.
    struct sigaction action{};
    action.sa_handler = on_interrupt;
    ::sigaction(SIGINT, &action, &before_);
  }
  ~TerminalLines() override {
    ::sigaction(SIGINT, &before_, nullptr);
    el_end(editor_);
    history_end(history_);
  }
  TerminalLines(const TerminalLines&) = delete;
  TerminalLines& operator=(const TerminalLines&) = delete;

  Got next(std::string_view prompt, std::string& line) override {
    prompt_ = prompt;
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &interrupt, &while_waiting);
    interrupted = 0;
    int count = 0;
    // before the prompt is shown: what is typed at it, Ctrl-D too, is a key from then on
    el_set(editor_, EL_PREP_TERM, 1);
    const char* got = el_gets(editor_, &count);
    ::pthread_sigmask(SIG_SETMASK, &while_waiting, nullptr);
    if (interrupted != 0) {
      el_set(editor_, EL_REFRESH);
      el_reset(editor_);
      if (::write(STDOUT_FILENO, "^C\n", 3) < 0) return Got::End;
      return Got::Interrupted;
    }
    if (got == nullptr || count <= 0) return Got::End;
    line.assign(got, static_cast<size_t>(count));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    if (!trimmed(line).empty()) {
      HistEvent event{};
      history(history_, &event, H_ENTER, line.c_str());
    }
    return Got::Line;
  }

 private:
  static char* prompt(EditLine* editor) {
    TerminalLines* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return self->prompt_.data();
  }

  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  struct sigaction before_{};
};

class PipeLines final : public Lines {
 public:
  Got next(std::string_view /*prompt*/, std::string& line) override {
    line.clear();
    for (;;) {
      if (const size_t end = held_.find('\n', looked_); end != std::string::npos) {
        line = held_.substr(0, end);
        held_.erase(0, end + 1);
        looked_ = 0;
        if (line.ends_with('\r')) line.pop_back();
        return Got::Line;
      }
      looked_ = held_.size();
      // a line without an end is given in pieces rather than gathered without bound
      if (held_.size() > Conversation::kMessageMax || (ended_ && !held_.empty())) {
        line = std::exchange(held_, {});
        looked_ = 0;
        return Got::Line;
      }
      if (ended_) return Got::End;
      char block[16'384];
      const ssize_t got = ::read(STDIN_FILENO, block, sizeof block);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        ended_ = true;
      } else {
        held_.append(block, static_cast<size_t>(got));
      }
    }
  }

 private:
  std::string held_;
  size_t looked_ = 0;  // so far there is no newline in held_
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Lines> lines_of_terminal() { return std::make_unique<TerminalLines>(); }
std::unique_ptr<Lines> lines_of_pipe() { return std::make_unique<PipeLines>(); }

}  // namespace lares::app
