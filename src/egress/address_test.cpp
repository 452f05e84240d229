#include "egress/address.h"

#include <gtest/gtest.h>

namespace lares::egress {
namespace {

std::string_view kind(const char* text) {
  const auto address = address_from(text);
  EXPECT_TRUE(address) << text;
  return address ? kind_of(*address) : "none";
}

TEST(Address, KnowsThePlacesThatAreNotTheInternet) {
  for (const char* text : {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1",
                           "64:ff9b::7f00:1", "2002:7f00:1::"})
    EXPECT_EQ(kind(text), "loopback") << text;
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                           "fd00::1", "fc00::1", "::ffff:10.1.2.3", "fec0::1"})
    EXPECT_EQ(kind(text), "private") << text;
  for (const char* text : {"169.254.169.254", "fe80::1", "::ffff:169.254.169.254"})
    EXPECT_EQ(kind(text), "link-local") << text;
  for (const char* text : {"0.0.0.0", "240.0.0.1", "255.255.255.255", "::", "100::1", "2001:db8::1",
                           "2001::1", "192.0.2.7"})
    EXPECT_EQ(kind(text), "reserved") << text;
  EXPECT_EQ(kind("224.0.0.1"), "multicast");
  EXPECT_EQ(kind("ff02::1"), "multicast");
}

TEST(Address, LetsTheInternetThrough) {
  for (const char* text : {"8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "100.128.0.1",
                           "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808"})
    EXPECT_EQ(kind(text), "") << text;
}

TEST(Address, ReadsNothingElse) {
  for (const char* text : {"", "localhost", "127.1", "0x7f000001", "1.2.3.4:80", "[::1]", "::1%lo",
                           "1.2.3.4 ", "999.1.1.1"})
    EXPECT_FALSE(address_from(text)) << text;
  EXPECT_EQ(to_string(*address_from("::ffff:1.2.3.4")), "::ffff:1.2.3.4");
  EXPECT_EQ(to_string(*address_from("10.2.3.4")), "10.2.3.4");
}

}  // namespace
}  // namespace lares::egress
