#include "api/http.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <ctime>
#include <deque>
#include <exception>
#include <thread>
#include <unordered_set>

#include "api/exchange.h"
#include "api/listen.h"
#include "base/file.h"
#include "base/text.h"

namespace lares::api {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::awaitable;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using std::chrono::steady_clock;

constexpr size_t kReadOnce = 65'536;
constexpr int kAcceptOnce = 64;    // then others get their turn
constexpr size_t kDoomedMax = 64;  // refused connections that are told so before they are closed
constexpr milliseconds kSettled{
    250};  // a connection that has waited longer, without a whole request, may have to go
constexpr milliseconds kNoDescriptors{100};  // how long to wait when the process has none left

// --- answers
// -----------------------------------------------------------------------------------------

// The value of a header as a client may see it: whatever a handler puts there stays in its line.
std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return out;
}

std::string date_now() {
  static thread_local std::time_t shown = 0;
  static thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != shown) {
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::array<char, 40> buffer{};
    std::strftime(buffer.data(), buffer.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    text = buffer.data();
    shown = now;
  }
  return text;
}

bool line_feed_alone(std::string_view text) {
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') return true;
  }
  return false;
}

enum class Framing { Length, Chunks, Close };

std::string head_of(const Start& start, Framing framing, size_t length, bool keep_alive) {
  std::string head = cat("HTTP/1.1 ", start.status, ' ', reason_phrase(start.status),
                         "\r\nDate: ", date_now(), "\r\n");
  const auto add = [&head](std::string_view name, std::string_view value) {
    head += cat(name, ": ", one_line(value), "\r\n");
  };
  if (!start.content_type.empty()) add("Content-Type", start.content_type);
  if (framing == Framing::Chunks) add("Transfer-Encoding", "chunked");
  if (framing == Framing::Length && start.status != 204 && start.status != 304)
    add("Content-Length", cat(length));
  if (!keep_alive) add("Connection", "close");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEvery{{
      {"Cache-Control", "no-store"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
  }};
  for (const auto& [name, value] : kEvery) {
    if (!start.headers.contains(std::string(name))) add(name, value);
  }
  for (const auto& [name, value] : start.headers) add(one_line(name), value);
  return head += "\r\n";
}

std::string chunk_of(std::string_view bytes) {
  std::array<char, 20> size{};
  const int digits = std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
  std::string chunk;
  chunk.reserve(static_cast<size_t>(digits) + bytes.size() + 2);
  chunk.append(size.data(), static_cast<size_t>(digits)).append(bytes).append("\r\n");
  return chunk;
}

// --- one connection
// ----------------------------------------------------------------------------------

enum class Phase { Idle, Head, Body, Answer, Refuse };

class Connection;

}  // namespace

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

namespace {

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
        since(steady_clock::now()),
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
    since = steady_clock::now();
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
  bool dropped_ = false;
  bool authenticated_ = false;
};

awaitable<void> Connection::wait() {
  while (!rung_) co_await bell_.async_wait(asio::as_tuple(asio::use_awaitable));
  rung_ = false;
}

void Connection::due_in(milliseconds time) {
  timed_out_ = false;
  deadline_ = steady_clock::now() + time;
  if (deadline_ < armed_for_) arm();
}

void Connection::arm() {
  armed_for_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->armed_for_ = SteadyTime::max();
    if (self->deadline_ == SteadyTime::max()) return;
    if (steady_clock::now() >= self->deadline_) {
      self->timed_out_ = true;
      self->deadline_ = SteadyTime::max();
      self->wake();
    } else {
      self->arm();
    }
  });
}

// Reads when something is there, until in_ holds `room` bytes. Nothing is held for a client that is
// silent.
void Connection::read_soon(size_t room) {
  if (reading_ || eof_ || failed_ || in_.size() >= room) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this(), room](error_code error) {
    self->reading_ = false;
    if (error) return;
    std::array<char, kReadOnce>& scratch = self->server_.scratch;
    const size_t most = std::min(scratch.size(), room - std::min(room, self->in_.size()));
    const ssize_t got = ::recv(self->socket_.native_handle(), scratch.data(), most, MSG_DONTWAIT);
    if (got > 0) {
      self->in_.append(scratch.data(), static_cast<size_t>(got));
    } else if (got == 0 && most > 0) {
      self->eof_ = true;
    } else if (got < 0 && errno != EAGAIN && errno != EINTR) {
      self->failed_ = true;
    }
    self->wake();
  });
}

