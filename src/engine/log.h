// The worker's log, which is its stderr: the daemon keeps its last lines.
#pragma once

#include <string_view>

namespace lares::engine {

// Any thread. One line, without its end; written as one piece, past stdio, whose stderr one thread
// may have turned aside (llama_grammar.h).
void log_line(std::string_view line);

}  // namespace lares::engine
