// Child: a worker's server in a process of its own, at the other end of a socket, for tests. Every
// wait has an end, so a hang is a failure and not a hang of the tests.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>

#include "base/file.h"
#include "engine/server.h"

namespace lares::engine::testing {

class Child {
 public:
  // `body` runs in the child with its end of the socket; what it returns is the exit status.
  explicit Child(const std::function<int(int control)>& body) {
    int ends[2];
    int log[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    EXPECT_EQ(::pipe(log), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      ::close(log[0]);
      ::dup2(log[1], STDERR_FILENO);
      ::signal(SIGPIPE, SIG_IGN);
      ::_exit(body(ends[1]));
    }
    ::close(ends[1]);
    ::close(log[1]);
    socket_ = Fd(ends[0]);
    log_ = Fd(log[0]);
  }
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(const wire::Frame& frame) { send_raw(wire::encode(frame)); }
  void send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void hang_up() { socket_.reset(); }

  // The next frame, Beats left out unless wanted; nullopt: the child closed, spoke rubbish, or
  // nothing came.
  std::optional<wire::Frame> next(std::chrono::milliseconds wait = std::chrono::seconds(20),
                                  bool beats = false) {
    const auto until = std::chrono::steady_clock::now() + wait;
    for (;;) {
      auto frame = decoder_.next();
      if (!frame) return std::nullopt;
      if (*frame) {
        if (!beats && (*frame)->type == static_cast<uint8_t>(wire::Type::Beat)) continue;
        return *std::move(frame);
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          until - std::chrono::steady_clock::now());
      pollfd waiting{socket_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
        return std::nullopt;
      }
      char bytes[16384];
      const ssize_t n = ::read(socket_.get(), bytes, sizeof bytes);
      if (n <= 0) return std::nullopt;
      decoder_.feed({bytes, static_cast<size_t>(n)});
    }
  }
  // The next frame of that type, whatever comes before.
  std::optional<wire::Frame> next_of(wire::Type type) {
    while (auto frame = next(std::chrono::seconds(20), type == wire::Type::Beat)) {
      if (frame->type == static_cast<uint8_t>(type)) return frame;
    }
    return std::nullopt;
  }

  // Waits for the end: the exit status, or minus the signal; nullopt: it lives on.
  std::optional<int> end(std::chrono::milliseconds wait = std::chrono::seconds(20)) {
    const auto until = std::chrono::steady_clock::now() + wait;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > until) return std::nullopt;
      ::usleep(1000);
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string log() {
    std::string text;
    char bytes[4096];
    pollfd waiting{log_.get(), POLLIN, 0};
    while (::poll(&waiting, 1, 100) > 0) {
      const ssize_t n = ::read(log_.get(), bytes, sizeof bytes);
      if (n <= 0) break;
      text.append(bytes, static_cast<size_t>(n));
    }
    return text;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  Fd socket_;
  Fd log_;
  wire::Decoder decoder_;
};

}  // namespace lares::engine::testing