// True when the kernel has all the bytes. False: the client is gone, or takes nothing for
// write_idle.
awaitable<bool> Connection::send(std::string_view bytes) {
  due_never();
  while (!bytes.empty()) {
    if (client_left() || timed_out_ || (exchange_ && exchange_->overflowed())) co_return false;
    const ssize_t put =
        ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
      bytes.remove_prefix(static_cast<size_t>(put));
      bytes_out_ += static_cast<uint64_t>(put);
      due_never();
      continue;
    }
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno != EAGAIN) {
      failed_ = true;
      co_return false;
    }
    if (deadline_ == SteadyTime::max()) due_in(server_.limits.write_idle);
    if (!awaiting_room_) {
      awaiting_room_ = true;
      socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code) {
        self->awaiting_room_ = false;
        self->wake();
      });
    }
    co_await wait();
  }
  due_never();
  co_return true;
}

awaitable<void> Connection::serve(std::shared_ptr<Connection> self) {
  for (bool first = true;; first = false) {
    auto head = co_await self->read_head(first);
    if (!head) break;
    const bool bodiless = head->count("content-length") + head->count("transfer-encoding") == 0;
    const bool asks_close = head->count("connection") > 0 || head->minor == 0;
    auto decided = admit(*std::move(head), self->caller, self->server_.routes,
                         *self->server_.config.credentials, self->server_.limits);
    if (auto* refusal = std::get_if<Refusal>(&decided)) {
      // a wrong path is no reason to part; anything else is
      const bool stay =
          bodiless && !asks_close && (refusal->status == 404 || refusal->status == 405);
      if (!stay) {
        co_await self->refuse(*refusal);
        break;
      }
      if (!co_await self->tell(*refusal, true)) break;
      continue;
    }
    auto& admitted = std::get<Admitted>(decided);
    self->authenticated_ =
        self->authenticated_ || admitted.request.who.right != consent::Right::None;
    self->server_.request_count++;
    // what only the owner may takes no time, and may be the very request that takes a session back
    if (admitted.endpoint->right == consent::Right::App)
      self->answers_ = admitted.request.who.credential;
    if (!co_await self->read_body(admitted, self->head_)) break;
    if (!co_await self->answer(admitted)) break;
  }
}

// After the coroutine's end. What it threw is no memory or a bug; one client's must not end the
// others'.
void Connection::close(const std::exception_ptr& thrown) {
  if (thrown) {
    std::string what = "unknown";
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& known) {
      what = known.what();
    } catch (...) {  // NOLINT(bugprone-empty-catch): said as unknown
    }
    server_.log.error("a connection was ended by an exception", {{"what", what}});
  }
  if (exchange_) {
    exchange_->leave();
    exchange_->detach();
    exchange_ = nullptr;
  }
  error_code ignored;
  // NOLINTNEXTLINE(bugprone-unused-return-value): nothing is left to do with it
  socket_.close(ignored);
  timer_.cancel();
}

// The next request's head, or nothing: the connection is over (and what there was to say is said).
awaitable<std::optional<Head>> Connection::read_head(bool first) {
  const Limits& limits = server_.limits;
  HeadSearch search;
  bool begun = false;
  head_.clear();
  enter(Phase::Idle);
  due_in(first ? limits.head_time : limits.keep_alive);
  for (;;) {
    // RFC 9112 2.2: an empty line before a request is a habit of old clients
    while (search.looked == 0 && in_.starts_with("\r\n")) in_.erase(0, 2);
    const bool line_end_may_follow = in_ == "\r";
    if (!in_.empty() && !begun && !line_end_may_follow) {
      begun = true;
      enter(Phase::Head);
      if (!first) due_in(limits.head_time);
    }
    if (!line_end_may_follow) {
      auto end = head_end(in_, search, limits);
      if (auto* refusal = std::get_if<Refusal>(&end)) {
        co_await refuse(*refusal);
        co_return std::nullopt;
      }
      if (const size_t size = std::get<size_t>(end)) {
        head_ = in_.substr(0, size);
        in_.erase(0, size);
        due_never();
        auto head = parse_head(head_);
        if (auto* refusal = std::get_if<Refusal>(&head)) {
          co_await refuse(*refusal);
          co_return std::nullopt;
        }
        co_return std::move(std::get<Head>(head));
      }
    }
    if (eof_ || failed_ || dropped_ || (server_.stopping && !begun)) co_return std::nullopt;
    if (timed_out_) {
      if (begun) {
        Refusal late{.status = 408,
                     .message = cat("reading the head: it did not come to its end in ",
                                    limits.head_time.count(), " ms; send it at once")};
        co_await refuse(late);
      }
      co_return std::nullopt;
    }
    read_soon(limits.head.n + 1);
    co_await wait();
  }
}

