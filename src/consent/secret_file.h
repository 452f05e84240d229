// Secret files: small files in the configuration folder that hold a token, a key, credentials. Read
// and made in one way, so that each is the person's alone. Blocking; any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace lares::consent {

// The whole content. `what` it is ("token") and the `remedy` ("remove it, and ...") stand in the
// errors. NotFound: there is none. Denied: it is a link, no file, another user's, or others may
// read it. Corrupt: over `max`.
Result<std::string> read_secret_file(const std::filesystem::path& file, Bytes max,
                                     std::string_view what, std::string_view remedy);

// Makes it, 0600, whole and on disk, and only if there is none: of two that start at once the first
// wins, and for the other this is no error.
Result<> create_secret_file(const std::filesystem::path& file, std::string_view content,
                            std::string_view what);

}  // namespace lares::consent
