// SHA-256 (FIPS 180-4), for naming things by their content, and for keeping tokens of ours, which
// are random and long. Not for passwords and not for signing. Pure.
#pragma once

#include <string>
#include <string_view>

namespace lares {

// The digest of `bytes`: 64 hexadecimal digits in lower case.
std::string sha256_hex(std::string_view bytes);

}  // namespace lares
