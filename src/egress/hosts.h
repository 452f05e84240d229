// Hosts: where this process may connect. A table of what the two registries use, and what the
// person added by a setting or by naming a URL. Checked for every request and every step of a
// redirect; the addresses that a name stands for are checked besides (address.h). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "egress/address.h"
#include "egress/url.h"

namespace lares::egress {

struct Policy {
  // Besides the table: "host", "host:port" or "*.domain"; without a port the scheme's own.
  std::vector<std::string> hosts{};
  bool private_addresses = false;  // this machine and its network too
  bool plain_http = false;         // http to the hosts above, never to those of the table
};

// Denied, with what to do.
Result<> allowed(const Url& url, const Policy& policy);
Result<> allowed(const Address& address, std::string_view host, const Policy& policy);

// True when `pattern` ("host" or "*.domain") stands for `host`.
bool matches(std::string_view pattern, std::string_view host);

// The table, for showing.
std::vector<std::string> known_hosts();

}  // namespace lares::egress
