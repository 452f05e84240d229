// HttpServer: the front door's sockets. Listens on the Unix socket and on both loopback addresses,
// reads requests under the limits of door.h, lets door.h decide, runs the route's handler and
// writes its answer.
//
// What it is not: a place for policy (door.h) or for answers (endpoints/). It speaks HTTP/1.1
// and 1.0 to local clients; no TLS, no HTTP/2, no WebSocket, nothing off loopback.
//
// Owner: laresd's main. Thread: one network thread of its own, on which handlers run; open(),
// stop() and figures() may be called from any other.
//
//            accept          head complete        admitted          body complete
//   (kernel) ──────> Idle/Head ──────────> admit() ─────────> Body ──────────────> Answer
//                       ^   │                 │ refused          │ over a limit       │
//                       │   └── time, eviction├──────────────────┘                    │
//                       │                     v                                       │ ended
//                       │                  Refuse ──> linger, closed                  │
//                       └────────────── keep-alive ───────────────────────────────────┘
//
// A client that closes or half-closes its connection while its answer is under way has left: over
// TCP the one cannot be told from the other, and work for nobody must stop at once. An answer that
// is complete already is still sent. Pipelined requests are answered one after the other, in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "api/door.h"
#include "api/endpoint.h"
#include "api/listen.h"
#include "api/service.h"
#include "base/log.h"
#include "base/result.h"
#include "consent/credentials.h"

namespace lares::api {

class HttpServer {
 public:
  struct Config {
    std::filesystem::path socket;  // of at most 107 bytes, in a folder that becomes 0700
    std::optional<uint16_t> port;  // of 127.0.0.1 and ::1; 0 chooses one; nothing: no TCP
    // Called with the port before any client gets through; an error of it is open()'s.
    std::function<Result<>(uint16_t port)> on_port{};
    std::vector<uint16_t> more_ports{};  // as `port`, under the same rules (Ollama's)
    Handed handed{};  // of a service manager; these are listened on instead of opening others
    consent::Credentials* credentials = nullptr;  // outlives the server
    Limits limits{};
    std::vector<const Endpoint*> routes{};  // empty: all that are registered
  };

  // Listens, and starts the network thread. `service` and `log` must outlive it.
  // Busy: another daemon serves this socket (its pid is in the message), or a port is taken (by
  // whom). A socket that a dead daemon left is replaced; anything else of that name is left alone:
  // Io.
  static Result<std::unique_ptr<HttpServer>> open(Config config, Service& service, Log& log);
  ~HttpServer();  // stop(0)
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;  // 0: no TCP

  // Takes no more connections and requests, lets answers under way end for up to `grace`, closes
  // the rest (their on_gone is called), and returns when the network thread has ended. Again: no
  // effect. Not from the network thread.
  void stop(milliseconds grace = kGrace);
  static constexpr milliseconds kGrace{5'000};

  // Takes no more connections; those that are open are served on. Who comes now waits in the
  // sockets of a service manager, if it has handed them, for the next daemon, and is refused by the
  // kernel otherwise. May be called from any thread.
  void accept_no_more();

  struct Figures {
    uint64_t connections = 0;  // open now
    uint64_t streams = 0;      // streamed answers under way now
    uint64_t requests = 0;     // admitted since the start
    uint64_t refusals = 0;     // requests and connections refused since the start
    uint64_t left = 0;         // clients that left before their answer's end, since the start
  };
  Figures figures() const;

  struct Impl;  // http.cpp's

 private:
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lares::api
