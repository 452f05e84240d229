#include "api/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/text.h"

namespace lares::api {
namespace {

namespace http = boost::beast::http;

constexpr milliseconds kInterruptible{100};  // how often a wait looks for interrupt()
constexpr size_t kReceiveOnce = 65'536;

Error offline(std::string_view where, std::string_view why) {
  return {Code::Offline,
          cat("connecting to '", where, "': ", why, "; start the daemon with `lares start`")};
}

// Waits for a connect() in progress, or repeats one that found the listener's queue full.
Result<Fd> connected(Fd fd, const sockaddr* address, socklen_t size, std::string_view where,
                     milliseconds time) {
  const SteadyTime latest = std::chrono::steady_clock::now() + time;
  while (::connect(fd.get(), address, size) != 0) {
    const int64_t left = ms_between(std::chrono::steady_clock::now(), latest);
    if (errno == EINTR) continue;
    if (errno == EISCONN) break;
    if (errno == ENOENT || errno == ECONNREFUSED) return offline(where, "nobody listens there");
    if (left == 0 && (errno == EAGAIN || errno == EINPROGRESS || errno == EALREADY))
      return Error{Code::Timeout, cat("connecting to '", where, "': no answer in ", time.count(),
                                      " ms; the daemon is stuck or overrun, see `lares status`")};
    if (errno == EAGAIN) {
      // a Unix listener with a full queue: nothing tells when there is room
      std::this_thread::sleep_for(std::min(milliseconds(left), milliseconds(5)));
    } else if (errno == EINPROGRESS || errno == EALREADY) {
      pollfd wait{fd.get(), POLLOUT, 0};
      (void)::poll(&wait, 1, static_cast<int>(left));
      int why = 0;
      socklen_t why_size = sizeof why;
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &why, &why_size);
      if (why != 0)
        return offline(where, why == ECONNREFUSED ? "nobody listens there" : std::strerror(why));
    } else {
      return system_error(cat("connecting to '", where, "'"), errno);
    }
  }
  return fd;
}

bool is_plain(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

using Parser = http::response_parser<http::string_body>;

Client::Answer head_of(const Parser& parser) {
  Client::Answer answer;
  answer.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get())
    answer.headers.emplace(lower(field.name_string()), std::string(field.value()));
  return answer;
}

Code code_of_status(int status) {
  switch (status) {  // what only a door says
    case 401: return Code::Denied;
    case 405: return Code::NotFound;
    case 408: return Code::Timeout;
    case 500: return Code::Io;  // others share it, and are told by their code
    default: return row_of_status(status).code;
  }
}

}  // namespace

Client::Client(Fd fd, std::string host, std::string token, ClientLimits limits)
    : fd_(std::move(fd)),
      host_(std::move(host)),
      token_(std::move(token)),
      limits_(std::move(limits)),
      interrupted_(std::make_unique<std::atomic<int>>(0)) {}

Result<Client> Client::connect(const std::filesystem::path& socket, ClientLimits limits) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& path = socket.native();
  if (path.size() >= sizeof address.sun_path)
    return Error{Code::Invalid,
                 cat("connecting to '", path, "': ", path.size(), " bytes, and an address holds ",
                     sizeof address.sun_path - 1, "; set LARES_HOME to a shorter folder")};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("opening a socket", errno);
  TRY_AS(fd, connected(std::move(fd), reinterpret_cast<const sockaddr*>(&address), sizeof address,
                       path, limits.connect));
  // prompts go only to a program of the same user, whoever made the socket
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != ::geteuid())
    return Error{Code::Denied,
                 cat("connecting to '", path, "': it belongs to user ", who.uid, ", not to you (",
                     ::geteuid(), "); set LARES_HOME or XDG_RUNTIME_DIR to a folder of yours")};
  return Client(std::move(fd), "lares", "", std::move(limits));
}

