#include "egress/dns.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace lares::egress {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr size_t kNameMax = 253;
constexpr size_t kLabelMax = 63;
constexpr int kJumpsMax = 32;        // of pointers inside one name
constexpr size_t kRecordsMax = 128;  // looked at in one answer
constexpr int kAliasesMax = 16;
constexpr size_t kServersMax = 3;
constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kTypeOptions = 41;
constexpr uint16_t kAnswerWanted = 1'232;  // fits a datagram everywhere: DNS flag day 2020

void put16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xFF);
}

// Walks through an answer; every read is bounded, and a bad one marks it.
class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}
  bool bad() const { return bad_; }
  uint8_t byte() {
    if (at_ >= bytes_.size()) {
      bad_ = true;
      return 0;
    }
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  uint16_t number16() {
    const unsigned high = byte();
    return static_cast<uint16_t>(high << 8 | byte());
  }
  std::string_view take(size_t count) {
    if (count > bytes_.size() - at_) {
      bad_ = true;
      return {};
    }
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  // A name, its pointers followed, in lower case, without the last dot.
  std::string name() {
    std::string out;
    size_t at = at_;
    bool jumped = false;
    for (int jumps = 0;;) {
      if (at >= bytes_.size()) break;
      const auto length = static_cast<uint8_t>(bytes_[at]);
      if (length == 0) {
        if (!jumped) at_ = at + 1;
        return lower(out);
      }
      if ((length & 0xC0) == 0xC0) {
        if (at + 1 >= bytes_.size() || ++jumps > kJumpsMax) break;
        if (!jumped) at_ = at + 2;
        jumped = true;
        at = static_cast<size_t>(length & 0x3F) << 8 | static_cast<uint8_t>(bytes_[at + 1]);
        continue;
      }
      if ((length & 0xC0) != 0 || at + 1 + length > bytes_.size()) break;
      if (!out.empty()) out += '.';
      out += bytes_.substr(at + 1, length);
      if (out.size() > kNameMax) break;
      at += 1 + size_t{length};
    }
    bad_ = true;
    return "";
  }
  size_t at() const { return at_; }
  void go_to(size_t at) { at_ = at; }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
  bool bad_ = false;
};

struct Record {
  std::string owner;
  RecordType type;
  std::string alias;
  Address address;
};

Error corrupt(std::string_view name, std::string_view what) {
  return {Code::Corrupt, cat("asking for the address of '", name, "': the name server ", what)};
}

// Every record of the answer that we know what to do with.
Result<std::vector<Record>> read_records(Walk& walk, uint16_t count, std::string_view name) {
  std::vector<Record> records;
  for (uint16_t i = 0; i < count && i < kRecordsMax; i++) {
    Record record{.owner = walk.name(), .type = {}, .alias = {}, .address = {}};
    const uint16_t kind = walk.number16();
    const uint16_t of_class = walk.number16();
    walk.take(4);  // how long it may be kept: we keep none that long
    const uint16_t length = walk.number16();
    const size_t begin = walk.at();
    const std::string_view data = walk.take(length);
    if (walk.bad()) return corrupt(name, "sent an answer that ends in the middle");
    if (of_class != kClassInternet) continue;
    record.type = static_cast<RecordType>(kind);
    if (record.type == RecordType::Cname) {
      const size_t end = walk.at();
      walk.go_to(begin);
      record.alias = walk.name();
      if (walk.bad() || walk.at() > end) return corrupt(name, "sent a name that makes no sense");
      walk.go_to(end);
    } else if ((record.type == RecordType::A && length == 4) ||
               (record.type == RecordType::Aaaa && length == 16)) {
      record.address.v6 = length == 16;
      std::memcpy(record.address.bytes.data(), data.data(), length);
    } else {
      continue;
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

Result<std::string> dns_question(uint16_t id, std::string_view name, RecordType type) {
  const auto wrong = [&](std::string_view what) {
    return Error{Code::Invalid,
                 cat("'", utf8_repaired(name.substr(0, 80)), "' is no host: ", what)};
  };
  if (name.empty() || name.size() > kNameMax) return wrong("its name is empty or too long");
  std::string out;
  put16(out, id);
  put16(out, 0x0100);  // ask others for me
  put16(out, 1);
  put16(out, 0);
  put16(out, 0);
  put16(out, 1);
  for (const std::string& label : split(name, '.')) {
    if (label.empty() || label.size() > kLabelMax)
      return wrong("a part of it is empty or too long");
    for (const char c : label) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_';
      if (!plain) return wrong("it may have a-z, 0-9, '-', '_' and '.'");
    }
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
  put16(out, static_cast<uint16_t>(type));
  put16(out, kClassInternet);
  // EDNS (RFC 6891): how large an answer we take
  out += '\0';
  put16(out, kTypeOptions);
  put16(out, kAnswerWanted);
  out.append(6, '\0');
  return out;
}

Result<std::vector<Address>> read_dns_answer(std::string_view bytes, uint16_t id,
                                             std::string_view name, RecordType type) {
  if (bytes.size() > kDnsAnswerMax) return corrupt(name, "sent more than it may");
  Walk walk(bytes);
  const uint16_t answered = walk.number16();
  const uint16_t flags = walk.number16();
  const uint16_t questions = walk.number16();
  const uint16_t answers = walk.number16();
  walk.take(4);
  if (walk.bad() || answered != id || (flags & 0x8000) == 0 || questions != 1)
    return corrupt(name, "answered something else");
  const std::string asked = walk.name();
  const uint16_t asked_type = walk.number16();
  const uint16_t asked_class = walk.number16();
  if (walk.bad() || asked != lower(name) || asked_type != static_cast<uint16_t>(type) ||
      asked_class != kClassInternet)
    return corrupt(name, "answered another question");
  const unsigned outcome = flags & 0xF;
  if (outcome == 3)
    return Error{Code::NotFound, cat("there is no host '", name, "'; look at its spelling")};
  if (outcome != 0)
    return Error{Code::Offline,
                 cat("asking for the address of '", name, "': the name server answered code ",
                     outcome, "; look at the connection, or try again later")};
  TRY_AS(const std::vector<Record> records, read_records(walk, answers, name));
  std::string wanted = asked;
  for (int step = 0; step < kAliasesMax; step++) {
    std::vector<Address> found;
    for (const Record& record : records) {
      if (record.owner == wanted && record.type == type && found.size() < kAddressesMax)
        found.push_back(record.address);
    }
    if (!found.empty()) return found;
    const auto alias = std::find_if(records.begin(), records.end(), [&](const Record& record) {
      return record.owner == wanted && record.type == RecordType::Cname;
    });
    if (alias == records.end()) return std::vector<Address>{};
    wanted = alias->alias;
  }
  return corrupt(name, "sent names that stand for each other");
}

std::vector<Address> addresses_in_hosts(std::string_view text, std::string_view name) {
  std::vector<Address> found;
  const std::string wanted = lower(name);
  for (const std::string& line : split(text, '\n')) {
    std::string words = line.substr(0, line.find('#'));
    std::replace(words.begin(), words.end(), '\t', ' ');
    std::optional<Address> address;
    for (const std::string& word : split(words, ' ')) {
      if (word.empty()) continue;
      if (!address) {
        address = address_from(word);
        if (!address) break;
      } else if (lower(word) == wanted && found.size() < kAddressesMax) {
        found.push_back(*address);
        break;
      }
    }
  }
  return found;
}

std::vector<Address> name_servers_in(std::string_view text) {
  std::vector<Address> found;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view words = trimmed(line);
    if (!words.starts_with("nameserver") || words.size() < 12) continue;
    std::string_view rest = trimmed(words.substr(10));
    rest = rest.substr(0, rest.find_first_of(" \t#;"));
    if (const auto address = address_from(rest); address && found.size() < kServersMax)
      found.push_back(*address);
  }
  return found;
}

}  // namespace lares::egress
