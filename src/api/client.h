// Client: one HTTP/1.1 connection to the daemon, over its Unix socket or over loopback with a
// token. For the command line and for tests; the daemon itself uses none.
//
// Blocking, one request at a time, one thread. interrupt() may be called from another thread or a
// signal handler. What a server sends is bounded like what a client sends: heads, whole bodies,
// event lines.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::api {

struct ClientLimits {
  milliseconds connect{2'000};
  milliseconds idle{0};  // without a byte of the answer: Timeout. 0: waits as long as it takes
  // Asked after each `idle` without a byte, whether to wait on. Not given: no.
  std::function<bool()> wait_on{};
  Bytes head = KiB(64);
  Bytes body = MiB(64);  // of a whole answer
};

class Client {
 public:
  struct Answer {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;                            // whole; empty where it went to on_bytes
  };
  using OnHead = std::function<void(const Answer& head)>;
  // The bytes of an answer as they come, without their chunking. False: that is enough; the
  // connection is closed, so that the daemon stops computing, and the request ends with Cancelled.
  using OnBytes = std::function<bool(std::string_view bytes)>;
  using Headers = std::map<std::string, std::string>;

  // To the daemon of a home. Offline: nobody listens there. Denied: the socket is another user's.
  static Result<Client> connect(const std::filesystem::path& socket, ClientLimits limits = {});
  // To 127.0.0.1 or ::1. `token` "": without one.
  static Result<Client> connect(const std::string& address, uint16_t port, std::string token,
                                ClientLimits limits = {});

  // A whole answer, whatever its status. Errors are those of the way: Offline (no connection, or it
  // was closed before an answer), Timeout, Cancelled (interrupt()), Corrupt (no HTTP), Io. After
  // one the connection is closed, and further requests are Offline.
  Result<Answer> request(std::string_view method, std::string_view path, std::string_view body = "",
                         const Headers& headers = {});
  // The same, but the body of an answer with status 2xx goes to on_bytes piece by piece, after
  // on_head. Other statuses come back whole, as from request().
  Result<Answer> stream(std::string_view method, std::string_view path, std::string_view body,
                        const OnHead& on_head, const OnBytes& on_bytes,
                        const Headers& headers = {});

  // Ends the request in progress. Any thread, and signal handlers.
  void interrupt();
  // False: the last answer was the connection's last.
  bool open() const { return static_cast<bool>(fd_); }

  Client(Client&&) noexcept = default;
  Client& operator=(Client&&) noexcept = default;
  ~Client() = default;

 private:
  Client(Fd fd, std::string host, std::string token, ClientLimits limits);
  Result<> send(std::string_view bytes);
  Result<size_t> receive();  // appends to in_; 0: the other end closed
  Result<> ready(short what, milliseconds time) const;

  Fd fd_;
  std::string host_;
  std::string token_;
  ClientLimits limits_;
  std::string in_;  // received, not yet used
  std::unique_ptr<std::atomic<int>>
      interrupted_;  // in a place of its own, so that a Client can move
};

// The error that an answer with status 400 or more stands for: its message, and the code of its
// name, else of its status.
Error error_of(const Client::Answer& answer);

// Server-sent events: hands on the data of each event as it becomes whole, without comments.
class EventLines {
 public:
  static constexpr Bytes kEventMax = MiB(4);
  // `on_data` false: that is enough. Corrupt: an event is longer than kEventMax.
  using OnData = std::function<bool(std::string_view data)>;
  // True: go on.
  Result<bool> feed(std::string_view bytes, const OnData& on_data);

 private:
  std::string line_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace lares::api