Result<Client> Client::connect(const std::string& address, uint16_t port, std::string token,
                               ClientLimits limits) {
  sockaddr_in four{};
  sockaddr_in6 six{};
  const bool is_six = ::inet_pton(AF_INET6, address.c_str(), &six.sin6_addr) == 1;
  if (!is_six && ::inet_pton(AF_INET, address.c_str(), &four.sin_addr) != 1)
    return Error{Code::Invalid,
                 cat("connecting to '", address, "': not an IP address; use 127.0.0.1")};
  if (!is_plain(token)) return Error{Code::Invalid, "sending the token: it holds a line break"};
  four.sin_family = AF_INET;
  six.sin6_family = AF_INET6;
  four.sin_port = six.sin6_port = htons(port);
  const std::string host = is_six ? cat('[', address, "]:", port) : cat(address, ':', port);
  Fd fd(::socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("opening a socket", errno);
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  TRY_AS(fd, connected(std::move(fd),
                       is_six ? reinterpret_cast<const sockaddr*>(&six)
                              : reinterpret_cast<const sockaddr*>(&four),
                       is_six ? sizeof six : sizeof four, host, limits.connect));
  return Client(std::move(fd), host, std::move(token), std::move(limits));
}

void Client::interrupt() { interrupted_->store(1); }

Result<> Client::ready(short what, milliseconds time) const {
  SteadyTime from = std::chrono::steady_clock::now();
  for (;;) {
    if (*interrupted_ != 0) return Error{Code::Cancelled, "waiting for the daemon: interrupted"};
    pollfd wait{fd_.get(), what, 0};
    const int count = ::poll(&wait, 1, static_cast<int>(kInterruptible.count()));
    if (count > 0) return Unit{};
    if (count < 0 && errno != EINTR) return system_error("waiting for the daemon", errno);
    if (time.count() == 0 || ms_between(from, std::chrono::steady_clock::now()) < time.count())
      continue;
    if (!limits_.wait_on || !limits_.wait_on())
      return Error{Code::Timeout, cat("waiting for the daemon: nothing came in ", time.count(),
                                      " ms; see `lares status` and its log")};
    from = std::chrono::steady_clock::now();
  }
}

Result<> Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
      bytes.remove_prefix(static_cast<size_t>(put));
    } else if (put == 0 || errno == EAGAIN) {
      TRY(ready(POLLOUT, limits_.idle));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return Unit{};  // the daemon may have said why: its answer is read
    } else if (errno != EINTR) {
      return system_error("sending to the daemon", errno);
    }
  }
  return Unit{};
}

Result<size_t> Client::receive() {
  std::array<char, kReceiveOnce> block{};
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT);
    if (got > 0) in_.append(block.data(), static_cast<size_t>(got));
    if (got >= 0) return static_cast<size_t>(got);
    if (errno == EAGAIN) {
      TRY(ready(POLLIN, limits_.idle));
    } else if (errno == ECONNRESET) {
      return size_t{0};
    } else if (errno != EINTR) {
      return system_error("reading from the daemon", errno);
    }
  }
}

Result<Client::Answer> Client::request(std::string_view method, std::string_view path,
                                       std::string_view body, const Headers& headers) {
  return stream(method, path, body, {}, {}, headers);
}

