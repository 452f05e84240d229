#include "egress/address.h"

#include <arpa/inet.h>

#include <cstring>

namespace lares::egress {
namespace {

struct Block {
  std::array<uint8_t, 16> first;
  unsigned bits;
  std::string_view kind;
};

// RFC 6890 and its registry, https://www.iana.org/assignments/iana-ipv4-special-registry
constexpr Block kBlocks4[] = {
    {{0}, 8, "reserved"},
    {{10}, 8, "private"},
    {{100, 64}, 10, "private"},  // carriers' shared space
    {{127}, 8, "loopback"},
    {{169, 254}, 16, "link-local"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved"},
    {{192, 0, 2}, 24, "reserved"},
    {{192, 88, 99}, 24, "reserved"},
    {{192, 168}, 16, "private"},
    {{198, 18}, 15, "private"},
    {{198, 51, 100}, 24, "reserved"},
    {{203, 0, 113}, 24, "reserved"},
    {{224}, 4, "multicast"},
    {{240}, 4, "reserved"},
};

bool lies_in(const std::array<uint8_t, 16>& bytes, const Block& block) {
  for (unsigned bit = 0; bit < block.bits; bit += 8) {
    const unsigned here = block.bits - bit < 8 ? block.bits - bit : 8;
    const auto mask = static_cast<uint8_t>(0xFF << (8 - here));
    if ((bytes[bit / 8] & mask) != (block.first[bit / 8] & mask)) return false;
  }
  return true;
}

std::string_view kind_of_v4(const std::array<uint8_t, 16>& bytes) {
  for (const Block& block : kBlocks4) {
    if (lies_in(bytes, block)) return block.kind;
  }
  return "";
}

std::string_view kind_of_v4_at(const Address& address, size_t at) {
  std::array<uint8_t, 16> inner{};
  std::memcpy(inner.data(), address.bytes.data() + at, 4);
  return kind_of_v4(inner);
}

}  // namespace

std::optional<Address> address_from(std::string_view text) {
  if (text.empty() || text.size() > 45) return std::nullopt;
  const std::string whole(text);
  Address address;
  if (::inet_pton(AF_INET, whole.c_str(), address.bytes.data()) == 1) return address;
  address.v6 = true;
  if (::inet_pton(AF_INET6, whole.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::string to_string(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text.data(), text.size());
  return text.data();
}

std::string_view kind_of(const Address& address) {
  if (!address.v6) return kind_of_v4(address.bytes);
  static constexpr Block kLoopback{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, ""};
  static constexpr Block kMapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, ""};
  static constexpr Block kNat64{{0, 0x64, 0xFF, 0x9B}, 96, ""};
  static constexpr Block k6to4{{0x20, 0x02}, 16, ""};
  static constexpr Block kInside[] = {
      {{0xFC}, 7, "private"},
      {{0xFE, 0x80}, 10, "link-local"},
      {{0xFE, 0xC0}, 10, "private"},
      {{0xFF}, 8, "multicast"},
      {{0x20, 0x01, 0x0D, 0xB8}, 32, "reserved"},
      {{0x20, 0x01}, 23, "reserved"},  // Teredo and other protocols' own
      {{0x3F, 0xFF}, 20, "reserved"},
  };
  if (lies_in(address.bytes, kLoopback)) return "loopback";
  if (lies_in(address.bytes, kMapped)) return kind_of_v4_at(address, 12);
  if (lies_in(address.bytes, kNat64)) return kind_of_v4_at(address, 12);
  if (lies_in(address.bytes, k6to4)) return kind_of_v4_at(address, 2);
  for (const Block& block : kInside) {
    if (lies_in(address.bytes, block)) return block.kind;
  }
  // what is handed out to anybody is 2000::/3; the rest is not
  static constexpr Block kGlobal{{0x20}, 3, ""};
  return lies_in(address.bytes, kGlobal) ? "" : "reserved";
}

}  // namespace lares::egress
