#include "consent/sealing_key.h"

#include <charconv>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "consent/secret_file.h"

namespace lares::consent {
namespace {

constexpr Bytes kFileMax{256};
constexpr std::string_view kRemedy =
    "put the right one back (without it the conversations cannot be read), or move it away, and "
    "the next start makes a new one";

std::optional<std::string> key_of(std::string_view digits) {
  if (!is_lower_hex(digits, 2 * kSealingKeyBytes)) return std::nullopt;
  std::string key;
  for (size_t i = 0; i < digits.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(digits.data() + i, digits.data() + i + 2, byte, 16);
    key += static_cast<char>(byte);
  }
  return key;
}

Result<std::string> read_key(const std::filesystem::path& file) {
  TRY_AS(const std::string content, read_secret_file(file, kFileMax, "key", kRemedy));
  if (auto key = key_of(trimmed(content))) return *std::move(key);
  return Error{Code::Corrupt, cat("reading the key '", file.string(), "': it holds ",
                                  content.size(), " bytes that are no key (", 2 * kSealingKeyBytes,
                                  " hexadecimal digits); ", kRemedy)};
}

}  // namespace

Result<std::string> sealing_key(const std::filesystem::path& folder) {
  const std::filesystem::path file = sealing_key_file(folder);
  auto key = read_key(file);
  if (key || key.error().code != Code::NotFound) return key;
  TRY(create_secret_file(file, random_hex(kSealingKeyBytes) + "\n", "key"));
  return read_key(file);
}

}  // namespace lares::consent
