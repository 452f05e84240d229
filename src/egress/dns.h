// Dns: the few bytes of the domain name system (RFC 1035) that asking for addresses takes, read and
// written by ourselves so that the process needs no file, no thread and no library that loads
// others once its sandbox is entered. Pure; what comes in is hostile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "egress/address.h"

namespace lares::egress {

enum class RecordType : uint16_t { A = 1, Cname = 5, Aaaa = 28 };

inline constexpr size_t kDnsAnswerMax = 4'096;  // bytes; we ask for at most 1,232
inline constexpr size_t kAddressesMax = 16;     // of one name that are looked at

// One question. Invalid when `name` cannot be a host's name: too long, an empty part, other letters
// than a-z, 0-9, '-', '_' and '.'.
Result<std::string> dns_question(uint16_t id, std::string_view name, RecordType type);

// The addresses that an answer gives for that question, names that stand for others followed.
// Empty: it has none of this type. NotFound: there is no such name. Offline: the server could not
// say. Corrupt: it is no answer to this question.
Result<std::vector<Address>> read_dns_answer(std::string_view bytes, uint16_t id,
                                             std::string_view name, RecordType type);

// The addresses of `name` in the text of a hosts file.
std::vector<Address> addresses_in_hosts(std::string_view text, std::string_view name);
// The name servers in the text of a resolv.conf, at most three, as the system takes them.
std::vector<Address> name_servers_in(std::string_view text);

}  // namespace lares::egress
