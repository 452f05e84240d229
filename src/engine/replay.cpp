#include "engine/replay.h"

#include <cassert>

#include "base/text.h"
#include "wire/message.h"

namespace lares::engine {

Result<Replay> Replay::from(std::string_view ids, Tokens vocabulary) {
  Replay out;
  out.ids_.reserve(ids.size() / sizeof(uint32_t));
  for (size_t at = 0; at + sizeof(uint32_t) <= ids.size(); at += sizeof(uint32_t)) {
    uint32_t id = 0;
    for (size_t i = sizeof id; i-- > 0;) id = id << 8 | static_cast<unsigned char>(ids[at + i]);
    if ((id & ~wire::kToldHere) >= vocabulary) {
      return Error{Code::Corrupt,
                   cat("going on with an answer: its token ", out.ids_.size(), " is ",
                       id & ~wire::kToldHere, ", but this model has ", vocabulary)};
    }
    out.ids_.push_back(id);
  }
  return out;
}

Token Replay::next() {
  assert(!over());
  return static_cast<Token>(ids_[at_++] & ~wire::kToldHere);
}

bool Replay::told_here() const { return at_ > 0 && (ids_[at_ - 1] & wire::kToldHere) != 0; }

}  // namespace lares::engine
