// Base64 (RFC 4648, section 4) read back into bytes. Strict: the plain alphabet, no line ends; the
// padding may be left out, as some clients do. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lares {

// How many bytes `text` stands for; nullopt: it is no base64.
std::optional<size_t> base64_size(std::string_view text);
// Those bytes.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace lares
