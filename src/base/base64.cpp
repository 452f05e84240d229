#include "base/base64.h"

#include <array>
#include <cstdint>

namespace lares {
namespace {

constexpr int8_t kNone = -1;

constexpr std::array<int8_t, 256> values() {
  std::array<int8_t, 256> table{};
  for (int8_t& value : table) value = kNone;
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); i++)
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  return table;
}
constexpr std::array<int8_t, 256> kValues = values();

// Without its padding; nullopt when that is not where it belongs.
std::optional<std::string_view> bare(std::string_view text) {
  if (text.size() % 4 == 0) {
    for (int padding = 0; padding < 2 && text.ends_with('='); padding++) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  return text;
}

}  // namespace

std::optional<size_t> base64_size(std::string_view text) {
  const auto digits = bare(text);
  if (!digits) return std::nullopt;
  for (const char c : *digits) {
    if (kValues[static_cast<unsigned char>(c)] == kNone) return std::nullopt;
  }
  return digits->size() / 4 * 3 + digits->size() % 4 * 3 / 4;
}

std::optional<std::string> from_base64(std::string_view text) {
  const auto size = base64_size(text);
  const auto digits = bare(text);
  if (!size || !digits) return std::nullopt;
  std::string bytes;
  bytes.reserve(*size);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : *digits) {
    bits = bits << 6 | static_cast<uint32_t>(kValues[static_cast<unsigned char>(c)]);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  return bytes;
}

}  // namespace lares
