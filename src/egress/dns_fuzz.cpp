#include "base/fuzz.h"
#include "egress/dns.h"

using namespace lares::egress;

// The question is fixed, the answer is anything.
FUZZ(dns_answer) {
  for (const RecordType type : {RecordType::A, RecordType::Aaaa}) {
    const auto found = read_dns_answer(bytes, 0x1234, "cdn.example.org", type);
    if (found) assert(found->size() <= kAddressesMax);
  }
}

FUZZ(hosts_file) {
  assert(addresses_in_hosts(bytes, "localhost").size() <= kAddressesMax);
  assert(name_servers_in(bytes).size() <= 3);
}
