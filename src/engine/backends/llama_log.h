// What llama.cpp says while it works: warnings and errors go to stderr, and the last error is kept,
// because its functions answer only nullptr. Nothing of a prompt is among it.
#pragma once

#include <string>

namespace lares::engine::llama {

void catch_log();           // from now on, for the whole process
void catch_log_of_media();  // and what libmtmd says
void forget_last_error();
std::string last_error();  // of this thread, since it was forgotten; "" when there was none

}  // namespace lares::engine::llama
