// Orders: what the routes of /lares/v1 have in common. Network thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "api/endpoint.h"

namespace lares::api {

// Sends what Service::ask() answers: its JSON as it is, or the error.
Reply answer_with(std::shared_ptr<Responder> responder);

// A page can make a browser send a form or plain text anywhere without asking; JSON it cannot. So
// an order must say that it is JSON. True when it does; else the error was sent.
bool says_json(const Request& request, Responder& responder);

// A string field of an order: "" when it is left out and may be. Invalid names the field, the value
// and the limit.
Result<std::string> string_field(const Json& body, const char* name, size_t bytes_max,
                                 bool required);

// A whole number of a request's query, nullopt when it is not there. Invalid names the field, the
// value and the limits.
Result<std::optional<int64_t>> number_query(const Request& request, const char* name, int64_t least,
                                            int64_t most);

}  // namespace lares::api
