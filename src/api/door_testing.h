// For tests of the door: a server on a home of its own, a service that remembers, and a client that
// can send any bytes at any time. Not built into any program.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/client.h"
#include "api/http.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/text.h"

namespace lares::api::testing {

using consent::Right;

// Long enough for a loaded computer; only a failure waits for it.
inline constexpr std::chrono::seconds kPatience{20};

inline const std::string kToken = cat(consent::kTokenPrefix, std::string(64, 'a'));

// Holds the responders of the routes that do not answer at once, so that a test answers for them.
class FakeService final : public Service {
 public:
  WorkId submit(Work, std::shared_ptr<Sink>) override { return 0; }
  void cancel(WorkId) override {}
  void ask(const std::string&, Json, Reply) override {}

  void hold(const Request& request, std::shared_ptr<Responder> responder) {
    const MutexLock lock(mutex_);
    held_.push_back(std::move(responder));
    paths_.push_back(request.path);
    changed_.notify_all();
  }
  void gone() {
    const MutexLock lock(mutex_);
    gone_++;
    gone_at_ = std::chrono::steady_clock::now();
    changed_.notify_all();
  }
  // The next held responder; nullptr when none comes.
  std::shared_ptr<Responder> next() {
    const MutexLock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (held_.empty() && std::chrono::steady_clock::now() < until)
      changed_.wait_until(mutex_, until);
    if (held_.empty()) return nullptr;
    auto responder = std::move(held_.front());
    held_.pop_front();
    return responder;
  }
  bool wait_for_gone(size_t count) {
    const MutexLock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (gone_ < count && std::chrono::steady_clock::now() < until)
      changed_.wait_until(mutex_, until);
    return gone_ >= count;
  }
  size_t gone_count() {
    const MutexLock lock(mutex_);
    return gone_;
  }
  std::chrono::steady_clock::time_point gone_at() {
    const MutexLock lock(mutex_);
    return gone_at_;
  }
  size_t called() {
    const MutexLock lock(mutex_);
    return paths_.size();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::deque<std::shared_ptr<Responder>> held_ GUARDED_BY(mutex_);
  std::vector<std::string> paths_ GUARDED_BY(mutex_);
  size_t gone_ GUARDED_BY(mutex_) = 0;
  std::chrono::steady_clock::time_point gone_at_ GUARDED_BY(mutex_);
};

inline FakeService& fake(Service& service) { return static_cast<FakeService&>(service); }

inline void run_echo(const Request& request, std::shared_ptr<Responder> responder, Service&) {
  answer_json(*responder, Json{{"who", request.who.id},
                               {"right", consent::name(request.who.right)},
                               {"method", request.method},
                               {"bytes", request.body.size()},
                               {"body", request.body.substr(0, 100)}});
}
inline void run_parse(const Request& request, std::shared_ptr<Responder> responder, Service&) {
  const auto json = parse_json(request.body);
  if (!json) return responder->error(json.error());
  responder->whole(200, "application/json", "{}");
}
inline void run_hold(const Request& request, std::shared_ptr<Responder> responder,
                     Service& service) {
  responder->on_gone([&service] { fake(service).gone(); });
  fake(service).hold(request, std::move(responder));
}
inline void run_stream(const Request& request, std::shared_ptr<Responder> responder,
                       Service& service) {
  responder->begin_stream("text/event-stream", {{"X-Lares-Id", "r1"}});
  run_hold(request, std::move(responder), service);
}
inline void run_five(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->begin_stream("text/event-stream");
  for (int i = 0; i < 5; i++) responder->write(cat("data: ", i, "\n\n"));
  responder->end_stream();
}
inline void run_large(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->whole(200, "text/plain", std::string(MiB(16).n, 'x'));
}
inline void run_forget(const Request&, std::shared_ptr<Responder>, Service&) {}
inline void run_throw(const Request&, std::shared_ptr<Responder>, Service&) {
  throw std::runtime_error("a bug");
}
inline void run_break_off(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->begin_stream("text/event-stream");
  responder->write("data: half\n\n");
}
inline void run_bad_header(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->whole(200, "text/plain", "x", {{"X-Lares-Model", "a\r\nSet-Cookie: b=c\r\n\r\nbody"}});
}
inline void run_busy(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->error({Code::Busy, "queueing: 3 wait already; try again", ""});
}

inline const std::vector<Endpoint> kTestEndpoints = {
    {.name = "GET /open", .right = Right::None, .summary = "Open.", .run = run_echo},
    {.name = "GET /echo", .right = Right::App, .summary = "Echo.", .run = run_echo},
    {.name = "POST /echo", .right = Right::App, .summary = "Echo.", .run = run_echo},
    {.name = "POST /owner", .right = Right::Owner, .summary = "Echo.", .run = run_echo},
    {.name = "POST /parse", .right = Right::App, .summary = "Parse.", .run = run_parse},
    {.name = "POST /hold", .right = Right::App, .summary = "Hold.", .run = run_hold},
    {.name = "GET /stream", .right = Right::App, .summary = "Stream.", .run = run_stream},
    {.name = "POST /stream", .right = Right::App, .summary = "Stream.", .run = run_stream},
    {.name = "GET /five", .right = Right::App, .summary = "Five.", .run = run_five},
    {.name = "GET /large", .right = Right::App, .summary = "Large.", .run = run_large},
    {.name = "GET /forget", .right = Right::App, .summary = "Forget.", .run = run_forget},
    {.name = "GET /throw", .right = Right::App, .summary = "Throw.", .run = run_throw},
    {.name = "GET /break-off", .right = Right::App, .summary = "Break off.", .run = run_break_off},
    {.name = "GET /bad-header",
     .right = Right::App,
     .summary = "Bad header.",
     .run = run_bad_header},
    {.name = "POST /api/busy",
     .right = Right::App,
     .summary = "Busy.",
     .shape = ErrorShape::Ollama,
     .run = run_busy},
};

// One answer as it stands on the wire.
struct Wire {
  int status = 0;  // 0: no answer
  std::string head;
  std::string body;  // of a counted one; of a chunked one with its framing
  bool has(std::string_view text) const {
    return lower(head).find(lower(text)) != std::string::npos;
  }
  Json json() const {
    auto parsed = parse_json(body);
    return parsed ? *parsed : Json();
  }
};

// A connection that sends exactly what it is told.
class Raw {
 public:
  explicit Raw(const std::filesystem::path& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    fd_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  explicit Raw(uint16_t port, int receive_buffer = 0) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_buffer > 0)
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }
  // Everything, or as much as the other end takes before it closes.
  Raw& send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put <= 0) break;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return *this;
  }
  void half_close() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  void reset() {  // closes with a reset
    const linger now{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_.reset();
  }
  // Waits for bytes until `enough` says so, the end, or the end of patience.
  template <class F>
  const std::string& read_until(F enough) {
    const auto latest = std::chrono::steady_clock::now() + kPatience;
    while (!enough(in_) && !ended_ && std::chrono::steady_clock::now() < latest) {
      pollfd wait{fd_.get(), POLLIN, 0};
      if (::poll(&wait, 1, 200) <= 0) continue;
      std::array<char, 65536> block{};
      const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT);
      if (got > 0) in_.append(block.data(), static_cast<size_t>(got));
      if (got == 0 || (got < 0 && errno != EAGAIN)) ended_ = true;
    }
    return in_;
  }
  bool wait_for(std::string_view text) {
    return read_until([&](const std::string& in) {
             return in.find(text) != std::string::npos;
           }).find(text) != std::string::npos;
  }
  std::string rest() {  // until the other end closes
    return read_until([](const std::string&) { return false; });
  }
  bool closed() {
    rest();
    return ended_;
  }
  // The next counted answer; its bytes are used up.
  Wire answer() {
    Wire wire;
    read_until([](const std::string& in) { return in.find("\r\n\r\n") != std::string::npos; });
    const size_t end = in_.find("\r\n\r\n");
    if (end == std::string::npos) return wire;
    wire.head = in_.substr(0, end + 4);
    wire.status = std::atoi(wire.head.c_str() + 9);
    size_t length = 0;
    if (const size_t at = wire.head.find("Content-Length: "); at != std::string::npos)
      length = std::strtoull(wire.head.c_str() + at + 16, nullptr, 10);
    read_until([&](const std::string& in) { return in.size() >= end + 4 + length; });
    wire.body = in_.substr(end + 4, length);
    in_.erase(0, end + 4 + length);
    return wire;
  }

 private:
  Fd fd_;
  std::string in_;
  bool connected_ = false;
  bool ended_ = false;
};

