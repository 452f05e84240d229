// The questions "conversations.*" of api::Service, each a function from the store and the checked
// arguments to the API's JSON. Background thread: they block.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "store/conversations.h"

namespace lares::app {

struct ConversationQuestion {
  Result<Json> (*run)(store::Conversations& store, const Json& arguments, int64_t now_ms) = nullptr;
  bool writes = false;
  explicit operator bool() const { return run != nullptr; }
};
// What answers `question`; nothing when it is none of these.
ConversationQuestion conversation_question(std::string_view question);

}  // namespace lares::app
