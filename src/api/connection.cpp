#include "api/connection.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <ctime>

#include "base/text.h"

namespace lares::api {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::steady_clock;

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

}  // namespace

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
    const bool unwanted = server_.stopping || displaced_;
    if (eof_ || failed_ || dropped_ || (unwanted && !begun)) co_return std::nullopt;
    if (displaced_) {
      co_await refuse(no_room());
      co_return std::nullopt;
    }
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
    if (displaced_) break;
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
  if (displaced_) refusal = no_room();
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

Refusal Connection::no_room() const {
  return {.status = 429,
          .message =
              cat("connecting: ",
                  stranger() ? server_.limits.unauthenticated : server_.limits.connections_per_uid,
                  stranger() ? " connections of other users and without a token"
                             : " connections of this user",
                  " are open, the most that are served at a time; close some, or try again",
                  stranger() ? "" : " (the setting api.connections)")};
}

awaitable<void> Connection::turn_away(std::shared_ptr<Connection> self) {
  const Refusal refusal = self->no_room();
  co_await self->refuse(refusal);
}

}  // namespace lares::api
