// Media: the pictures and sounds of a request's messages, in OpenAI's shape, checked as far as that
// can be done without reading them: they are in the request itself, they are base64, and not too
// many bytes. What is in them a worker finds out. Pure; any thread.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::api {

inline constexpr size_t kMediaMax = 16;          // of one request
inline constexpr Bytes kMediaBytesMax = MiB(6);  // of one file

// A part of a content of the type "image_url" or "input_audio" as a worker takes it: {type, data,
// param}. Takes `part`'s data out of it. Invalid, with the field in param: it is a link, no base64,
// or too large.
Result<Json> media_part(const std::string& path, const std::string& type, Json& part);
// Invalid when `messages`, as a worker takes them, have too many such parts, or others than the
// person's have one.
Result<> check_media(const Json& messages);
bool has_media(const Json& messages);

}  // namespace lares::api
