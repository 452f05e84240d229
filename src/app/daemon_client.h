// The daemon as a command sees it: one question, one answer, over the Unix socket of this home. The
// real one starts laresd when nobody answers there.
//
// Thread: one, the command's, but for doing(), stop_thinking() and interrupt().
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "api/client.h"
#include "app/home.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::app {

class Daemon {
 public:
  virtual ~Daemon() = default;

  struct Answer {
    int status = 0;
    std::string body;  // whole; empty where it went to OnBytes
  };
  // Called with the bytes of a good answer (status 2xx) as they come. False: that is enough; the
  // connection is closed, and the daemon stops computing.
  using OnBytes = std::function<bool(std::string_view)>;

  // One exchange; a daemon is started first when none runs, and the next one when that one is about
  // to end (but not to end it: POST /lares/v1/stop). Errors are those of the way there (Io,
  // Timeout, what the daemon said as it ended); an error that the daemon answers is an Answer.
  virtual Result<Answer> request(std::string_view method, std::string_view path,
                                 std::string_view body, const OnBytes& on_bytes = {}) = 0;
  // Whether a daemon answers now. Starts none.
  virtual bool running() = 0;
  // What request() waits for now, in words: "loading smollm2-135m-instruct". Any thread.
  virtual std::string doing() = 0;
  // The answer with this id, which is being streamed, is to go on without more thoughts; where that
  // cannot be said, they go on. Any thread.
  virtual void stop_thinking(const std::string& answer) = 0;
  // What laresd finds on this machine without serving, as GET /lares/v1/doctor answers it: for when
  // no daemon starts. Takes seconds.
  virtual Result<Json> self_test() = 0;
  // Ends the exchange in progress, or the next one: it answers Cancelled. The command's thread, and
  // signal handlers on it.
  virtual void interrupt() = 0;
  // An interrupt that came too late is forgotten.
  virtual void rearm() = 0;
};

// A question whose answer is JSON: sends `body` unless it is null, and turns a status of 400 and
// more into the error that it stands for.
Result<Json> ask(Daemon& daemon, std::string_view method, std::string_view path,
                 const Json& body = nullptr);

// The error that an answer stands for, or that an event in the middle of a stream holds.
Error error_of(int status, const std::string& body);

// "a b/ü" as it stands in a path: "a%20b%2F%C3%BC".
std::string path_escaped(std::string_view text);

class DaemonClient final : public Daemon {
 public:
  // Starting takes less than this, or it is an error.
  static constexpr milliseconds kStartMax{30'000};
  static constexpr milliseconds kStartPoll{2};
  static constexpr milliseconds kSelfTestMax{120'000};  // the CPU variants' probes among it
  // A log longer than this is set aside as laresd.log.old when a daemon is started.
  static constexpr Bytes kLogMax = MiB(4);

  DaemonClient(Home home, std::filesystem::path program);
  Result<Answer> request(std::string_view method, std::string_view path, std::string_view body,
                         const OnBytes& on_bytes = {}) override;
  bool running() override;
  std::string doing() override;
  void stop_thinking(const std::string& answer) override;
  Result<Json> self_test() override;
  void interrupt() override;
  void rearm() override { interrupted_ = false; }

  // Where a daemon that a command started writes its log.
  static std::filesystem::path log_file(const Home& home) { return home.cache / "laresd.log"; }

 private:
  // To the daemon of this home: at our own socket, else where the one that has the folder says that
  // it listens. Offline: nobody is at either.
  Result<api::Client> connect(const api::ClientLimits& limits = {}) const;
  Result<> start();
  Result<Answer> exchange(std::string_view method, std::string_view path, std::string_view body,
                          const OnBytes& on_bytes);
  bool answers() const;
  Error stuck_or(Error error) const;

  const Home home_;
  const std::filesystem::path program_;  // laresd
  std::atomic<bool> starting_ = false;
  std::atomic<bool> interrupted_ = false;
  std::atomic<api::Client*> current_ = nullptr;  // of the exchange in progress, for interrupt()
};

}  // namespace lares::app