// Beast takes the head again and the body's encoding apart; the limits are counted here, on the
// bytes that come from the socket. False: the connection is over.
awaitable<bool> Connection::read_body(Admitted& admitted, std::string_view head) {
  const Limits& limits = server_.limits;
  enter(Phase::Body);
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  parser.header_limit(static_cast<uint32_t>(2 * limits.head.n));
  parser.body_limit(limits.body.n);
  error_code error;
  const size_t used = parser.put(asio::buffer(head), error);
  if (error == http::error::need_more) error = {};
  const bool chunked = admitted.body == BodyKind::Chunked;
  const uint64_t claimed = error ? 0 : parser.content_length().value_or(0);
  if (error || used != head.size() || !parser.is_header_done() || parser.chunked() != chunked ||
      claimed != (admitted.body == BodyKind::Counted ? admitted.body_length : 0)) {
    Refusal malformed{.status = 400,
                      .message = cat("reading the head: ",
                                     error ? error.message() : "it can be read in two ways"),
                      .shape = admitted.endpoint->shape};
    co_await refuse(malformed);
    co_return false;
  }

  struct Held {  // what this body takes of the room for all bodies
    ~Held() { total -= mine; }
    void grow_to(size_t size) {
      if (size <= mine) return;
      total += size - mine;
      mine = size;
    }
    size_t& total;
    size_t mine = 0;
  } held{server_.bodies_held};
  held.grow_to(admitted.body_length);

  if (admitted.expects_continue && in_.empty() && held.total <= limits.bodies.n &&
      !co_await send("HTTP/1.1 100 Continue\r\n\r\n"))
    co_return false;

  std::optional<Refusal> refusal;
  const SteadyTime latest = steady_clock::now() + limits.body_time;
  uint64_t wire_bytes = 0;
  while (!parser.is_done() && !refusal) {
    if (held.total > limits.bodies.n) {
      refusal = Refusal{.status = 429,
                        .message = cat("reading the body: ", limits.bodies,
                                       " of bodies are being read already; try again")};
      break;
    }
    size_t taken = 0;
    if (!in_.empty()) {
      taken = parser.put(asio::buffer(in_), error);
      in_.erase(0, taken);
      wire_bytes += taken;
      held.grow_to(parser.get().body().size());
    }
    if (error == http::error::need_more) error = {};
    // what is left untaken is the head of a chunk, or the fields behind the last: lines
    if (error == http::error::body_limit || wire_bytes > 2 * limits.body.n + limits.head.n) {
      refusal = Refusal{.status = 413,
                        .message = cat("reading the body: over ", limits.body,
                                       ", the most that a request may have")};
    } else if (error) {
      refusal = Refusal{.status = 400, .message = cat("reading the body: ", error.message())};
    } else if (taken == 0 && line_feed_alone(in_)) {
      refusal = Refusal{.status = 400,
                        .message = "reading the body: a line feed without its carriage return"};
    } else if (taken == 0 && in_.size() > limits.line.n) {
      refusal = Refusal{
          .status = 431,
          .message = cat("reading the body: the head of a chunk is longer than ", limits.line)};
    }
    if (parser.is_done() || refusal || taken > 0) continue;
    if (eof_ || failed_ || dropped_) co_return false;
    const SteadyTime now = steady_clock::now();
    if (timed_out_ || now >= latest) {
      refusal = Refusal{.status = 408,
                        .message = cat("reading the body: it stopped after ", wire_bytes,
                                       " bytes; send all of it")};
      break;
    }
    due_in(std::min(limits.body_idle, milliseconds(ms_between(now, latest) + 1)));
    read_soon(kReadOnce);
    co_await wait();
  }
  due_never();
  if (refusal) {
    refusal->shape = admitted.endpoint->shape;
    co_await refuse(*refusal);
    co_return false;
  }
  admitted.request.body = std::move(parser.get().body());
  co_return true;
}

