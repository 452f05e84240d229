#include "app/cli/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr size_t kWidthMin = 40;  // narrower than this, lines are left to the terminal to break
constexpr size_t kWidthMax = 400;
constexpr int kNoticeMs = 1'000;  // silence on a pipe before the person is told what is waited for

int number(Stream stream) {
  switch (stream) {
    case Stream::In: return STDIN_FILENO;
    case Stream::Out: return STDOUT_FILENO;
    case Stream::Err: return STDERR_FILENO;
  }
  return STDERR_FILENO;
}

}  // namespace

Result<> SystemScreen::write(Stream stream, std::string_view bytes) {
  const int fd = number(stream);
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put >= 0) {
      bytes.remove_prefix(static_cast<size_t>(put));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // another program made our terminal non-blocking
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    if (errno == EPIPE) {  // only where somebody ignores SIGPIPE for us
      std::signal(SIGPIPE, SIG_DFL);
      std::raise(SIGPIPE);
    }
    return system_error(stream == Stream::Out ? "writing to standard output" : "writing", errno);
  }
  return Unit{};
}

Result<std::string> SystemScreen::read_all(Bytes max) {
  std::string content;
  std::array<char, 65536> block{};
  pollfd ready{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, kNoticeMs) == 0)
    say("lares: reading standard input until its end; with none, add </dev/null\n");
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      ::poll(&ready, 1, -1);
      continue;
    }
    if (got < 0 && errno == EISDIR)
      return Error{Code::Invalid,
                   "reading standard input: it is a folder; name a file in it, as in: lares "
                   "\"...\" < FILE"};
    if (got < 0) return system_error("reading standard input", errno);
    if (got == 0) return content;
    content.append(block.data(), static_cast<size_t>(got));
    if (content.size() > max.n)
      return Error{Code::Invalid,
                   cat("reading standard input: it is longer than ", max,
                       ", the most that one question takes; ask about a part of it")};
  }
}

namespace {

constexpr size_t kHiddenMax = 4'096;

// A terminal that shows nothing and hands over each key, Ctrl-C among them, so that no signal can
// leave it so.
class Hidden {
 public:
  Hidden() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG | IEXTEN);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
  }
  Hidden(const Hidden&) = delete;
  ~Hidden() {
    if (changed_) (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  explicit operator bool() const { return changed_; }

 private:
  termios before_{};
  bool changed_ = false;
};

// How many bytes its last character has.
size_t last_character(std::string_view text) {
  size_t size = text.empty() ? 0 : 1;
  while (size < text.size() &&
         (static_cast<unsigned char>(text[text.size() - size]) & 0xC0) == 0x80)
    size++;
  return size;
}

}  // namespace

Result<consent::SecretBytes> SystemScreen::read_hidden(std::string_view prompt) {
  constexpr char kCtrlC = 3;
  constexpr char kCtrlD = 4;
  constexpr char kCtrlU = 21;
  const Hidden hidden;
  if (!hidden)
    return Error{Code::Unsupported,
                 "this terminal cannot hide what is typed; use a pipe and --stdin"};
  say(prompt);
  consent::SecretBytes typed = consent::SecretBytes::of_size(kHiddenMax);
  size_t size = 0;
  for (;;) {
    char key = '\0';
    const ssize_t got = ::read(STDIN_FILENO, &key, 1);
    if (got < 0 && errno == EINTR) continue;
    const bool ended = got <= 0 || key == kCtrlC || (key == kCtrlD && size == 0);
    if (ended || key == '\n' || key == '\r') {
      say("\n");
      if (ended) return Error{Code::Cancelled, "nothing was typed to its end"};
      return std::move(typed).cut_to(size);
    }
    if (key == '\x7F' || key == '\b') {
      size -= last_character(typed.reveal().substr(0, size));
    } else if (key == kCtrlU) {
      size = 0;
    } else if (key != kCtrlD) {
      if (size == kHiddenMax)
        return Error{Code::Invalid, cat("more than ", kHiddenMax, " bytes were typed")};
      typed.data()[size++] = key;
    }
  }
}

bool SystemScreen::in_is_piped() const {
  struct stat info{};
  if (::fstat(STDIN_FILENO, &info) != 0) return false;
  // a folder too: reading it says that it is one
  return S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode) ||
         S_ISDIR(info.st_mode);
}

bool SystemScreen::is_terminal(Stream stream) const { return ::isatty(number(stream)) == 1; }

size_t SystemScreen::width() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return std::min<size_t>(kWidthMax, std::max<size_t>(kWidthMin, size.ws_col));
}

bool SystemScreen::colour(Stream stream) const {
  if (!is_terminal(stream)) return false;
  if (const char* no = std::getenv("NO_COLOR"); no != nullptr && *no != '\0') return false;
  const char* term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) != "dumb";
}

std::string shaded(const Screen& screen, Stream stream, Shade shade, std::string_view text) {
  if (!screen.colour(stream)) return std::string(text);
  const char* code = nullptr;
  switch (shade) {
    case Shade::Bold: code = "1"; break;
    case Shade::Dim: code = "2"; break;
    case Shade::Red: code = "31"; break;
    case Shade::Green: code = "32"; break;
    case Shade::Yellow: code = "33"; break;
  }
  return cat("\x1b[", code, "m", text, "\x1b[0m");
}

}  // namespace lares::app
