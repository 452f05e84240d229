#include "egress/dns.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace lares::egress {
namespace {

using namespace std::string_literals;

std::string name_bytes(const std::string& name) {
  std::string out;
  for (const std::string& label : split(name, '.')) {
    out += static_cast<char>(label.size());
    out += label;
  }
  return out + '\0';
}

std::string record(const std::string& owner, int type, const std::string& data) {
  std::string out = owner + '\0' + static_cast<char>(type) + "\0\1\0\0\0\x3c"s;
  out += static_cast<char>(data.size() >> 8);
  out += static_cast<char>(data.size());
  return out + data;
}

// An answer to the question for `name`, with these records.
std::string answer(const std::string& name, const std::vector<std::string>& records, int code = 0,
                   int type = 1) {
  std::string out = "\x12\x34\x81"s + static_cast<char>(0x80 | code) + "\0\1\0"s +
                    static_cast<char>(records.size()) + "\0\0\0\0"s + name_bytes(name) + '\0' +
                    static_cast<char>(type) + "\0\1"s;
  for (const std::string& one : records) out += one;
  return out;
}

const std::string kPointer = "\xc0\x0c"s;  // to the question's name

TEST(Dns, AsksForOneNameOfOneType) {
  const auto question = dns_question(0x1234, "Example.org", RecordType::Aaaa);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->substr(0, 2), "\x12\x34");
  EXPECT_NE(question->find("\7Example\3org\0\0\x1c\0\1"s), std::string::npos);
  for (const char* bad : {"", "a..b", "a b", "ü.org", "-.", ".a"})
    EXPECT_FALSE(dns_question(1, bad, RecordType::A)) << bad;
  EXPECT_FALSE(dns_question(1, std::string(64, 'a') + ".org", RecordType::A));
  EXPECT_FALSE(dns_question(1, std::string(254, 'a'), RecordType::A));
}

TEST(Dns, ReadsAddressesAndFollowsNames) {
  const auto plain = read_dns_answer(answer("a.org", {record(kPointer, 1, "\1\2\3\4")}), 0x1234,
                                     "A.org", RecordType::A);
  ASSERT_TRUE(plain);
  ASSERT_EQ(plain->size(), 1U);
  EXPECT_EQ(to_string(plain->front()), "1.2.3.4");
  const auto aliased =
      read_dns_answer(answer("a.org", {record(name_bytes("c.net"), 1, "\5\6\7\x08"),
                                       record(name_bytes("b.net"), 5, name_bytes("c.net")),
                                       record(kPointer, 5, name_bytes("b.net"))}),
                      0x1234, "a.org", RecordType::A);
  ASSERT_TRUE(aliased) << aliased.error().message;
  EXPECT_EQ(to_string(aliased->at(0)), "5.6.7.8");
}

TEST(Dns, TakesNoAddressOfAnotherName) {
  const auto other = read_dns_answer(answer("a.org", {record(name_bytes("b.org"), 1, "\1\2\3\4")}),
                                     0x1234, "a.org", RecordType::A);
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->empty());
}

TEST(Dns, RefusesWhatIsNoAnswerToItsQuestion) {
  const std::string good = answer("a.org", {record(kPointer, 1, "\1\2\3\4")});
  EXPECT_FALSE(read_dns_answer(good, 0x1235, "a.org", RecordType::A));
  EXPECT_FALSE(read_dns_answer(good, 0x1234, "b.org", RecordType::A));
  EXPECT_FALSE(read_dns_answer(good, 0x1234, "a.org", RecordType::Aaaa));
  for (size_t cut = 0; cut < good.size(); cut++)
    EXPECT_FALSE(read_dns_answer(good.substr(0, cut), 0x1234, "a.org", RecordType::A)) << cut;
  // names that lead in circles end
  EXPECT_FALSE(read_dns_answer(answer("a.org", {record("\xc0\x17"s, 1, "\1\2\3\4")}), 0x1234,
                               "a.org", RecordType::A));
  EXPECT_FALSE(read_dns_answer(answer("a.org", {record(kPointer, 5, name_bytes("a.org"))}), 0x1234,
                               "a.org", RecordType::A));
}

TEST(Dns, SaysWhatTheServerSays) {
  EXPECT_EQ(read_dns_answer(answer("a.org", {}, 3), 0x1234, "a.org", RecordType::A).error().code,
            Code::NotFound);
  EXPECT_EQ(read_dns_answer(answer("a.org", {}, 2), 0x1234, "a.org", RecordType::A).error().code,
            Code::Offline);
}

TEST(Dns, ReadsTheSystemsFiles) {
  const auto found = addresses_in_hosts(
      "# comment 1.1.1.1 my.host\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n"
      "10.0.0.7  other my.host # my.other\nbad my.host\n",
      "My.Host");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(to_string(found[0]), "10.0.0.7");
  EXPECT_EQ(addresses_in_hosts("127.0.0.1 localhost\n::1 localhost", "localhost").size(), 2U);
  const auto servers = name_servers_in(
      "search x.org\nnameserver 127.0.0.53\n nameserver\t2001:4860::1 # g\n#nameserver 1.1.1.1\n"
      "nameserver nonsense\nnameserver 9.9.9.9\nnameserver 9.9.9.10\n");
  ASSERT_EQ(servers.size(), 3U);
  EXPECT_EQ(to_string(servers[1]), "2001:4860::1");
}

}  // namespace
}  // namespace lares::egress
