// Http: requests over TLS, each checked before it is made: the host against the allow-list, its
// addresses against what is public, and again at every step of a redirect. The connection goes to
// the addresses that were checked and to no others. A credential is sent to the one origin that it
// belongs to. Bodies are taken as they are: one that comes compressed is refused, and so is more of
// it than the caller said. Blocking, calling `tick` while it waits. One thread. Door to libcurl
// together with url.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "egress/resolver.h"
#include "egress/url.h"

namespace lares::egress {

inline constexpr size_t kHeadMax = 64u << 10;  // bytes of all headers of an answer
// Bytes that one connection may have on their way to us: enough for 400 Mbit/s at 20 ms.
inline constexpr int kWindowMax = 1 << 20;
inline constexpr int kRedirectsMax = 8;
inline constexpr milliseconds kConnectMax{15'000};
inline constexpr milliseconds kSmallMax{
    60'000};  // for a small answer, from the first byte to the last
inline constexpr int64_t kStallBytesPerSecond =
    512;  // slower than this for the stall time is a stall

struct Head {
  int status = 0;
  std::map<std::string, std::string> fields;  // names in lower case; the last of each name
  std::string field(const std::string& name) const;
};

// "bytes 0-9/100": nullopt for anything else, or when it makes no sense.
struct ContentRange {
  uint64_t first = 0, last = 0, size = 0;
};
std::optional<ContentRange> content_range_from(std::string_view text);
// Seconds from `Retry-After`, at most kRetryAfterMax; nullopt: none, or a date.
inline constexpr std::chrono::seconds kRetryAfterMax{300};
std::optional<std::chrono::seconds> retry_after_from(std::string_view text);
// The parameters of `Bearer realm="...",service="...",scope="..."`; empty when it is none.
std::map<std::string, std::string> bearer_challenge_from(std::string_view text);
// Adds one line of a head. Corrupt: more than kHeadMax, or a body that comes compressed.
Result<> add_head_line(Head& head, std::string_view line, size_t& bytes_so_far);

struct Answer {
  Head head;
  std::string body;
  Url url;  // where it came from in the end
};

// The error that an answer's status stands for; `what` names what was asked for.
Error status_error(const Head& head, const Url& url, std::string_view what);

// Takes the bytes of one answer as they come.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // The head is whole. An error ends the transfer with it.
  virtual Result<> begin(const Head& head) = 0;
  virtual Result<> take(std::string_view bytes) = 0;
};

class Http {
 public:
  struct Options {
    Policy policy;
    std::chrono::seconds stall{30};
  };
  // Before the sandbox: what TLS needs from files. Unsupported: this system has no authorities.
  static Result<> prepare();

  Http(Options options, Resolver& resolver, Tick tick);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // Believes these authorities (PEM) besides the system's. Invalid: no certificate is among them.
  Result<> trust(std::string_view authorities);
  // `header` ("Authorization: Bearer x") goes with every request to this origin, and with no other.
  void add_credential(const std::string& origin, std::string header);

  // A whole small answer, redirects followed. Corrupt when it has more than `body_max` bytes.
  // An answer of any status is an Answer; Denied, Offline, Timeout, NotFound: none came.
  Result<Answer> get(const Url& url, const std::vector<std::string>& headers, size_t body_max);
  // The same, but only the head: the body is not read.
  Result<Answer> look(const Url& url, const std::vector<std::string>& headers);

  // `Retry-After` of the last answer of get() or look().
  std::optional<std::chrono::seconds> asked_to_wait() const { return asked_to_wait_; }

  // One request without redirects, whose bytes go to `receiver`. Starts only: the transfer runs
  // while wait() is called. `receiver` must outlive it.
  using TransferId = uint64_t;
  Result<TransferId> begin(const Url& url, const std::vector<std::string>& headers,
                           Receiver& receiver);
  struct Ended {
    TransferId id = 0;
    Result<> result = Unit{};  // the bytes came to their end, whatever the status
  };
  // Moves all transfers on for at most `limit`; those that ended. Calls no tick.
  std::vector<Ended> wait(milliseconds limit);
  void stop(TransferId id);

 private:
  struct Library;
  struct Transfer;
  Result<Answer> follow(Url url, const std::vector<std::string>& headers, size_t body_max,
                        bool head_only);
  std::vector<Ended> run(milliseconds limit);
  Result<> connectable(const Url& url);

  Options options_;
  Resolver& resolver_;
  Tick tick_;
  std::unique_ptr<Library> library_;
  std::map<TransferId, std::unique_ptr<Transfer>> transfers_;
  std::map<std::string, std::string> credentials_;  // by origin
  std::map<std::string, std::string> pinned_;       // "host:port" to what it is pinned to
  std::vector<Ended> ended_meanwhile_;              // while a small answer was waited for
  std::optional<std::chrono::seconds> asked_to_wait_;
  TransferId next_ = 1;
};

}  // namespace lares::egress
