// The short system prompt that our own chats send, the terminal's and the page's, and never the
// API. Pure; any thread.
#pragma once

#include <string>

#include "base/clock.h"

namespace lares::app {

// Who answers, and the date: at most 40 tokens of the smallest model.
std::string system_prompt(WallTime now);

}  // namespace lares::app
