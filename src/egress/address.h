// Address: an IP address and what kind of place it is. Only public ones may be connected to, unless
// a setting says otherwise: a name on the internet can point at this machine or its network. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lares::egress {

struct Address {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // an IPv4 address in the first four
  bool operator==(const Address&) const = default;
};

// "192.0.2.1", "2001:db8::1", without brackets, port or zone; nullopt for anything else.
std::optional<Address> address_from(std::string_view text);
std::string to_string(const Address& address);

// What an address is when it is not one of the public internet: "loopback", "private",
// "link-local", "multicast", "reserved". "" for a public one. IPv4 addresses inside IPv6 ones
// (mapped, NAT64, 6to4) count as what they are. From IANA's special-purpose address registries.
std::string_view kind_of(const Address& address);

}  // namespace lares::egress
