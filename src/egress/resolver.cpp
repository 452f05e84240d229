#include "egress/resolver.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "egress/dns.h"

namespace lares::egress {
namespace {

SteadyTime now() { return std::chrono::steady_clock::now(); }

uint16_t random_id() {
  uint16_t id = 0;
  const ssize_t got = ::getrandom(&id, sizeof(id), 0);
  assert(got == sizeof(id));
  return id;
}

// A datagram socket that hears only this server: the kernel picks the port.
Fd connect_to(const NameServer& server) {
  Fd fd(::socket(server.address.v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                 0));
  if (!fd) return fd;
  int connected = -1;
  if (server.address.v6) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(server.port);
    std::memcpy(&to.sin6_addr, server.address.bytes.data(), 16);
    connected = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  } else {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.port);
    std::memcpy(&to.sin_addr, server.address.bytes.data(), 4);
    connected = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  }
  if (connected != 0) fd.reset();
  return fd;
}

Error nobody_answers(std::string_view host) {
  return {Code::Offline, cat("asking for the address of '", host,
                             "': no name server answers; look at the connection")};
}

}  // namespace

Result<NameServer> name_server_from(std::string_view text) {
  const auto wrong = [&] {
    return Error{Code::Invalid, cat("'", utf8_repaired(text.substr(0, 80)),
                                    "' is no name server; write an IP address, as 9.9.9.9 or "
                                    "[2620:fe::fe]:53")};
  };
  if (const auto plain = address_from(text)) return NameServer{*plain, 53};
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = address_from(host);
  const std::string_view port = text.substr(colon + 1);
  NameServer server;
  const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), server.port);
  if (!address || bad != std::errc() || end != port.data() + port.size() || server.port == 0)
    return wrong();
  server.address = *address;
  return server;
}

Result<std::vector<Address>> Resolver::resolve(const std::string& host, const Policy& policy) {
  const auto kept = kept_.find(host);
  std::vector<Address> addresses;
  if (kept != kept_.end() && now() < kept->second.until) {
    addresses = kept->second.addresses;
  } else {
    TRY_AS(addresses, look_up(host));
  }
  for (const Address& address : addresses) TRY(allowed(address, host, policy));
  kept_[host] = {addresses, kept != kept_.end() && now() < kept->second.until ? kept->second.until
                                                                              : now() + kKept};
  return addresses;
}

Result<std::vector<Address>> Resolver::look_up(const std::string& host) {
  if (const auto literal = address_from(host)) return std::vector<Address>{*literal};
  if (auto found = addresses_in_hosts(hosts_file_, host); !found.empty()) return found;
  if (servers_.empty())
    return Error{Code::Offline, cat("asking for the address of '", host,
                                    "': this machine has no name server; look at the connection")};
  std::vector<Address> all;
  std::optional<Error> refused;
  for (const RecordType type : {RecordType::Aaaa, RecordType::A}) {
    auto found = ask(host, type);
    if (found) {
      all.insert(all.end(), found->begin(), found->end());
    } else if (!refused || refused->code == Code::Offline) {
      refused = std::move(found).error();
    }
  }
  if (!all.empty()) return all;
  if (refused) return *std::move(refused);
  return Error{Code::NotFound, cat("the host '", host, "' has no address; look at its spelling")};
}

Result<std::vector<Address>> Resolver::ask(const std::string& host, RecordType type) {
  std::optional<Error> last;
  for (int attempt = 0; attempt < kTries; attempt++) {
    for (const NameServer& server : servers_) {
      const uint16_t id = random_id();
      TRY_AS(const std::string question, dns_question(id, host, type));
      const Fd fd = connect_to(server);
      if (!fd || ::send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) continue;
      const SteadyTime until = now() + kAnswerMax;
      while (now() < until) {
        if (!tick_()) return Error{Code::Cancelled, "it was stopped"};
        pollfd waiting{fd.get(), POLLIN, 0};
        static_cast<void>(::poll(&waiting, 1, static_cast<int>(kTickEvery.count())) < 0);
        std::array<char, kDnsAnswerMax> bytes;
        const ssize_t got = ::recv(fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got < 0) break;  // nobody listens there
        auto answer = read_dns_answer({bytes.data(), static_cast<size_t>(got)}, id, host, type);
        if (answer || answer.error().code == Code::NotFound) return answer;
        last = std::move(answer).error();
        if (last->code == Code::Offline) break;  // the next server
        // else it was not the answer to this question: somebody guesses; listen on
      }
    }
  }
  return last ? *std::move(last) : nobody_answers(host);
}

}  // namespace lares::egress
