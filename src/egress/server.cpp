#include "egress/server.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/text.h"
#include "egress/pulling.h"

namespace lares::egress {
namespace {

constexpr int kExitLost = 1;  // laresd is gone, or says what makes no sense
constexpr size_t kReadAtOnce = 64u << 10;
constexpr milliseconds kTellEvery{200};
constexpr int kResolvesMax = 3;  // more tries to learn what a source is
constexpr std::chrono::seconds kResolvePauseMax{30};
constexpr uint64_t kOrder = 1;  // the id of all that is asked and answered

SteadyTime now() { return std::chrono::steady_clock::now(); }

// The control socket, both ways.
class Link {
 public:
  explicit Link(int control) : control_(control) {}

  bool lost() const { return lost_; }
  bool stopped() const { return lost_ || stop_; }

  void send(const wire::Frame& frame) {
    const std::string bytes = wire::encode(frame);
    size_t at = 0;
    while (at < bytes.size() && !lost_) {
      const ssize_t put = ::write(control_, bytes.data() + at, bytes.size() - at);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) {
        lost_ = true;
        return;
      }
      at += static_cast<size_t>(put);
    }
  }

  // A sign of life when one is due, and a look at what laresd says. False: stop.
  bool tick() {
    if (now() - beaten_ >= wire::kBeatEvery) {
      beaten_ = now();
      send(wire::to_frame(wire::Beat{++beats_, false}));
    }
    read(milliseconds(0));
    return !stopped();
  }

  // The next order; nullopt: stopped. Waits.
  std::optional<wire::Frame> next() {
    while (tick()) {
      if (!orders_.empty()) {
        wire::Frame frame = std::move(orders_.front());
        orders_.erase(orders_.begin());
        return frame;
      }
      read(kTickEvery);
    }
    return std::nullopt;
  }

 private:
  void read(milliseconds limit) {
    pollfd waiting{control_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(limit.count())) <= 0) return;
    thread_local std::string block(kReadAtOnce, '\0');
    const ssize_t got = ::read(control_, block.data(), block.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      lost_ = true;
      return;
    }
    decoder_.feed({block.data(), static_cast<size_t>(got)});
    for (;;) {
      auto frame = decoder_.next();
      if (!frame) {
        lost_ = true;
        return;
      }
      if (!*frame) return;
      if ((*frame)->type == static_cast<uint8_t>(wire::Type::Shutdown)) {
        stop_ = true;
      } else {
        orders_.push_back(**std::move(frame));
      }
    }
  }

  int control_;
  wire::Decoder decoder_;
  std::vector<wire::Frame> orders_;
  bool lost_ = false;
  bool stop_ = false;
  uint64_t beats_ = 0;
  SteadyTime beaten_{};
};

Result<wire::Hashed> hash(Link& link, int part) {
  struct stat info{};
  if (::fstat(part, &info) != 0)
    return Error{Code::Io, "reading what was fetched: the file is not there"};
  const auto size = static_cast<uint64_t>(info.st_size);
  TRY_AS(const Digest digest, sha256_of_file(part, size, [&] { return link.tick(); }));
  return wire::Hashed{to_hex(digest), size};
}

Result<std::vector<NameServer>> name_servers(const Surroundings& surroundings,
                                             const wire::Resolve& order) {
  std::vector<NameServer> servers;
  for (const std::string& text : order.name_servers) {
    TRY_AS(const NameServer server, name_server_from(text));
    servers.push_back(server);
  }
  if (!servers.empty()) return servers;
  for (const Address& address : surroundings.name_servers)
    servers.push_back({.address = address, .port = 53});
  return servers;
}

Result<> pause(milliseconds how_long, const Tick& tick) {
  const SteadyTime until = now() + how_long;
  while (now() < until) {
    if (!tick()) return Error{Code::Cancelled, "it was stopped"};
    static_cast<void>(::poll(nullptr, 0, static_cast<int>(kTickEvery.count())) < 0);
  }
  return Unit{};
}

// A registry that is busy is asked again some times, as for ranges (download.h), when it wants.
Result<Pulling> resolve_patiently(Http& http, const wire::Resolve& order, const Tick& tick) {
  for (int tries = 0;; tries++) {
    auto pulling = resolve(http, order);
    if (pulling || pulling.error().code != Code::Busy || tries == kResolvesMax) return pulling;
    const auto asked = http.asked_to_wait().value_or(std::chrono::seconds(0));
    if (asked > kResolvePauseMax) {
      Error error = std::move(pulling).error();
      error.message += cat("; it wants to be asked again in ", asked.count(), " s");
      return error;
    }
    TRY(pause(std::max<milliseconds>(kPauseFirst * (1 << tries), asked), tick));
  }
}

Result<wire::Pulled> pull(Link& link, const Surroundings& surroundings, const wire::Resolve& order,
                          int part_fd, int journal_fd) {
  const Tick tick = [&link] { return link.tick(); };
  TRY_AS(std::vector<NameServer> servers, name_servers(surroundings, order));
  Policy policy{order.hosts, order.private_addresses, order.plain_http};
  // whoever names a place, in a setting or as a URL, means it; where it leads on is another matter
  TRY_AS(const Url named, url_from(order.kind == "hub"        ? order.hub_url
                                   : order.kind == "registry" ? order.registry_url
                                                              : order.name));
  policy.hosts.push_back(
      cat(named.host.find(':') == std::string::npos ? named.host : cat("[", named.host, "]"), ":",
          named.port));
  Resolver resolver(std::move(servers), surroundings.hosts_file, tick);
  Http http(
      {.policy = std::move(policy), .stall = std::chrono::seconds(std::max(order.stall_s, 1U))},
      resolver, tick);
  if (!order.authorities.empty()) TRY(http.trust(order.authorities));
  TRY_AS(const Pulling pulling, resolve_patiently(http, order, tick));
  link.send(wire::to_frame(pulling.found, kOrder));
  const auto next = link.next();
  if (!next) return Error{Code::Cancelled, "it was stopped"};
  TRY_AS(const wire::Fetch fetch, wire::from_frame<wire::Fetch>(*next));
  TRY_AS(Part part, Part::open(part_fd, journal_fd, pulling.found.size_bytes,
                               pulling.found.identity, fetch.check, tick));
  SteadyTime told{};
  const auto tell = [&](const Heard& heard) {
    if (now() - told < kTellEvery) return;
    told = now();
    link.send(
        wire::to_frame(wire::Fetched{heard.bytes_done, heard.bytes_read, heard.waiting}, kOrder));
  };
  tell({part.bytes_done(), 0, ""});
  TRY_AS(const uint64_t read, download(http, pulling.locate, part, pulling.same, tick, tell));
  return wire::Pulled{read};
}

}  // namespace

int serve(const Surroundings& surroundings, int control, int part, int journal) {
  Link link(control);
  link.send(wire::to_frame(surroundings.hello));
  const auto order = link.next();
  if (!order) return link.lost() ? kExitLost : 0;
  const auto answer = [&](const auto& result) {
    link.send(result ? wire::to_frame(*result, kOrder)
                     : wire::to_frame(wire::Failed{result.error()}, kOrder));
  };
  if (order->type == static_cast<uint8_t>(wire::Type::Hash)) {
    answer(hash(link, part));
  } else {
    const auto resolve = wire::from_frame<wire::Resolve>(*order);
    if (!resolve) return kExitLost;
    answer(pull(link, surroundings, *resolve, part, journal));
  }
  while (link.next()) {  // laresd ends it
  }
  return 0;
}

}  // namespace lares::egress
