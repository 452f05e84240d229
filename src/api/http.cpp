#include "api/http.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <thread>

#include "api/connection.h"
#include "base/file.h"

namespace lares::api {
namespace {

using boost::system::error_code;
using std::chrono::steady_clock;

constexpr int kAcceptOnce = 64;  // then others get their turn
constexpr milliseconds kSettled{
    250};  // a connection that has waited longer, without a whole request, may have to go
constexpr milliseconds kNoDescriptors{100};  // how long to wait when the process has none left

// The loop of accepting throws only when there is no memory left for it, and nobody could be
// served.
void must_not_throw(const std::exception_ptr& thrown) {
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

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
    if (doomed >= limits.turned_away) {
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
  oldest->give_place();
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