// A server with the test endpoints, on a folder of its own.
class ServerTest : public ::testing::Test {
 protected:
  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(folder);
  }
  HttpServer::Config config() {
    HttpServer::Config made{
        .socket = socket, .port = uint16_t{0}, .credentials = &credentials, .limits = limits};
    for (const Endpoint& endpoint : kTestEndpoints) made.routes.push_back(&endpoint);
    return made;
  }
  void start() {
    auto opened = HttpServer::open(config(), service, log);
    ASSERT_TRUE(opened) << opened.error().message;
    server_ = *std::move(opened);
  }
  HttpServer& server() {
    if (!server_) start();
    return *server_;
  }
  uint16_t port() { return server().port(); }
  std::string host() { return cat("Host: 127.0.0.1:", port(), "\r\n"); }
  // "GET /echo HTTP/1.1", the Host, `fields` (each with its line end), the empty line, the body.
  std::string request(std::string_view line, std::string_view fields = "",
                      std::string_view body = "") {
    return cat(line, " HTTP/1.1\r\n", host(), fields, "\r\n", body);
  }
  std::string counted(std::string_view line, std::string_view body) {
    return request(line, cat("Content-Length: ", body.size(), "\r\n"), body);
  }
  Wire ask(std::string_view bytes) {
    Raw raw(port());
    return raw.send(bytes).answer();
  }
  void stop_server() { server_.reset(); }

  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / cat("lares-door-", random_hex(6));
  const std::filesystem::path socket = folder / "api.sock";
  Limits limits;
  consent::Credentials credentials{consent::Tokens(kToken)};
  FakeService service;
  Log log = Log::silent();

 private:
  std::unique_ptr<HttpServer> server_;
};

}  // namespace lares::api::testing
