// Resolver: the addresses of a host, asked for once and then kept for kKept. Every address is
// checked against the policy; one that is refused refuses the name, so that a name cannot mix
// places. Whoever connects uses these addresses and no others. Blocking, but calls `tick` while it
// waits. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "egress/dns.h"
#include "egress/hosts.h"

namespace lares::egress {

// Called at least ten times a second by everything here that waits; false: stop now.
using Tick = std::function<bool()>;
inline constexpr milliseconds kTickEvery{100};

struct NameServer {
  Address address;
  uint16_t port = 53;
};
// "9.9.9.9", "127.0.0.1:5353", "[::1]:5353". Invalid for anything else.
Result<NameServer> name_server_from(std::string_view text);

class Resolver {
 public:
  static constexpr std::chrono::seconds kKept{300};
  static constexpr milliseconds kAnswerMax{2'000};  // for one try at one server
  static constexpr int kTries = 2;

  Resolver(std::vector<NameServer> servers, std::string hosts_file, Tick tick)
      : servers_(std::move(servers)), hosts_file_(std::move(hosts_file)), tick_(std::move(tick)) {}

  // IPv6 and IPv4 addresses, never empty. NotFound: there is no such name. Denied: the policy
  // forbids an address. Offline: nobody answers.
  Result<std::vector<Address>> resolve(const std::string& host, const Policy& policy);
  // What is kept of a host is forgotten: its addresses did not answer.
  void forget(const std::string& host) { kept_.erase(host); }

 private:
  struct Kept {
    std::vector<Address> addresses;
    SteadyTime until;
  };
  Result<std::vector<Address>> look_up(const std::string& host);
  Result<std::vector<Address>> ask(const std::string& host, RecordType type);

  std::vector<NameServer> servers_;
  std::string hosts_file_;
  Tick tick_;
  std::map<std::string, Kept> kept_;
};

}  // namespace lares::egress