Result<Client::Answer> Client::stream(std::string_view method, std::string_view path,
                                      std::string_view body, const OnHead& on_head,
                                      const OnBytes& on_bytes, const Headers& headers) {
  const std::string doing = cat(method, ' ', path);
  if (!fd_) return Error{Code::Offline, cat(doing, ": the connection is closed; connect again")};
  // whatever goes wrong, half an exchange is no state to go on from
  const auto failed = [&](Error error) {
    fd_.reset();
    in_.clear();
    return std::move(error).within(doing);
  };

  std::string wire = cat(method, ' ', path, " HTTP/1.1\r\nHost: ", host_, "\r\n");
  if (!token_.empty()) wire += cat("Authorization: Bearer ", token_, "\r\n");
  if (!body.empty() && !headers.contains("Content-Type"))
    wire += "Content-Type: application/json\r\n";
  if (!body.empty() || method == "POST") wire += cat("Content-Length: ", body.size(), "\r\n");
  for (const auto& [name, value] : headers) {
    if (!is_plain(name) || !is_plain(value))
      return Error{Code::Invalid, cat(doing, ": field '", name, "' holds a line break")};
    wire += cat(name, ": ", value, "\r\n");
  }
  wire += "\r\n";
  if (path.find_first_of(" \r\n") != std::string_view::npos)
    return Error{Code::Invalid, cat(doing, ": the path is not escaped")};
  wire += body;
  if (auto sent = send(wire); !sent) return failed(std::move(sent).error());

  auto parser = std::make_unique<Parser>();
  const auto prepare = [&] {
    parser->eager(true);
    parser->skip(method == "HEAD");
    parser->header_limit(static_cast<uint32_t>(limits_.head.n));
    parser->body_limit(boost::none);
  };
  prepare();
  bool streaming = false;
  bool begun = false;
  while (!parser->is_done()) {
    boost::system::error_code error;
    size_t taken = 0;
    if (!in_.empty()) {
      taken = parser->put(boost::asio::buffer(in_), error);
      in_.erase(0, taken);
    }
    if (error && error != http::error::need_more)
      return failed({Code::Corrupt, cat("the answer is no HTTP: ", error.message())});
    if (parser->is_header_done() && !begun) {
      if (parser->get().result_int() == 100) {  // "Continue": the answer is yet to come
        parser = std::make_unique<Parser>();
        prepare();
        continue;
      }
      begun = true;
      const Answer head = head_of(*parser);
      streaming = on_bytes && head.status / 100 == 2;
      if (on_head) on_head(head);
    }
    std::string& arrived = parser->get().body();
    if (streaming && !arrived.empty()) {
      if (!on_bytes(arrived)) return failed({Code::Cancelled, "ended on request"});
      arrived.clear();
    }
    if (arrived.size() > limits_.body.n || in_.size() > limits_.head.n + limits_.body.n)
      return failed({Code::Corrupt, cat("the answer is longer than ", limits_.body)});
    if (parser->is_done() || taken > 0) continue;
    auto got = receive();
    if (!got) return failed(std::move(got).error());
    if (*got > 0) continue;
    if (!begun)
      return failed({Code::Offline, "the daemon closed the connection without an answer"});
    parser->put_eof(error);
    if (error)
      return failed({Code::Offline,
                     "the daemon closed the connection in the middle of its answer; see its log"});
  }
  Answer answer = head_of(*parser);
  answer.body = std::move(parser->get().body());
  if (!parser->keep_alive()) fd_.reset();
  return answer;
}

Error error_of(const Client::Answer& answer) {
  Error error{code_of_status(answer.status),
              cat("the daemon answered with status ", answer.status)};
  const auto json = parse_json(answer.body);
  if (!json || !json->is_object() || !json->contains("error")) return error;
  const Json& told = (*json)["error"];
  if (told.is_string()) error.message = told.get<std::string>();
  if (!told.is_object()) return error;
  const auto text = [&](const char* name) {
    const auto found = told.find(name);
    return found != told.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (const CodeRow* known = row_named(text("code"))) error.code = known->code;
  if (!text("message").empty()) error.message = text("message");
  error.param = text("param");
  return error;
}

Result<bool> EventLines::feed(std::string_view bytes, const OnData& on_data) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > kEventMax.n)
      return Error{Code::Corrupt, cat("reading events: one is longer than ", kEventMax)};
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    std::string line = std::exchange(line_, {});
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) {
      if (!std::exchange(has_data_, false)) continue;
      if (!on_data(std::exchange(data_, {}))) return false;
    } else if (line.starts_with("data:")) {
      if (has_data_) data_ += '\n';
      has_data_ = true;
      data_ += std::string_view(line).substr(line.starts_with("data: ") ? 6 : 5);
    }
  }
  return true;
}

}  // namespace lares::api
