// SHA-256 (FIPS 180-4), for naming things by their content. Not for secrets. Pure.
#pragma once

#include <string>
#include <string_view>

namespace lares::engine {

std::string sha256_hex(std::string_view bytes);

}  // namespace lares::engine