// Runs the handler and sends what it answers. True: another request may follow.
awaitable<bool> Connection::answer(Admitted& admitted) {
  enter(Phase::Answer);
  bytes_out_ = 0;
  status_ = 0;
  const std::weak_ptr<Connection> weak = weak_from_this();
  asio::io_context& io = server_.io;
  exchange_ = std::make_shared<Exchange>(
      admitted.endpoint->shape, server_.limits.stream_buffer.n,
      [&io, weak] {
        asio::post(io, [weak] {
          if (const auto alive = weak.lock()) alive->wake();
        });
      },
      [&io](std::function<void()> call) { asio::post(io, std::move(call)); });
  try {
    admitted.endpoint->run(admitted.request, responder_of(exchange_), server_.service);
  } catch (const std::exception& bug) {
    // of a library that a handler calls; the handle's end has told the client
    server_.log.error("a handler threw",
                      {{"route", admitted.endpoint->name}, {"what", bug.what()}});
  }
  admitted.request.body = {};
  const bool whole = co_await send_answer(admitted, admitted.keep_alive && !server_.stopping);
  if (!whole) {
    if (!exchange_->ended() || exchange_->overflowed()) server_.left_count++;
    exchange_->leave();
  }
  exchange_->detach();
  exchange_ = nullptr;
  answers_.clear();
  due_never();
  log_answer(admitted, whole ? "whole" : "cut short");
  const bool stays = admitted.keep_alive && !server_.stopping;
  co_return whole ? stays : false;
}

awaitable<bool> Connection::send_answer(const Admitted& admitted, bool keep_alive) {
  struct Counted {
    ~Counted() {
      if (count) --*count;
    }
    std::atomic<uint64_t>* count = nullptr;
  } counted;
  Framing framing = Framing::Length;
  for (;;) {
    Exchange::Part part = exchange_->take();
    std::string wire;
    if (part.start) {
      status_ = part.start->status;
      if (part.start->streamed) {
        framing = admitted.chunks ? Framing::Chunks : Framing::Close;
        counted.count = &server_.stream_count;
        ++server_.stream_count;
      }
      wire =
          head_of(*part.start, framing, part.bytes.size(), keep_alive && framing != Framing::Close);
    }
    if (admitted.head_only) {
      if (wire.empty()) {
        // the head is not there yet
      } else {
        const bool sent = co_await send(wire);
        exchange_->leave();  // nobody will read a stream's rest
        co_return sent ? framing != Framing::Close : false;
      }
    } else {
      if (!part.bytes.empty())
        wire += framing == Framing::Chunks ? chunk_of(part.bytes) : part.bytes;
      if (part.ended && !part.broken && framing == Framing::Chunks) wire += "0\r\n\r\n";
      if (!wire.empty() && !co_await send(wire)) co_return false;
      exchange_->sent();
      if (part.ended) co_return !part.broken && framing != Framing::Close;
      if (!wire.empty()) continue;  // more may have gathered meanwhile
    }
    if (client_left() || exchange_->overflowed()) co_return false;
    read_soon(server_.limits.pipelined.n);
    co_await wait();
  }
}

void Connection::log_answer(const Admitted& admitted, std::string_view end) const {
  const auto took = ms_between(since, steady_clock::now());
  const Log::Fields fields = {{"route", admitted.endpoint->name},
                              {"who", admitted.request.who.id},
                              {"status", status_},
                              {"sent_bytes", bytes_out_},
                              {"ms", took},
                              {"end", end}};
  if (admitted.endpoint->right == consent::Right::None) {
    server_.log.debug("answered", fields);
  } else {
    server_.log.info("answered", fields);
  }
}

// Says no, and keeps the connection or not.
awaitable<bool> Connection::tell(const Refusal& refusal, bool keep_alive) {
  server_.refusal_count++;
  server_.log.debug("refused", {{"status", refusal.status}});
  Start start{.status = refusal.status, .content_type = "application/json"};
  if (refusal.status == 401) start.headers["WWW-Authenticate"] = "Bearer realm=\"lares\"";
  if (refusal.status == 429) start.headers["Retry-After"] = "1";
  if (!refusal.allow.empty()) start.headers["Allow"] = refusal.allow;
  const std::string body = refusal_body(refusal);
  const bool head_only = head_.starts_with("HEAD ");
  const std::string wire =
      head_of(start, Framing::Length, body.size(), keep_alive) + (head_only ? "" : body);
  co_return co_await send(wire);
}

// Says no and parts.
awaitable<void> Connection::refuse(const Refusal& refusal) {
  enter(Phase::Refuse);
  if (refusal.failed_token && server_.guessing()) {
    due_in(server_.limits.auth_delay);
    while (!timed_out_ && !dropped_ && !failed_) co_await wait();
  }
  const bool told = co_await tell(refusal, false);
  if (!told) co_return;
  co_await linger();
}

