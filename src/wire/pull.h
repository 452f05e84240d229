// Pull: what laresd and lares-egress say to each other. The same frames, Hello, Beat, Failed and
// Shutdown as with a worker (message.h), and the same distrust in both directions.
//
//   lares-egress                               laresd
//     Hello    ──────────────────────────────>        after the sandbox is entered
//            <──────────────────────────────  Resolve  id 1: what is this source?
//     Found    ──────────────────────────────>        name, size, digest; laresd makes room
//            <──────────────────────────────  Fetch    id 1: go on, the file has its size
//     Fetched* ──────────────────────────────>        how far it is
//     Pulled | Failed ───────────────────────>        the end of id 1
//   or, in a process without a network, that has read nothing foreign:
//            <──────────────────────────────  Hash     id 1
//     Hashed | Failed ───────────────────────>
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "wire/message.h"

namespace lares::wire {

// The descriptors that lares-egress finds open besides the control socket.
inline constexpr int kPartFd = kModelFd;         // the file that is fetched or hashed
inline constexpr int kJournalFd = kModelFd + 1;  // its journal; absent for Hash

struct Resolve {
  std::string kind;    // "hub" (Hugging Face), "registry" (Ollama), "url"
  std::string name;    // "OWNER/REPO"; "NAMESPACE/NAME"; the URL
  std::string detail;  // a quantization or a file; a tag; nothing
  std::string hub_url, registry_url;
  std::string token;                      // for the hub's origin only
  std::vector<std::string> hosts;         // that may be fetched from besides the table
  std::vector<std::string> name_servers;  // instead of the system's
  std::string authorities;                // PEM, besides the system's
  bool private_addresses = false;
  bool plain_http = false;
  uint32_t stall_s = 30;
};

inline constexpr size_t kTextsMax = 8;

// As digests stand in these messages.
inline bool is_sha256(std::string_view text) { return is_lower_hex(text, 64); }

struct Found {
  std::string name;  // what the model is called there, a file's name or "name:tag"
  uint64_t size_bytes = 0;
  std::string sha256;    // "" where nobody knows it in advance
  std::string identity;  // changes when the file does
  std::string licence;   // a short name, "" where none is told
  // Texts that belong to it, kept beside the file: names ("licence", "template", "params") and
  // contents.
  std::vector<std::string> text_names, texts;
};

struct Fetch {
  bool check = false;  // hold whole chunks against their digests too
};

struct Fetched {
  uint64_t bytes_done = 0;  // of the file
  uint64_t bytes_read = 0;  // from the network since this process began
  std::string waiting;      // why nothing comes now
};

struct Pulled {
  uint64_t bytes_read = 0;
};

struct Hashed {
  std::string sha256;
  uint64_t size_bytes = 0;
};

Frame to_frame(const Resolve& message, uint64_t id);
Frame to_frame(const Found& message, uint64_t id);
Frame to_frame(const Fetch& message, uint64_t id);
Frame to_frame(const Fetched& message, uint64_t id);
Frame to_frame(const Pulled& message, uint64_t id);
Frame to_frame(const Hashed& message, uint64_t id);

}  // namespace lares::wire
