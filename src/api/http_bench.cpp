// What the door costs: a decision, a request, and a streamed token among 64 streams.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>

#include "api/client.h"
#include "api/door.h"
#include "api/http.h"
#include "base/bench.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/text.h"

namespace lares::api {
namespace {

using std::chrono::steady_clock;

struct NoService final : Service {
  WorkId submit(Work, std::shared_ptr<Sink>) override { return 0; }
  void cancel(WorkId) override {}
  void ask(const std::string&, Json, Reply) override {}
  Mutex mutex;
  std::vector<std::shared_ptr<Responder>> held GUARDED_BY(mutex);
};

void run_whole(const Request&, std::shared_ptr<Responder> responder, Service&) {
  responder->whole(200, "application/json", "{}");
}
void run_stream(const Request&, std::shared_ptr<Responder> responder, Service& service) {
  responder->begin_stream("text/event-stream");
  auto& holder = static_cast<NoService&>(service);
  const MutexLock lock(holder.mutex);
  holder.held.push_back(std::move(responder));
}
const Endpoint kWhole{.name = "GET /whole", .right = consent::Right::App, .run = run_whole};
const Endpoint kStream{.name = "GET /stream", .right = consent::Right::App, .run = run_stream};

struct Door {
  Door() {
    auto opened = HttpServer::open({.socket = folder / "api.sock",
                                    .port = uint16_t{0},
                                    .credentials = &credentials,
                                    .limits = {.connections_per_uid = 512},
                                    .routes = {&kWhole, &kStream}},
                                   service, log);
    assert(opened);
    server = *std::move(opened);
  }
  ~Door() {
    server.reset();
    std::filesystem::remove_all(folder);
  }
  consent::Credentials credentials{consent::Tokens("")};
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / cat("lares-bench-", random_hex(6));
  Log log = Log::silent();
  NoService service;
  std::unique_ptr<HttpServer> server;
};

// Microseconds from a responder's write() to the client's recv(), of `tokens` tokens on each of
// `streams` streams at 20 a second each, spread evenly, as models write them.
std::vector<double> token_latencies(size_t streams, size_t tokens) {
  Door door;
  std::vector<Fd> clients;
  for (size_t i = 0; i < streams; i++) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(door.server->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
    const std::string request =
        cat("GET /stream HTTP/1.1\r\nHost: 127.0.0.1:", door.server->port(), "\r\n\r\n");
    if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
    clients.push_back(std::move(fd));
    for (;;) {  // in order, so that the responder of the same number is this client's
      const MutexLock lock(door.service.mutex);
      if (door.service.held.size() > i) break;
    }
  }
  std::vector<double> took;
  std::jthread reader([&] {
    std::vector<pollfd> waits;
    waits.reserve(clients.size());
    for (const Fd& fd : clients) waits.push_back({fd.get(), POLLIN, 0});
    std::array<char, 4096> block{};
    while (took.size() < streams * tokens) {
      if (::poll(waits.data(), waits.size(), 10'000) <= 0) return;
      for (const pollfd& wait : waits) {
        if ((wait.revents & POLLIN) == 0) continue;
        const ssize_t got = ::recv(wait.fd, block.data(), block.size(), MSG_DONTWAIT);
        const auto now = steady_clock::now().time_since_epoch().count();
        if (got <= 0) return;
        const std::string_view text(block.data(), static_cast<size_t>(got));
        for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1))
          took.push_back(static_cast<double>(now - std::atoll(text.data() + at + 1)) / 1'000);
      }
    }
  });
  std::vector<std::shared_ptr<Responder>> held;
  {
    const MutexLock lock(door.service.mutex);
    held.swap(door.service.held);
  }
  constexpr std::chrono::milliseconds kBetween(50);
  const auto from = steady_clock::now();
  for (size_t token = 0; token < tokens; token++) {
    for (size_t i = 0; i < streams; i++) {
      std::this_thread::sleep_until(from + token * kBetween + i * kBetween / streams);
      held[i]->write(
          cat("data: {\"text\": \"@", steady_clock::now().time_since_epoch().count(), "\"}\n\n"));
    }
  }
  reader.join();
  for (const auto& responder : held) responder->end_stream();
  std::sort(took.begin(), took.end());
  return took;
}

}  // namespace

BENCH(door_admit) {
  const Routes routes({&kWhole, &kStream});
  consent::Credentials credentials{
      consent::Tokens(std::string(consent::kTokenPrefix) + std::string(64, 'a'))};
  const std::string bytes =
      "GET /whole HTTP/1.1\r\nHost: 127.0.0.1:5273\r\nAccept: */*\r\nUser-Agent: OpenAI/Python "
      "1.0\r\n"
      "Authorization: Bearer none\r\nX-Stainless-Lang: python\r\n\r\n";
  bench.run([&] {
    HeadSearch search;
    const auto size = head_end(bytes, search, Limits{});
    auto head = parse_head(std::string_view(bytes).substr(0, std::get<size_t>(size)));
    const auto decided =
        admit(std::get<Head>(std::move(head)),
              {.transport = Transport::Loopback, .uid = 7, .own_uid = 7, .port = 5273}, routes,
              credentials, Limits{});
    return decided.index();
  });
}

BENCH(door_request) {
  Door door;
  auto client = Client::connect(door.folder / "api.sock");
  assert(client);
  bench.run([&] { return static_cast<uint64_t>(client->request("GET", "/whole")->status); });
}

BENCH(door_token_among_64_streams) {
  const std::vector<double> took =
      token_latencies(bench.size<size_t>(8, 64), bench.size<size_t>(2, 100));
  assert(!took.empty());
  const auto at = [&](double part) {
    return took[std::min(took.size() - 1,
                         static_cast<size_t>(part * static_cast<double>(took.size())))];
  };
  std::printf("  a token's way through the door, us: p50 %.0f, p99 %.0f, p99.9 %.0f, of %zu\n",
              at(0.5), at(0.99), at(0.999), took.size());
  bench.run([&] { return took.size(); });
}

}  // namespace lares::api
