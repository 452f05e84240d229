// Principals and rights: who asks, and what a route needs. Plain values.
//
// A caller is a token or a peer uid, never an address. The front door (api) finds the principal
// before anything of the request but its head is read; a route that declares no right cannot be
// registered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lares::consent {

// Ordered: whoever has one has those above it.
enum class Right : uint8_t {
  None,   // nobody need be asked: /health
  App,    // what any program of this person may: models, chat, embeddings
  Owner,  // the person: add and remove models, see every request, stop the daemon
};

constexpr std::string_view name(Right right) {
  switch (right) {
    case Right::None: return "none";
    case Right::App: return "app";
    case Right::Owner: return "owner";
  }
  return "none";
}

struct Principal {
  std::string id = "nobody";  // "owner", "app:NAME", "nobody"; stands in receipts and logs
  Right right = Right::None;
  uint32_t uid = 0;  // of the calling process, where it is known
  std::string credential =
      "";  // by which it proved that: the id of an app's token or a page's session, or "owner"
};

}  // namespace lares::consent
