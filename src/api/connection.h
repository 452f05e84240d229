// Connection: one client of the HTTP server, from its first byte to its last, and what the server's
// network thread owns (HttpServer::Impl), which each of them uses. Only http.cpp and connection.cpp
// take this in.
//
// Thread: the network thread.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "api/exchange.h"
#include "api/http.h"
#include "api/listen.h"

namespace lares::api {

namespace asio = boost::asio;
using asio::awaitable;
using Socket = asio::generic::stream_protocol::socket;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

inline constexpr size_t kReadOnce = 65'536;

class Connection;

// Everything of the server that the network thread owns.
struct HttpServer::Impl {
  Impl(Config given, Service& asked, Log& told)
      : config(std::move(given)),
        limits(config.limits),
        routes(config.routes.empty() ? Registered<Endpoint>::all() : config.routes),
        service(asked),
        log(told),
        work(io.get_executor()),
        grace(io) {}

  void listen(Fd fd, int family);
  awaitable<void> accept(std::shared_ptr<Acceptor> acceptor);
  void enter(Fd fd);
  bool make_room(const Caller& caller);
  void turn_away(Fd fd);
  void close_doors();
  void begin_stop(milliseconds time);
  void end_answers(const std::string& credential);
  void ended();
  bool guessing();  // counts a wrong token; true when there were too many lately

  const Config config;
  const Limits& limits;
  const Routes routes;
  Service& service;
  Log& log;
  UnixListener listener;
  uint16_t port = 0;
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer grace;
  std::vector<std::shared_ptr<Acceptor>> acceptors;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::deque<SteadyTime> wrong_tokens;
  std::array<char, kReadOnce> scratch{};
  size_t bodies_held = 0;
  bool stopping = false;
  std::atomic<uint64_t> connection_count = 0;
  std::atomic<uint64_t> stream_count = 0;
  std::atomic<uint64_t> request_count = 0;
  std::atomic<uint64_t> refusal_count = 0;
  std::atomic<uint64_t> left_count = 0;
  std::thread thread;
};

enum class Phase { Idle, Head, Body, Answer, Refuse };

// Coroutines take references to what their caller's frame holds: GCC 12 loses parameters of class
// type that are passed by value.
//
// Serves one client. A single coroutine, serve(), that waits for one thing only, the bell;
// readability, writability, the deadline, an answer's bytes and the end of the server ring it and
// leave a flag.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(HttpServer::Impl& server, Socket socket, Caller found)
      : caller(found),
        since(std::chrono::steady_clock::now()),
        server_(server),
        socket_(std::move(socket)),
        bell_(server.io, SteadyTime::max()),
        timer_(server.io) {}

  static awaitable<void> serve(std::shared_ptr<Connection> self);
  static awaitable<void> turn_away(std::shared_ptr<Connection> self);
  void wake() {
    rung_ = true;
    bell_.cancel();
  }
  void close(const std::exception_ptr& thrown);
  void drop() {  // ends it, whatever it does
    dropped_ = true;
    wake();
  }
  // Its place is another's: it counts no more, and is told so where it has begun a request.
  void give_place() {
    phase = Phase::Refuse;
    displaced_ = true;
    wake();
  }
  // By which credential the request that is served was admitted; "" for what apps may not ask.
  const std::string& answers() const { return answers_; }
  // Of another user, and no token seen: counts among the few that strangers may have.
  bool stranger() const { return !caller.same_user() && !authenticated_; }

  const Caller caller;
  Phase phase = Phase::Idle;
  SteadyTime since;  // the beginning of the phase

 private:
  void enter(Phase next) {
    phase = next;
    since = std::chrono::steady_clock::now();
  }
  awaitable<void> wait();
  void due_in(milliseconds time);
  void due_never() {
    timed_out_ = false;
    deadline_ = SteadyTime::max();
  }
  void arm();
  void read_soon(size_t room);
  awaitable<bool> send(std::string_view bytes);
  bool client_left() const {
    return dropped_ || failed_ || (eof_ && !(exchange_ && exchange_->ended()));
  }

  awaitable<std::optional<Head>> read_head(bool first);
  awaitable<bool> read_body(Admitted& admitted, std::string_view head);
  awaitable<bool> answer(Admitted& admitted);
  awaitable<bool> send_answer(const Admitted& admitted, bool keep_alive);
  Refusal no_room() const;
  awaitable<void> refuse(const Refusal& refusal);
  awaitable<bool> tell(const Refusal& refusal, bool keep_alive);
  awaitable<void> linger();
  void log_answer(const Admitted& admitted, std::string_view end) const;

  HttpServer::Impl& server_;
  Socket socket_;
  asio::steady_timer bell_;
  asio::steady_timer timer_;
  SteadyTime deadline_ = SteadyTime::max();
  SteadyTime armed_for_ = SteadyTime::max();
  std::shared_ptr<Exchange> exchange_;
  std::string answers_;
  std::string in_;    // read, not yet used
  std::string head_;  // of the request being served, as it came
  uint64_t bytes_out_ = 0;
  int status_ = 0;
  bool rung_ = false;
  bool reading_ = false;
  bool awaiting_room_ = false;  // to write
  bool eof_ = false;
  bool failed_ = false;
  bool timed_out_ = false;
  bool displaced_ = false;
  bool dropped_ = false;
  bool authenticated_ = false;
};

}  // namespace lares::api