// Closing on bytes that were not read makes the kernel send a reset, and the client loses the
// refusal: so they are read, and thrown away, for a while.
awaitable<void> Connection::linger() {
  ::shutdown(socket_.native_handle(), SHUT_WR);
  const uint64_t most = 2 * server_.limits.body.n;
  uint64_t thrown = 0;
  due_in(server_.limits.linger);
  while (!eof_ && !failed_ && !dropped_ && !timed_out_ && thrown < most) {
    thrown += in_.size();
    in_.clear();
    read_soon(kReadOnce);
    co_await wait();
  }
}

awaitable<void> Connection::turn_away(std::shared_ptr<Connection> self) {
  const bool stranger = self->stranger();
  Refusal refusal{
      .status = 429,
      .message = cat("connecting: ",
                     stranger ? self->server_.limits.unauthenticated
                              : self->server_.limits.connections_per_uid,
                     stranger ? " connections of other users and without a token"
                              : " connections of this user",
                     " are open, the most that are served at a time; close some, or try again",
                     stranger ? "" : " (the setting api.connections)")};
  co_await self->refuse(refusal);
}

// The loop of accepting throws only when there is no memory left for it, and nobody could be
// served.
void must_not_throw(const std::exception_ptr& thrown) {
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

// --- the server
// --------------------------------------------------------------------------------------

void HttpServer::Impl::listen(Fd fd, int family) {
  if (!fd) return;
  auto acceptor =
      std::make_shared<Acceptor>(io, asio::generic::stream_protocol(family, 0), fd.release());
  acceptors.push_back(acceptor);
  asio::co_spawn(io, accept(std::move(acceptor)), must_not_throw);
}

awaitable<void> HttpServer::Impl::accept(std::shared_ptr<Acceptor> acceptor) {
  asio::steady_timer pause(io);
  while (!stopping) {
    const auto [error] =
        co_await acceptor->async_wait(Acceptor::wait_read, asio::as_tuple(asio::use_awaitable));
    if (error || stopping) break;
    for (int i = 0; i < kAcceptOnce; i++) {
      // not Asio's accept: it leaves the descriptor open in programs that we start
      Fd fd(::accept4(acceptor->native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (fd) {
        enter(std::move(fd));
        continue;
      }
      if (errno == EAGAIN) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log.warn("no descriptor is left for a connection", {{"connections", connections.size()}});
        pause.expires_after(kNoDescriptors);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        break;
      }
    }
  }
}

void HttpServer::Impl::enter(Fd fd) {
  const Caller caller = caller_of(fd.get());
  if (caller.transport == Transport::Loopback) {
    const int on = 1;
    (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const bool room = make_room(caller);
  if (!room) {
    const auto doomed = std::count_if(connections.begin(), connections.end(),
                                      [](const auto& one) { return one->phase == Phase::Refuse; });
    if (static_cast<size_t>(doomed) >= kDoomedMax) {
      refusal_count++;
      return;
    }
  }
  Socket socket(io);
  error_code error;
  const int family = caller.transport == Transport::Unix ? AF_UNIX : AF_INET;
  socket.assign(asio::generic::stream_protocol(family, 0), fd.get(), error);
  if (error) {
    log.warn("a connection cannot be watched", {{"why", error.message()}});
    return;
  }
  (void)fd.release();
  auto connection = std::make_shared<Connection>(*this, std::move(socket), caller);
  if (!room) connection->phase = Phase::Refuse;
  connections.insert(connection);
  connection_count = connections.size();
  auto work_of_it = room ? Connection::serve(connection) : Connection::turn_away(connection);
  asio::co_spawn(io, std::move(work_of_it), [this, connection](const std::exception_ptr& thrown) {
    connection->close(thrown);
    connections.erase(connection);
    ended();
  });
}

// Whether one more fits. Where its kind is full, the one that has waited longest without a whole
// request makes room: so neither idle clients nor those that send a byte now and then keep out a
// working one.
bool HttpServer::Impl::make_room(const Caller& caller) {
  const bool stranger = !caller.same_user();
  const auto alike = [&](const Connection& other) {
    if (other.phase == Phase::Refuse) return false;
    if (stranger) return other.stranger();
    return !other.stranger() && other.caller.transport == caller.transport &&
           other.caller.uid == caller.uid;
  };
  size_t count = 0;
  size_t of_this_user = 0;  // strangers with a token among them
  std::shared_ptr<Connection> oldest;
  for (const auto& other : connections) {
    of_this_user += other->phase != Phase::Refuse && other->caller.transport == caller.transport &&
                    other->caller.uid == caller.uid;
    if (!alike(*other)) continue;
    count++;
    const bool waits =
        other->phase == Phase::Idle || other->phase == Phase::Head || other->phase == Phase::Body;
    if (waits && (!oldest || other->since < oldest->since)) oldest = other;
  }
  if (stranger && of_this_user >= limits.connections_per_uid) return false;
  if (count < (stranger ? limits.unauthenticated : limits.connections_per_uid)) return true;
  if (!oldest || steady_clock::now() - oldest->since < kSettled) return false;
  oldest->phase = Phase::Refuse;  // counts no more
  oldest->drop();
  return true;
}

bool HttpServer::Impl::guessing() {
  const SteadyTime now = steady_clock::now();
  while (!wrong_tokens.empty() && now - wrong_tokens.front() > std::chrono::minutes(1))
    wrong_tokens.pop_front();
  if (wrong_tokens.size() >= limits.auth_failures_per_minute) {
    wrong_tokens.pop_front();
    wrong_tokens.push_back(now);
    return true;
  }
  wrong_tokens.push_back(now);
  return false;
}

void HttpServer::Impl::close_doors() {
  for (const auto& acceptor : acceptors) {
    error_code ignored;
    acceptor->close(ignored);  // NOLINT(bugprone-unused-return-value)
  }
}

void HttpServer::Impl::begin_stop(milliseconds time) {
  stopping = true;
  listener.remove();
  close_doors();
  for (const auto& connection : connections) connection->wake();
  grace.expires_after(time);
  grace.async_wait([this](error_code) {
    for (const auto& connection : connections) connection->drop();
  });
  work.reset();
  ended();
}

void HttpServer::Impl::end_answers(const std::string& credential) {
  for (const auto& connection : connections) {
    if (connection->answers() == credential) connection->drop();
  }
}

void HttpServer::Impl::ended() {
  connection_count = connections.size();
  if (stopping && connections.empty()) grace.cancel();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->io.run(); });
}

Result<std::unique_ptr<HttpServer>> HttpServer::open(Config config, Service& service, Log& log) {
  Handed handed = std::move(config.handed);
  Fd handed_unix = std::move(handed.unix);
  auto impl = std::make_unique<Impl>(std::move(config), service, log);
  // The Unix socket comes last: who gets through to it finds a daemon that has all it needs.
  std::vector<Loopback> loopbacks;
  const auto add = [&](uint16_t port, Handed there) -> Result<> {
    TRY_AS(Loopback made, listen_loopback(port, std::move(there)));
    if (!made.six) log.info("no IPv6 on this computer", {{"port", made.port}});
    loopbacks.push_back(std::move(made));
    return Unit{};
  };
  if (impl->config.port) {
    TRY(add(*impl->config.port, std::move(handed)));
    impl->port = loopbacks.front().port;
  }
  for (const uint16_t port : impl->config.more_ports) TRY(add(port, {}));
  if (impl->config.on_port) TRY(impl->config.on_port(impl->port));
  TRY_AS(impl->listener, listen_unix(impl->config.socket, std::move(handed_unix)));
  impl->listen(std::move(impl->listener.fd), AF_UNIX);
  for (Loopback& made : loopbacks) {
    impl->listen(std::move(made.four), AF_INET);
    impl->listen(std::move(made.six), AF_INET6);
  }
  impl->config.credentials->watch([impl = impl.get()](const std::string& id) {
    asio::post(impl->io, [impl, id] { impl->end_answers(id); });
  });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() { stop(milliseconds(0)); }

uint16_t HttpServer::port() const { return impl_->port; }

void HttpServer::stop(milliseconds grace) {
  if (!impl_->thread.joinable()) return;
  assert(std::this_thread::get_id() != impl_->thread.get_id());
  impl_->config.credentials->watch({});
  asio::post(impl_->io, [impl = impl_.get(), grace] { impl->begin_stop(grace); });
  impl_->thread.join();
}

void HttpServer::accept_no_more() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->close_doors(); });
}

HttpServer::Figures HttpServer::figures() const {
  return {.connections = impl_->connection_count,
          .streams = impl_->stream_count,
          .requests = impl_->request_count,
          .refusals = impl_->refusal_count,
          .left = impl_->left_count};
}

}  // namespace lares::api
