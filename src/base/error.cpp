#include <array>

#include "base/result.h"

namespace lares {
namespace {

// clang-format off
constexpr std::array kRows = {
    CodeRow{Code::Invalid,     "invalid",     "invalid_request_error", 400, 2,   false},
    CodeRow{Code::NotFound,    "not_found",   "not_found_error",       404, 3,   false},
    CodeRow{Code::Denied,      "denied",      "permission_error",      403, 4,   false},
    CodeRow{Code::Busy,        "busy",        "rate_limit_error",      429, 6,   true},
    CodeRow{Code::NoRoom,      "no_room",     "insufficient_memory",   507, 5,   true},
    CodeRow{Code::Offline,     "offline",     "connection_error",      503, 7,   true},
    CodeRow{Code::Cancelled,   "cancelled",   "cancelled_error",       499, 130, true},
    CodeRow{Code::Timeout,     "timeout",     "timeout_error",         504, 8,   true},
    CodeRow{Code::Corrupt,     "corrupt",     "invalid_data_error",    500, 9,   false},
    CodeRow{Code::Io,          "io",          "server_error",          500, 12,  true},
    CodeRow{Code::WorkerDied,  "worker_died", "server_error",          502, 11,  true},
    // the name is OpenAI's: clients know it, and shorten what they sent
    CodeRow{Code::TooLong,     "context_length_exceeded", "invalid_request_error", 400, 2, false},
    CodeRow{Code::Unsupported, "unsupported", "invalid_request_error", 400, 10,  false},
};
// clang-format on

}  // namespace

const CodeRow& row(Code code) {
  const CodeRow& found = kRows[static_cast<size_t>(code)];
  assert(found.code == code);
  return found;
}

const CodeRow& row_of_status(int http_status) {
  for (const CodeRow& r : kRows) {
    if (r.http_status == http_status) return r;
  }
  return row(http_status >= 400 && http_status < 500 ? Code::Invalid : Code::Io);
}

const CodeRow* row_named(std::string_view name) {
  for (const CodeRow& r : kRows) {
    if (r.name == name) return &r;
  }
  return nullptr;
}

}  // namespace lares
